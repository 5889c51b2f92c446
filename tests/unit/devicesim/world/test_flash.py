from hashlib import sha256

import pytest

from devicesim.entropy import Entropy
from devicesim.world.flash import ChunkPool, Flash, FlashFullError


def flash(name="a", capacity=1 << 20, pool=None):
    return Flash(pool or ChunkPool(), Entropy(1).stream("flash", name), capacity)


def test_what_was_synced_survives_a_cut_and_reads_back():
    f = flash()
    f.write("slot-a", 0, b"x" * 100)
    f.write("slot-a", 100, b"y" * 50)
    f.sync("slot-a")
    f.cut()
    assert f.digest("slot-a", 150) == sha256(b"x" * 100 + b"y" * 50).digest()


def test_what_was_not_synced_is_torn_at_some_byte():
    tears = set()
    for name in "abcdefghijklmnop":
        f = flash(name)
        f.write("slot-a", 0, b"new" * 40)
        f.cut()
        tears.add(f.digest("slot-a", 120))
    whole = sha256(b"new" * 40).digest()
    assert len(tears) > 8
    assert whole not in tears or len(tears) > 1


def test_an_overwrite_that_was_torn_is_new_up_to_a_byte_and_old_after_it():
    f = flash("tear")
    f.write("slot-a", 0, b"o" * 1000)
    f.sync("slot-a")
    f.write("slot-a", 0, b"n" * 1000)
    f.cut()
    digests = {sha256(b"n" * k + b"o" * (1000 - k)).digest() for k in range(1001)}
    assert f.digest("slot-a", 1000) in digests


def test_a_save_is_the_old_file_or_the_new_one():
    f = flash()
    f.save("state", b"old")
    f.save("state", b"new")
    f.cut()
    assert f.read("state") == b"new"
    f.delete("state")
    assert f.read("state") is None


def test_sync_of_one_file_leaves_the_other_volatile_until_an_orderly_stop():
    f = flash()
    f.write("slot-a", 0, b"a" * 64)
    f.write("slot-b", 0, b"b" * 64)
    f.sync("slot-a")
    f.sync_all()
    f.cut()
    assert f.digest("slot-b", 64) == sha256(b"b" * 64).digest()
    assert f.used_bytes() == 128


def test_a_full_flash_refuses_and_stores_nothing():
    f = flash(capacity=100)
    with pytest.raises(FlashFullError, match="room"):
        f.write("slot-a", 90, b"x" * 20)
    with pytest.raises(FlashFullError, match="room"):
        f.save("state", bytes(101))
    assert f.used_bytes() == 0


def test_equal_chunks_of_many_devices_are_one_object():
    pool = ChunkPool()
    devices = [flash(str(i), pool=pool) for i in range(50)]
    for f in devices:
        f.write("slot-a", 0, bytes(16384))
        f.sync("slot-a")
    assert pool.intern(bytes(16384))[0] == 0
    assert pool.intern(b"other")[0] == 1
