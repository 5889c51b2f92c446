"""The gateway crashes between any two effects of a day's decisions; nothing decided is lost."""

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit import worlds

SHARDS = 6
PLAN = worlds.ROLLOUT + (
    "flags:\n  - {at: 31m, set: {new-dial: {percent: 50}}}\n  - {at: 33m, kill: new-dial}\n"
)


def day(fuse):
    drill = worlds.make_drill(worlds.scenario_text(PLAN, count=2, duration="80m"))
    world = drill.world
    gateway = world.gateway

    def light(now, _):
        gateway.fuse = fuse if fuse else 10**9

    def back(now, _):
        if not gateway.up:
            gateway.start(now)
        world.kernel.at(now + 5 * SECOND, back)

    world.kernel.at(30 * MINUTE - SECOND, light)
    world.kernel.at(30 * MINUTE, back)
    world.run()
    return drill


def outcome(drill):
    """What every device runs, and what it knows of flags and kills, as the broker retains it."""
    world = drill.world
    view = world.gateway.core.overview()
    return (
        [host.manifest for host in world.hosts],
        view.kill_version,
        view.flags_revs,
        [v.state for v in world.gateway.core.rollout_views() if v.id == "r1"],
    )


def test_the_calm_day():
    drill = day(0)
    assert worlds.broken(drill) == []
    assert 10**9 - drill.world.gateway.fuse > 60
    assert outcome(drill)[1] == 1


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_crash_between_any_two_effects_changes_nothing_that_was_decided(shard):
    calm = day(0)
    effects = 10**9 - calm.world.gateway.fuse
    goal = outcome(calm)
    for fuse in range(1 + shard, effects + 1, SHARDS):
        drill = day(fuse)
        told = f"gateway crash at effect {fuse} of {effects}"
        assert drill.world.gateway.crashes == 1, told
        assert outcome(drill) == goal, told
        assert worlds.broken(drill) == [], told
