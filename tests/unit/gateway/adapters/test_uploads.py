"""Blobs in parts: resumed, verified, bounded."""

from hashlib import sha256

import pytest

from devicesdk.wire import limits
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.uploads import UploadError, Uploads
from gateway.ports import BlobError

DATA = bytes(range(256)) * 20
DIGEST = sha256(DATA).digest()


@pytest.fixture
def blobs(tmp_path):
    made = FileBlobs(tmp_path / "blobs")
    yield made
    made.close()


@pytest.fixture
def uploads(blobs, tmp_path):
    return Uploads(blobs, tmp_path / "blobs" / "uploads", 3)


def send(uploads, digest, first, data, size):
    part = uploads.begin(digest, first, size)
    try:
        part.write(data)
    finally:
        part.close()
    return part.have


def test_parts_become_a_blob_when_they_hash_to_its_name(uploads, blobs, tmp_path):
    assert send(uploads, DIGEST, 0, DATA[:1000], len(DATA)) == 1000
    again = Uploads(blobs, tmp_path / "blobs" / "uploads", 3)
    assert again.have(DIGEST) == (1000, False)
    send(again, DIGEST, 1000, DATA[1000:], len(DATA))
    again.finish(DIGEST)
    assert again.have(DIGEST) == (len(DATA), True)
    assert blobs.read(DIGEST, 0, len(DATA)) == DATA
    assert FileBlobs(tmp_path / "blobs").size_bytes(DIGEST) == len(DATA)
    path = next((tmp_path / "blobs").glob("??/*"))
    assert path.stat().st_mode & 0o077 == 0, "others may read it"


def test_what_does_not_hash_to_its_name_is_thrown_away(uploads, blobs):
    send(uploads, DIGEST, 0, DATA[::-1], len(DATA))
    with pytest.raises(UploadError, match="expected bytes that hash to") as caught:
        uploads.finish(DIGEST)
    assert caught.value.code == "hash"
    with pytest.raises(BlobError):
        uploads.have(DIGEST)
    with pytest.raises(BlobError):
        blobs.verify(DIGEST)


def test_a_part_goes_on_at_its_end_or_from_the_beginning(uploads):
    send(uploads, DIGEST, 0, DATA[:1000], len(DATA))
    with pytest.raises(UploadError, match="expected the bytes from 1000 on") as caught:
        uploads.begin(DIGEST, 999, len(DATA))
    assert (caught.value.code, caught.value.have) == ("offset", 1000)
    assert send(uploads, DIGEST, 0, DATA[:10], len(DATA)) == 10
    with pytest.raises(UploadError, match="found more"):
        send(uploads, DIGEST, 10, bytes(len(DATA)), len(DATA))
    for size in (0, limits.BLOB_BYTES_MAX + 1):
        with pytest.raises(UploadError, match="bytes, found"):
            uploads.begin(DIGEST, 0, size)


def test_one_writer_at_a_time(uploads):
    uploads.claim(DIGEST)
    with pytest.raises(UploadError, match="somebody else sends"):
        uploads.claim(DIGEST)
    assert uploads.busy == 1
    uploads.release(DIGEST)
    uploads.claim(DIGEST)


def test_full_the_oldest_idle_part_makes_room(uploads):
    digests = [bytes([number]) * 32 for number in range(4)]
    uploads.claim(digests[0])
    for digest in digests:
        send(uploads, digest, 0, b"part", 100)
    kept = [d for d in digests if uploads.forget(d)]
    assert kept == [digests[0], digests[2], digests[3]], "a part under way, or a newer one, went"
    assert not uploads.forget(digests[0])
