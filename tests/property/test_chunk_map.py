"""A chunk map is a set that counts, whatever is added in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.bundle.chunks import ChunkMap, HashList, RealDigests, build_hash_list, split


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 5_000), st.sampled_from([1, 7, 256, 1024]), st.data())
def test_a_map_is_a_set_of_chunks(size, chunk_bytes, data):
    here, model = ChunkMap(b"x" * 32, size, chunk_bytes), set()
    chunks = st.integers(0, here.chunks - 1)
    for chunk in data.draw(st.lists(chunks, max_size=60)):
        assert here.add(chunk) == (chunk not in model)
        model.add(chunk)
        missing = [i for i in range(here.chunks) if i not in model]
        assert here.first_missing == (missing[0] if missing else here.chunks)
    again = ChunkMap.from_bytes(here.to_bytes())
    for one in (here, again):
        assert one.count == len(model)
        assert one.complete == (len(model) == one.chunks)
        assert one.bytes_done == sum(one.bytes_of(i) for i in model)
        assert all((i in one) == (i in model) for i in range(one.chunks))


@settings(deadline=None, derandomize=True)
@given(st.binary(min_size=1, max_size=3_000), st.sampled_from([1, 64, 1000]))
def test_a_hash_list_tells_any_change_of_a_chunk(blob, chunk_bytes):
    chunks = [bytes(chunk) for chunk in split(blob, chunk_bytes)]
    hashes, digests = HashList(build_hash_list(chunks), len(blob), chunk_bytes), RealDigests()
    for index, chunk in enumerate(chunks[:20]):
        assert digests.match(hashes[index], chunk)
        changed = bytes([chunk[0] ^ 1]) + chunk[1:]
        assert not digests.match(hashes[index], changed)
