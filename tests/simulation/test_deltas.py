"""Updates by a delta in the world: really made, really applied, and cut at every effect."""

from __future__ import annotations

import pytest

from devicesdk.agent.notes import NoteKind
from devicesdk.wire import limits
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.watch import Watcher
from tests_kit import worlds

SHARDS = 6
HEAD = """
scenario: lab
seed: 7
clock: {{start: 2024-07-16T00:00:00Z, duration: {duration}}}
telemetry: {{window: 15m, frames: 2}}
fleet:
  - {{group: kiosk, count: {count}, profile: rpi4-kiosk, link: fcc-dsl}}
bundles:
  - {{id: gauge, version: 1.1.0, path: models/gauge/1.1.0}}
  - {{id: gauge, version: 1.2.1, path: models/gauge-mislabelled/1.2.1{bundle}}}
rollouts: [{{id: r1, bundle: gauge@1.2.1, at: 30m, waves: [100%], soak: 1m{rollout}}}]
"""


def text(count=1, duration="75m", bundle="", rollout=""):
    return HEAD.format(count=count, duration=duration, bundle=bundle, rollout=rollout)


class Books(Watcher):
    """What was fetched, and what became of deltas."""

    def __init__(self):
        self.chosen = self.applied = self.failed = self.bytes = 0

    def noted(self, host, effect, now):
        self.chosen += effect.kind == NoteKind.DELTA_CHOSEN
        self.applied += effect.kind == NoteKind.DELTA_APPLIED
        self.failed += effect.kind == NoteKind.DELTA_FAILED

    def received(self, host, message, now):
        self.bytes += len(message.payload) if message.kind == "dat" else 0


def ran(scenario, change=None):
    drill, books = worlds.make_drill(scenario), Books()
    drill.world.watch.add(books)
    if change is not None:
        change(drill.world)
    drill.world.run()
    assert worlds.broken(drill) == []
    return drill.world, books


def test_a_fleet_fetches_a_small_part_of_the_image_and_the_delta_is_applied_once():
    world, books = ran(text(count=30))
    (new,) = [b for b in world.bundles.values() if b.manifest.version == "1.2.1"]
    assert {host.manifest for host in world.hosts} == {new.digest}
    assert (books.chosen, books.applied, books.failed) == (30, 30, 0)
    assert world.hosts[0].shop.deltas.applied == 1
    image = max(v.image.size_bytes for v in new.manifest.variants)
    assert books.bytes / 30 < image / 10, "more than a tenth of the image for each device"


@pytest.mark.parametrize("where", [{"bundle": ", delta: off"}, {"rollout": ", delta: off"}])
def test_a_scenario_may_do_without(where):
    _, books = ran(text(count=3, **where))
    assert books.chosen == 0
    assert books.bytes > 3 * 80_000


def test_a_damaged_delta_costs_a_full_transfer_and_is_offered_no_more():
    def damage(world):
        for blob in world.gateway.blobs._blobs.values():
            if blob._data[:4] == b"FDD1":
                blob._data = blob._data[:-1] + bytes([blob._data[-1] ^ 1])

    world, books = ran(text(count=8), damage)
    (new,) = [b for b in world.bundles.values() if b.manifest.version == "1.2.1"]
    assert {host.manifest for host in world.hosts} == {new.digest}
    assert books.applied == 0
    assert books.failed == books.chosen == 8


def update(fuse):
    """One device, power cut after `fuse` effects from the offer on; 0 for none."""
    drill, books = worlds.make_drill(text()), Books()
    world = drill.world
    world.watch.add(books)
    host = world.hosts[0]

    def light(now, _):
        host.fuse = fuse if fuse else 10**9

    def back(now, _):
        if not host.on:
            host.power_on(now)
        world.kernel.at(now + 20 * SECOND, back)

    world.kernel.at(30 * MINUTE, light)
    world.kernel.at(30 * MINUTE + 20 * SECOND, back)
    world.run()
    return drill, host, books


@pytest.mark.parametrize("shard", range(SHARDS))
def test_power_may_go_at_any_effect(shard):
    _, calm, books = update(0)
    effects, goal = 10**9 - calm.fuse, calm.manifest
    assert (books.applied, 30 < effects < 400) == (1, True), effects
    for fuse in range(1 + shard, effects + 1, SHARDS):
        drill, host, books = update(fuse)
        told = f"power cut after effect {fuse} of {effects}"
        assert host.boot_id >= 2, told
        assert host.manifest == goal, f"{told}: it did not reach the new version"
        assert worlds.broken(drill) == [], told
        assert books.failed == 0, told
        again = drill.meter.refetched_bytes
        assert again <= limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX, f"{told}: {again} bytes again"


def test_the_state_is_downloading_until_the_image_is_there():
    seen = []

    class States(Watcher):
        def noted(self, host, effect, now):
            if effect.kind == NoteKind.UPDATE_STATE:
                seen.append(UpdateState(effect.a))

    drill = worlds.make_drill(text())
    drill.world.watch.add(States())
    drill.world.run()
    order = [UpdateState.DOWNLOADING, UpdateState.DOWNLOADED, UpdateState.VERIFIED]
    assert [state for state in seen if state in order] == order
