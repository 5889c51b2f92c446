"""The world's bench for deltas: real bytes, once for all who do the same."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from devicesdk.agent.effects import ApplyDelta
from devicesim.entropy import Entropy
from devicesim.world.deltas import DeltaBench, publish
from devicesim.world.flash import ChunkPool, Flash
from devicesim.world.store import BlobStore
from tests_kit import worlds
from tests_kit.agent_bundles import Bundle, Shortcut, edited

OLD = Bundle(1, size=200_000)
NEW = Bundle(2, image=edited(OLD.image, 70_001, 90_000))
WAY = Shortcut(OLD, NEW)
SMALL = Shortcut(OLD, Bundle(3, image=edited(OLD.image, 5, 50)))
ASKED = ApplyDelta("slot-b", len(NEW.image), "delta", len(WAY.data), "slot-a")
NOTHING = (b"", b"")
POOL = ChunkPool()


def _flash(name="a", image=OLD.image, delta=WAY.data, file="delta"):
    flash = Flash(POOL, Entropy(1).stream("flash", name), 1 << 22)
    for where, data in (("slot-a", image), (file, delta)):
        for at in range(0, len(data), 16_384):
            flash.write(where, at, data[at : at + 16_384])
        flash.sync(where)
    return flash


def test_ten_devices_cost_one_application():
    bench = DeltaBench()
    for name in "abcdefghij":
        made, base_bytes = bench.make(_flash(name), ASKED, NOTHING)
        assert b"".join(made.pieces) == NEW.image
        assert (made.reason, base_bytes) == ("", len(OLD.image))
    assert bench.applied == 1


def test_another_base_or_delta_is_another_case():
    bench = DeltaBench()
    bench.make(_flash(), ASKED, NOTHING)
    torn = OLD.image[:-1] + b"?"
    made, _ = bench.make(_flash(image=torn), ASKED, NOTHING)
    assert (made.reason, made.pieces) == ("delta", ())
    made, _ = bench.make(_flash(delta=WAY.data[:-1] + b"?"), ASKED, NOTHING)
    assert made.reason == "delta"
    assert bench.applied == 3


def test_a_factory_image_counts_until_its_slot_is_written():
    bench, flash = DeltaBench(), _flash(image=b"")
    factory = (sha256(OLD.image).digest(), OLD.image)
    made, base_bytes = bench.make(flash, ASKED, factory)
    assert (b"".join(made.pieces), base_bytes) == (NEW.image, len(OLD.image))
    assert bench.make(flash, ASKED, NOTHING)[0].reason == "delta"
    assert bench.factory_image(b"unknown", "int8") == NOTHING


def test_a_small_delta_is_a_small_file():
    flash = _flash(delta=b"")
    flash.save("meta-delta", SMALL.data)
    asked = replace(ASKED, delta="meta-delta", delta_bytes=len(SMALL.data))
    made, _ = DeltaBench().make(flash, asked, NOTHING)
    assert b"".join(made.pieces) == edited(OLD.image, 5, 50)


def test_what_is_remembered_is_bounded():
    bench = DeltaBench(bytes_max=1000)
    bench.make(_flash(), ASKED, NOTHING)
    bench.make(_flash(), ASKED, NOTHING)
    assert bench.applied == 2


TEXT = """
scenario: lab
clock: {duration: 1h}
fleet: [{group: kiosk, count: 1, profile: rpi4-kiosk, link: fcc-dsl}]
bundles:
  - {id: gauge, version: 1.1.0, path: models/gauge/1.1.0}
  - {id: gauge, version: 1.2.0, path: models/gauge-poisoned/1.2.0}
  - {id: gauge, version: 1.2.2, path: models/gauge-miscalibrated/1.2.2, chunk: 4KiB}
"""


@pytest.mark.parametrize("off", [False, True])
def test_each_release_gets_deltas_from_the_older_ones(off):
    world = worlds.make_world(TEXT.replace("4KiB", "4KiB, delta: off") if off else TEXT)
    bundles = {bundle.name: bundle for bundle in world.bundles.values()}
    blobs = BlobStore()
    found = [registered.delta for registered in publish(bundles, blobs)]
    assert [ref for ref in found if ref.base]
    for ref in found:
        data = blobs.read(ref.blob, 0, ref.size_bytes + 1)
        assert (len(data), sha256(data).digest()) == (ref.size_bytes, ref.blob)
    images = {name: dict(bundle.source.models) for name, bundle in bundles.items()}
    newest = {sha256(image).digest() for image in images["gauge@1.2.2"].values()}
    to_newest = [ref for ref in found if ref.target in newest]
    assert {ref.chunk_bytes for ref in to_newest} == (set() if off else {4_096})
    if not off:
        bases = {ref.base for ref in to_newest if ref.base}
        for name in ("gauge@1.1.0", "gauge@1.2.0"):
            older = {sha256(image).digest() for image in images[name].values()}
            assert bases & older, f"expected a delta from {name}"
