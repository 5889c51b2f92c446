"""Deltas on a real disk: the image comes in bounded memory, and what goes wrong is an answer."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest

from devicesdk.agent.effects import ApplyDelta
from devicesdk.agent.stimuli import DeltaApplied
from devicesdk.host import deltas
from devicesdk.host.deltas import Ranges
from devicesdk.host.storage import Storage
from tests_kit.agent_bundles import Bundle, Shortcut, edited

OLD = Bundle(1, size=900_000)
NEW = Bundle(2, image=edited(OLD.image, 400_000, 200_000)[:800_000])
WAY = Shortcut(OLD, NEW)
ASKED = ApplyDelta("slot-b", len(NEW.image), "delta", len(WAY.data), "slot-a")


@pytest.fixture
def storage(tmp_path):
    storage = Storage(tmp_path)
    storage.save("slot-a", OLD.image)
    storage.save("delta", WAY.data)
    storage.write("slot-b", 0, b"what was there before" * 100_000)
    storage.sync("slot-b")
    yield storage
    storage.close()


def test_the_slot_holds_the_image_and_nothing_else(storage):
    assert deltas.apply(storage, ASKED) == DeltaApplied("slot-b", True, "")
    assert storage.read("slot-b") == NEW.image
    assert storage.read("slot-a") == OLD.image
    assert storage.digest("slot-b", len(NEW.image)) == sha256(NEW.image).digest()


def test_a_delta_without_a_base_needs_none(storage):
    text = b"a text that compresses " * 9_000
    whole = Shortcut(Bundle(3, image=b"x"), Bundle(4, image=text))
    storage.save("meta-delta", whole.data)
    asked = ApplyDelta("slot-b", len(text), "meta-delta", len(whole.data), "")
    assert deltas.apply(storage, asked).ok
    assert storage.read("slot-b") == text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.delete("delta"), "delta"),
        (lambda s: s.save("delta", WAY.data[:-1]), "delta"),
        (lambda s: s.save("slot-a", OLD.image[:-1] + b"?"), "delta"),
        (lambda s: s.delete("slot-a"), "delta"),
        (lambda s: (s.folder / "slot-b").unlink() or (s.folder / "slot-b").mkdir(), "storage"),
        (lambda s: s.delete("delta") or (s.folder / "delta").symlink_to("/dev/zero"), "storage"),
    ],
    ids=["no delta", "cut off", "other base", "no base", "no slot", "not a file of ours"],
)
def test_what_goes_wrong_is_an_answer(storage, change, reason):
    change(storage)
    assert deltas.apply(storage, ASKED) == DeltaApplied("slot-b", False, reason)


def test_a_full_disk_is_an_answer(storage, monkeypatch):
    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert deltas.apply(storage, ASKED) == DeltaApplied("slot-b", False, "storage")


def test_ranges_end_where_the_file_does(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        assert Ranges(file.fileno()).size_bytes == 10
        short = Ranges(file.fileno(), 4)
        assert (short.read(2, 100), short.read(4, 1), short.read(9, 1)) == (b"23", b"", b"")
