from hashlib import sha256

import pytest

from devicesim.world.store import BlobStore, GatewayStore, SparseBlob


def test_a_crash_forgets_the_open_batch_and_nothing_else():
    store = GatewayStore()
    store.put("twins", "a", 1)
    store.put("twins", "b", 2)
    store.commit()
    store.put("twins", "a", None)
    store.put("twins", "c", 3)
    assert store.crash() == 2
    assert list(store.rows()) == [("twins", "a", 1), ("twins", "b", 2)]
    store.put("twins", "a", None)
    store.commit()
    store.commit()
    assert list(store.rows()) == [("twins", "b", 2)]
    assert store.commits == 2


def test_a_blob_is_named_by_its_digest_and_read_in_pieces():
    blobs = BlobStore()
    name = blobs.add(b"0123456789")
    assert name == sha256(b"0123456789").digest()
    assert blobs.read(name, 8, 16) == b"89"
    with pytest.raises(KeyError):
        blobs.read(bytes(32), 0, 1)


def test_a_blob_that_is_discarded_is_not_there_any_more():
    blobs = BlobStore()
    kept, gone = blobs.add(b"kept"), blobs.add(b"gone")
    blobs.discard(gone)
    blobs.discard(gone)
    assert blobs.read(kept, 0, 9) == b"kept"
    with pytest.raises(KeyError):
        blobs.read(gone, 0, 9)


def test_a_sparse_blob_is_zeros_with_islands_at_any_size():
    blob = SparseBlob(1 << 30, ((10, b"abc"), ((1 << 30) - 2, b"yz")))
    assert blob.read(8, 6) == b"\0\0abc\0"
    assert blob.read((1 << 30) - 3, 100) == b"\0yz"
    blobs = BlobStore()
    blobs.adopt(bytes(32), blob)
    assert blobs.read(bytes(32), 11, 1) == b"b"
