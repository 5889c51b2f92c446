"""Blobs: whole or not at all, and what their name says or nothing."""

import os
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.adapters.blobs import (
    BLOCK_BYTES,
    CACHE_BLOCKS_MAX,
    VERIFY_INLINE_BYTES_MAX,
    FileBlobs,
)
from gateway.ports import BlobError
from tests_kit.open_files import held_below

DATA = bytes(range(256)) * 300


@pytest.fixture
def blobs(tmp_path):
    made = FileBlobs(tmp_path / "blobs", open_files_max=2)
    yield made
    made.close()


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def file_of(tmp_path, digest):
    return tmp_path / "blobs" / digest.hex()[:2] / digest.hex()


def test_what_was_put_is_read_by_its_digest_in_ranges(blobs):
    digest = blobs.put(DATA)
    assert digest == sha256(DATA).digest()
    assert blobs.size_bytes(digest) == len(DATA)
    assert blobs.read(digest, 0, 10) == DATA[:10]
    assert blobs.read(digest, 70_000, 16_384) == DATA[70_000:]
    assert blobs.read(digest, len(DATA), 5) == b""


def test_nothing_half_written_is_left_beside_the_blob(blobs, tmp_path):
    digest = blobs.put(DATA)
    assert names_in(file_of(tmp_path, digest).parent) == [digest.hex()]
    assert blobs.put(DATA) == digest


def test_a_write_that_fails_leaves_nothing(blobs, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        blobs.put(DATA)
    folder = file_of(tmp_path, sha256(DATA).digest()).parent
    assert names_in(folder) == []


def test_another_process_reads_what_was_put_and_hashes_it_first(blobs, tmp_path):
    digest = blobs.put(DATA)
    other = FileBlobs(tmp_path / "blobs")
    assert other.read(digest, 5, 5) == DATA[5:10]
    other.close()


@pytest.mark.parametrize("damage", [DATA[:-1], b"x" + DATA[1:], b""])
def test_a_damaged_blob_is_refused_and_publishing_it_again_heals_it(blobs, tmp_path, damage):
    digest = blobs.put(DATA)
    file_of(tmp_path, digest).write_bytes(damage)
    other = FileBlobs(tmp_path / "blobs")
    with pytest.raises(BlobError, match=r"expected .* to hash to its name"):
        other.read(digest, 0, 1)
    other.put(DATA)
    assert other.read(digest, 0, 3) == DATA[:3]
    other.close()


def test_a_missing_blob_is_named(blobs):
    for ask in (lambda: blobs.read(bytes(32), 0, 1), lambda: blobs.size_bytes(bytes(32)),
                lambda: blobs.verify(bytes(32))):  # fmt: skip
        with pytest.raises(BlobError, match="expected a blob 0000"):
            ask()
    assert blobs.ready(bytes(32)), "reading says what is missing"


def test_at_most_so_many_files_are_open_and_the_one_read_longest_ago_goes(blobs, tmp_path):
    digests = [blobs.put(bytes([number]) * 50) for number in range(3)]
    before = open_files()
    for digest in (*digests[:2], digests[0], digests[2], digests[0]):
        blobs.read(digest, 0, 1)
    assert open_files() == before + 2
    assert list(blobs._open) == [digests[2], digests[0]]


def test_a_large_blob_is_not_ready_until_it_was_verified(blobs, tmp_path):
    large = b"\0" * (VERIFY_INLINE_BYTES_MAX + 1)
    digest, small = blobs.put(large), blobs.put(b"small")
    other = FileBlobs(tmp_path / "blobs")
    assert other.ready(small)
    assert not other.ready(digest)
    other.verify(digest)
    other.verify(digest)
    assert other.ready(digest)
    other.close()
    assert not other.ready(digest), "what was closed is hashed again"


def test_chunks_are_those_of_the_file_wherever_they_lie(blobs):
    data = bytes(range(251)) * 1_200
    digest = blobs.put(data)
    for size in (1_000, 16_384, BLOCK_BYTES, BLOCK_BYTES + 1):
        for offset in range(0, len(data), size):
            assert blobs.chunk(digest, offset, size) == data[offset : offset + size]


def test_a_block_that_many_read_is_read_once_and_so_many_are_kept(blobs, monkeypatch):
    data = bytes(BLOCK_BYTES) * (CACHE_BLOCKS_MAX + 1)
    digest, reads, pread = blobs.put(data), [], os.pread
    monkeypatch.setattr(os, "pread", lambda *what: reads.append(what[2]) or pread(*what))
    for _ in range(200):
        blobs.chunk(digest, 16_384, 16_384)
    assert reads == [0]
    for number in range(CACHE_BLOCKS_MAX + 1):
        blobs.chunk(digest, number * BLOCK_BYTES, 4_096)
    assert len(reads) == CACHE_BLOCKS_MAX + 1
    blobs.chunk(digest, 0, 4_096)
    assert len(reads) == CACHE_BLOCKS_MAX + 2, "the first was read longest ago, and went"


def test_a_blob_that_is_discarded_is_gone_and_comes_again(blobs):
    digest = blobs.put(DATA)
    blobs.discard(digest)
    blobs.discard(digest)
    with pytest.raises(BlobError):
        blobs.verify(digest)
    assert blobs.put(DATA) == digest
    blobs.verify(digest)


def test_threads_that_read_close_no_file_under_each_other(tmp_path):
    """A bundle is checked in a thread while chunks are read for devices: each gets its own bytes."""
    blobs = FileBlobs(tmp_path, open_files_max=1)
    wanted = [bytes([number]) * 4096 for number in range(4)]
    names = [blobs.put(data) for data in wanted]
    wrong = []

    def read(first):
        for turn in range(4_000):
            place = (first + turn) % len(names)
            try:
                found = blobs.read(names[place], 0, 4096)
            except OSError as error:
                wrong.append(repr(error))
                return
            if found != wanted[place]:
                wrong.append(f"blob {place} had bytes of {found[:1]!r}")
                return

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=read, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    blobs.close()
    assert wrong == []


def test_a_blob_that_is_not_here_is_told_without_where_it_would_be(tmp_path):
    with pytest.raises(BlobError) as told:
        FileBlobs(tmp_path).size_bytes(bytes(32))
    assert str(tmp_path) not in str(told.value), "callers of the API need not know our folders"


def test_a_whole_blob_is_read_without_a_file_that_stays_open(tmp_path):
    blobs = FileBlobs(tmp_path)
    name = blobs.put(b"archive")
    assert blobs.whole(name) == b"archive"
    blobs.discard(name)
    assert held_below(tmp_path) == [], "its bytes stay on the disk"
    with pytest.raises(BlobError):
        blobs.whole(name)
