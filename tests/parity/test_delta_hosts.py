"""The two hosts make the same image of the same delta, and refuse the same ones with the same word."""

from __future__ import annotations

import pytest

from devicesdk.agent.effects import ApplyDelta
from devicesdk.host import deltas
from devicesdk.host.storage import Storage
from devicesim.entropy import Entropy
from devicesim.world.deltas import DeltaBench
from devicesim.world.flash import ChunkPool, Flash
from tests_kit.agent_bundles import Bundle, Shortcut, edited

OLD = Bundle(1, size=300_000)
NEW = Bundle(2, image=edited(OLD.image, 50_001, 90_000)[:280_000])
WAY = Shortcut(OLD, NEW)
SIZE = len(NEW.image)
CASES = {
    "good": (OLD.image, WAY.data, SIZE),
    "longer base": (OLD.image + b"rest", WAY.data, SIZE),
    "other base": (OLD.image[:-1] + b"?", WAY.data, SIZE),
    "short base": (OLD.image[:1000], WAY.data, SIZE),
    "no base": (b"", WAY.data, SIZE),
    "cut off": (OLD.image, WAY.data[:-5], SIZE),
    "no delta": (OLD.image, b"", SIZE),
    "noise": (OLD.image, b"noise" * 1000, SIZE),
    "other size": (OLD.image, WAY.data, SIZE - 1),
}


def _real(folder, base, delta, asked):
    storage = Storage(folder)
    for file, data in (("slot-a", base), ("delta", delta)):
        if data:
            storage.write(file, 0, data)
            storage.sync(file)
    said = deltas.apply(storage, asked)
    image = storage.read("slot-b") if said.ok else b""
    storage.close()
    return said.reason, image


def _virtual(base, delta, asked):
    flash = Flash(ChunkPool(), Entropy(1).stream("flash", "a"), 1 << 22)
    for file, data in (("slot-a", base), ("delta", delta)):
        for at in range(0, len(data), 16_384):
            flash.write(file, at, data[at : at + 16_384])
        flash.sync(file)
    made, _ = DeltaBench().make(flash, asked, (b"", b""))
    return made.reason, b"".join(made.pieces)


@pytest.mark.parametrize("case", CASES)
def test_both_hosts_say_and_make_the_same(tmp_path, case):
    base, delta, size = CASES[case]
    asked = ApplyDelta("slot-b", size, "delta", len(delta), "slot-a")
    real, virtual = _real(tmp_path, base, delta, asked), _virtual(base, delta, asked)
    assert real == virtual
    assert (real[0] == "") is (case in ("good", "longer base"))
    assert real[1] == (NEW.image if real[0] == "" else b"")
