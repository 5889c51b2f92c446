"""The figures that the protocol promises, each in its own small world."""

import hashlib

import msgspec
import pytest

from devicesdk.bundle.manifest import BlobRef, encode_manifest
from devicesdk.bundle.roles import listed
from devicesdk.wire import limits
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.models.loss import mathis_bps
from devicesim.world.assemble import make_keys
from devicesim.world.bundles import InstalledBundle
from devicesim.world.store import SparseBlob
from devicesim.world.watch import Watcher
from gateway.core import stimuli as hear
from tests_kit import worlds

MIB = 1 << 20
NOT_IN_THE_SCENARIO = ("wave_cap",)
"""The big rollout comes through the API, so the scenario's plan does not know its waves."""


class Wire(Watcher):
    """Bytes of data frames, their payload and instants, as one device receives them."""

    def __init__(self, world):
        self.world, self.frames, self.payload, self.other = world, 0, 0, 0
        self.first = self.last = None
        self.peak = 0

    def received(self, host, message, now):
        if message.kind != "dat":
            self.other += len(message.payload)
            return
        self.first = self.first or now
        self.last = now
        self.frames += 1
        self.payload += len(message.payload) - limits.FRAME_HEADER_BYTES
        flying = host.path.connection._flying_down
        self.peak = max(self.peak, sum(len(m.payload) for _, _, m in flying) + len(message.payload))

    def published(self, host, effect, now):
        if effect.kind == "get":
            self.other += len(effect.payload)


def big_bundle(world, size, chunk_bytes):
    """A bundle whose image is `size` zeros; it runs as the shipped model does."""
    base = next(b for b in world.bundles.values() if b.name == "gauge@1.1.0")
    chunk = hashlib.sha256(bytes(chunk_bytes)).digest()
    hashes = chunk * (size // chunk_bytes)
    hasher, block = hashlib.sha256(), bytes(MIB)
    for _ in range(size // MIB):
        hasher.update(block)
    blobs = world.gateway.blobs
    blobs.adopt(hasher.digest(), SparseBlob(size))
    variants = tuple(
        msgspec.structs.replace(
            variant,
            image=BlobRef(hasher.hexdigest(), size),
            hashes=BlobRef(blobs.add(hashes).hex(), len(hashes)),
            chunk_bytes=chunk_bytes,
        )
        for variant in base.manifest.variants
    )
    manifest = msgspec.structs.replace(
        base.manifest, version="9.0.0", release=99, variants=variants
    )
    envelope = make_keys(world.entropy.seed).targets.seal(encode_manifest(manifest))
    digest = blobs.add(envelope)
    world.bundles[digest] = InstalledBundle(
        manifest, digest, len(envelope), base.source, listed(manifest, envelope)
    )
    shelf = world.hosts[0].shop.models
    for variant in variants:
        shelf.put(digest, variant.name, shelf.get((base.digest, variant.name)))
    listing = [bundle.listed for bundle in world.bundles.values()]
    world.gateway.stimulate(hear.RegisterRole(world.roles.targets(listing, 0)), 0)
    world.gateway.stimulate(hear.RegisterBundle(manifest, digest, len(envelope)), 0)
    return digest


def roll_out_big(size, chunk_bytes, links, duration):
    drill = worlds.make_drill(
        worlds.scenario_text(count=1, duration=duration, link="lab"), links=links
    )
    world = drill.world
    digest = big_bundle(world, size, chunk_bytes)
    wire = Wire(world)
    world.watch.add(wire)
    plan = hear.RolloutPlan(id="big", bundle="gauge@9.0.0", waves=(1.0,), soak_ns=0, jitter_ms=0)
    world.kernel.at(
        20 * MINUTE, lambda now, _: world.gateway.stimulate(hear.CreateRollout(plan), now)
    )
    world.run()
    return drill, wire, digest


def test_a_long_lossy_link_is_filled_to_four_fifths_with_three_percent_on_top():
    size = 4 * MIB
    drill, wire, digest = roll_out_big(
        size, 16 * 1024, worlds.lab_link(200.0, 50_000.0, 0.02), "50m"
    )
    assert drill.world.hosts[0].manifest == digest
    carried = mathis_bps(200 * 10**6, 0.02, 1.0) / 8
    goodput = wire.payload / ((wire.last - wire.first) / SECOND)
    assert goodput >= 0.8 * carried, (
        f"goodput {goodput:,.0f} B/s of {carried:,.0f} B/s that the link carries"
    )
    overhead = (wire.frames * limits.FRAME_HEADER_BYTES + wire.other) / wire.payload
    assert overhead <= 0.03, f"{overhead:.2%} of protocol on top of the payload"
    assert worlds.broken(drill, but=NOT_IN_THE_SCENARIO) == []


def test_a_bundle_of_a_gibibyte_arrives_in_the_memory_of_its_window():
    size, chunk = 1 << 30, 64 * 1024
    drill, wire, digest = roll_out_big(size, chunk, worlds.lab_link(20.0, 400_000.0), "75m")
    host = drill.world.hosts[0]
    assert host.manifest == digest
    assert wire.payload >= size
    window = limits.ROUNDS_OUTSTANDING_MAX * limits.ROUND_BYTES_MAX
    headers = limits.FRAME_HEADER_BYTES * 2 * limits.ROUND_CHUNKS_MAX
    assert wire.peak <= window + headers, f"{wire.peak} bytes on the wire at once"
    assert host.parts.flash.used_bytes() < 2 * size + 64 * MIB
    assert worlds.broken(drill, but=NOT_IN_THE_SCENARIO) == []


@pytest.mark.slow
def test_ten_thousand_online_devices_are_offered_a_change_within_ten_seconds():
    text = worlds.scenario_text(
        "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [100%], jitter: 0s}]\n",
        count=10_000,
        duration="31m",
        link="lab",
    ).replace("window: 15m, frames: 2", "window: 20m, frames: 1")
    world = worlds.make_world(text, links=worlds.lab_link())
    offers = []

    class Offers(Watcher):
        def received(self, host, message, now):
            if message.kind == "want" and now > 30 * MINUTE:
                offers.append(now)

    from devicesim.world.timeline import Timeline

    world.watch.add(Offers())
    Timeline(world, lambda _: 0.0).arm()
    world.run()
    assert len(offers) >= 10_000
    assert offers[9_999] - 30 * MINUTE <= 10 * SECOND, (
        f"{(offers[9_999] - 30 * MINUTE) / SECOND:.1f} s"
    )
