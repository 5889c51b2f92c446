from devicesdk.wire import limits


def test_every_limit_has_its_unit_last_and_rounds_fit_their_budget():
    units = ("_BYTES", "_MAX", "_MIN", "_DEFAULT", "_START")
    names = [name for name in vars(limits) if name.isupper()]
    assert all(name.endswith(units) for name in names), names
    assert limits.ROUND_CHUNKS_MAX * limits.CHUNK_BYTES_MIN == limits.ROUND_BYTES_MAX
    assert limits.BLOB_CHUNKS_MAX * limits.CHUNK_BYTES_DEFAULT >= limits.BLOB_BYTES_MAX
