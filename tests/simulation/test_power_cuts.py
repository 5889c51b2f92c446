"""Power goes at every effect of a download and activation, one run for each.

The device host burns a fuse: after so many performed effects power is gone, unsynced writes are torn.
Whatever the place, the device boots, fetches at most 64 KiB again, and ends on the new version.
"""

import pytest

from devicesdk.wire import limits
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit import worlds

SHARDS = 8


def update(fuse):
    """One device, one rollout, power cut after `fuse` effects from the offer on; 0 for none."""
    drill = worlds.make_drill(worlds.scenario_text(worlds.ROLLOUT, count=1, duration="75m"))
    world = drill.world
    host = world.hosts[0]
    burned = []

    def light(now, _):
        host.fuse = fuse if fuse else 10**9
        burned.append(host)

    def back(now, _):
        if not host.on:
            host.power_on(now)
        world.kernel.at(now + 20 * SECOND, back)

    world.kernel.at(30 * MINUTE, light)
    world.kernel.at(30 * MINUTE + 20 * SECOND, back)
    world.run()
    return drill, host


def test_an_undisturbed_update_takes_this_many_effects():
    drill, host = update(0)
    effects = 10**9 - host.fuse
    assert host.boot_id == 1
    assert worlds.broken(drill) == []
    assert 40 < effects < 400, effects


@pytest.mark.parametrize("shard", range(SHARDS))
def test_power_may_go_at_any_effect_of_an_update(shard):
    _, calm = update(0)
    effects = 10**9 - calm.fuse
    goal = calm.manifest
    for fuse in range(1 + shard, effects + 1, SHARDS):
        drill, host = update(fuse)
        told = f"power cut after effect {fuse} of {effects}"
        assert host.boot_id >= 2, told
        assert host.on, f"{told}: the device did not boot"
        assert host.manifest == goal, f"{told}: it did not reach the new version"
        assert worlds.broken(drill) == [], told
        refetched = drill.meter.refetched_chunks * limits.CHUNK_BYTES_DEFAULT
        assert refetched <= limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX, (
            f"{told}: {refetched} bytes again"
        )
