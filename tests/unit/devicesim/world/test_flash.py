from hashlib import sha256

import pytest

from devicesim.entropy import Entropy
from devicesim.world.flash import (
    BLOCK_BYTES,
    ChunkPool,
    Flash,
    FlashFullError,
    FlashWornError,
    Worn,
)


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


def test_a_cut_may_tear_at_every_byte_boundary():
    f, kept = flash("boundaries"), set()
    for _ in range(400):
        f.restore({}, {})
        f.write("slot-a", 0, bytes(16))
        f.cut()
        kept.add(f.contents_of("slot-a").count(0))
    assert kept == set(range(17)), "a boundary at which no write was ever torn"


def test_worn_flash_refuses_some_writes_and_stores_nothing_of_them():
    f = flash("worn")
    fault = Worn(Entropy(1).stream("flash.worn", "worn"), 0.25, 0.0)
    f.worn = (fault,)
    refused = 0
    for index in range(200):
        try:
            f.write("slot-a", index * 16, bytes(16))
        except FlashWornError:
            refused += 1
            assert not f.holds("slot-a", index * 16)
    assert 25 < refused < 75, f"{refused} of 200 at a quarter"
    f.worn = ()
    for index in range(200):
        f.write("slot-a", index * 16, bytes(16))


def test_a_bad_block_is_bad_whenever_it_is_written_and_small_files_move():
    def bad(order):
        f = flash("worn", capacity=1 << 30)
        f.worn = (Worn(Entropy(1).stream("flash.worn", "blocks"), 0.0, 0.2),)
        found = []
        for block in order:
            try:
                f.write("slot-a", block * BLOCK_BYTES, bytes(16))
            except FlashWornError:
                found.append(block)
        f.save("state", bytes(16))
        return sorted(found)

    once = bad(range(100))
    assert 8 < len(once) < 35, f"{len(once)} of 100 at a fifth"
    assert bad(reversed(range(100))) == once, "which blocks are bad depends on who asks first"


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
