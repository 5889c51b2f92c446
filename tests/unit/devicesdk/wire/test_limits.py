import re

from devicesdk.wire import limits


def test_every_limit_has_its_unit_last_and_rounds_fit_their_budget():
    words = "BYTES|CHARS|SLASHES|CHUNKS|FRAMES|ROUNDS|OUTSTANDING|SUBSCRIBE"
    names = [name for name in vars(limits) if name.isupper()]
    assert len(names) > 15
    odd = [n for n in names if not re.search(rf"({words})(_(MAX|MIN|DEFAULT|START))?$", n)]
    assert odd == [], f"limits without their unit: {odd}"
    assert limits.ROUND_CHUNKS_MAX * limits.CHUNK_BYTES_MIN == limits.ROUND_BYTES_MAX
    assert limits.BLOB_CHUNKS_MAX * limits.CHUNK_BYTES_DEFAULT >= limits.BLOB_BYTES_MAX
