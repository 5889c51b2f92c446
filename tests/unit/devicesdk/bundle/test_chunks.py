"""Hash lists, chunk maps and digests."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesdk.bundle.chunks import (
    ChunkMap,
    HashList,
    RealDigests,
    RememberingDigests,
    build_hash_list,
    chunk_count,
    split,
)
from devicesdk.wire.errors import BadManifest

BLOB = bytes(range(256)) * 10
NAME = sha256(BLOB).digest()


def test_a_blob_is_split_into_whole_chunks_and_a_rest():
    chunks = [bytes(chunk) for chunk in split(BLOB, 1000)]
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 560]
    assert b"".join(chunks) == BLOB
    assert chunk_count(len(BLOB), 1000) == 3


def test_a_hash_list_names_each_chunk():
    hashes = HashList(build_hash_list(split(BLOB, 1000)), len(BLOB), 1000)
    assert [hashes[i] for i in range(3)] == [sha256(c).digest() for c in split(BLOB, 1000)]


def test_a_hash_list_of_the_wrong_length_is_refused():
    with pytest.raises(BadManifest, match="expected a hash list of 96 bytes"):
        HashList(bytes(64), len(BLOB), 1000)


def test_a_chunk_counts_once():
    here = ChunkMap(NAME, len(BLOB), 1000)
    assert here.add(1)
    assert not here.add(1), "the same chunk was counted twice"
    assert (here.count, here.complete, here.first_missing) == (1, False, 0)
    assert 1 in here
    assert 0 not in here


def test_a_map_knows_what_is_here_and_what_comes_next():
    here = ChunkMap(NAME, len(BLOB), 1000)
    assert [here.bytes_of(i) for i in range(3)] == [1000, 1000, 560]
    here.add(0)
    assert (here.first_missing, here.bytes_done) == (1, 1000)
    here.add(2)
    assert here.bytes_done == 1560
    here.add(1)
    assert (here.first_missing, here.bytes_done, here.complete) == (3, len(BLOB), True)


def test_a_map_survives_its_snapshot():
    here = ChunkMap(NAME, len(BLOB), 100)
    for index in (0, 7, 8, 25):
        here.add(index)
    again = ChunkMap.from_bytes(here.to_bytes())
    assert (again.blob, again.size_bytes, again.chunk_bytes) == (NAME, len(BLOB), 100)
    assert [i for i in range(again.chunks) if i in again] == [0, 7, 8, 25]
    assert again.count == 4
    assert again.to_bytes() == here.to_bytes()


@pytest.mark.parametrize("place", [0, 10, 40, 50])
def test_a_damaged_snapshot_is_refused(place):
    data = bytearray(ChunkMap(NAME, len(BLOB), 100).to_bytes())
    data[place] ^= 1
    with pytest.raises(BadManifest, match="expected a chunk map"):
        ChunkMap.from_bytes(bytes(data))


def _signed(body):
    return body + sha256(body).digest()[:4]


@pytest.mark.parametrize(
    ("body", "story"),
    [
        (b"", "expected a chunk map"),
        (bytes([9]) + NAME + (2560).to_bytes(8, "big") + (100).to_bytes(4, "big"), "version 1"),
        (bytes([1]) + NAME + (2560).to_bytes(8, "big") + (0).to_bytes(4, "big"), "version 1"),
        (bytes([1]) + NAME + (2560).to_bytes(8, "big") + (100).to_bytes(4, "big"), "bits for 2560"),
    ],
)
def test_a_snapshot_of_another_shape_is_refused(body, story):
    with pytest.raises(BadManifest, match=story):
        ChunkMap.from_bytes(_signed(body))


@pytest.mark.parametrize("digests", [RealDigests(), RememberingDigests(), RememberingDigests(10)])
def test_digests_agree_whether_remembered_or_not(digests):
    data, other = b"a" * 100, b"b" * 100
    for _ in range(3):
        assert digests.match(sha256(data).digest(), memoryview(data))
        assert not digests.match(sha256(data).digest(), other), "other bytes passed for these"
        assert digests.match(sha256(other).digest(), other)


@given(st.integers(1, 70), st.sets(st.integers(0, 69)), st.integers(0, 75), st.integers(0, 80))
def test_what_is_missing_is_told_as_bits_and_the_first_of_it_by_number(chunks, added, base, span):
    here = ChunkMap(NAME, chunks * 10, 10)
    for chunk in sorted(added):
        if chunk < chunks:
            here.add(chunk)
    missing = [n for n in range(chunks) if n not in here]
    assert here.first_missing == min(missing, default=chunks)
    within = sum(1 << (n - base) for n in missing if base <= n < base + span)
    assert here.missing(base, span) == within


def test_a_snapshot_with_a_chunk_behind_the_last_is_refused():
    body = ChunkMap(NAME, 30, 10).to_bytes()[:-4]
    damaged = body[:-1] + bytes([0b1000])
    with pytest.raises(BadManifest, match="bits for 3 chunks, found one behind the last"):
        ChunkMap.from_bytes(damaged + sha256(damaged).digest()[:4])
