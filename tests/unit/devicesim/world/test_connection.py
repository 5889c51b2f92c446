"""What the checks of the world need of paths, connections, flash and broker, and what they once found."""

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks.messages import copies_found
from devicesim.world.ledger import LEGS, DropCause
from tests_kit import worlds

DETACHED = "timeline: [{at: 29m30s, for: 20m, do: partition, how: detach, target: all}]\n"
NARROW = "timeline: [{at: 29m, for: 15m, do: bandwidth, rate: 4kbit/s, target: all}]\n"
DARK = "timeline: [{at: 20m, for: 2m, do: partition, target: all}]\n"


@pytest.fixture
def hosts():
    """Two devices and their world, not running yet."""
    return worlds.make_world(worlds.scenario_text(count=2)).hosts


def ran(rest):
    drill = worlds.make_drill(worlds.scenario_text(worlds.ROLLOUT + rest, count=3, duration="60m"))
    drill.world.run()
    return drill


def test_what_was_sent_to_a_device_that_had_left_is_dropped_with_a_cause():
    world = ran(DETACHED).world
    found = copies_found(world)
    assert {leg: world.ledger.held(leg) for leg in LEGS} == found
    assert world.ledger.drops("down")[DropCause.BLACK_HOLE] >= len(world.hosts)


def test_chunks_of_different_sizes_on_a_capped_path_keep_their_order():
    drill = ran(NARROW)
    assert drill.meter.read("updated_ratio") == 1.0
    assert worlds.broken(drill) == []


def test_a_path_knows_since_when_it_is_black_or_clear():
    drill = worlds.make_drill(worlds.scenario_text(DARK, count=1, duration="30m"))
    path = drill.world.hosts[0].path
    seen = []
    drill.world.kernel.at(21 * MINUTE, lambda now, _: seen.append((path.black, path.black_since)))
    drill.world.run()
    assert seen[0][0]
    assert seen[0][1] <= 20 * MINUTE
    assert not path.black
    assert path.cleared_at >= 22 * MINUTE


def test_a_flash_tells_what_a_power_cut_would_leave(hosts):
    flash = hosts[0].parts.flash
    flash.write("slot-b", 256, b"chunk")
    assert flash.holds("slot-b", 256)
    assert not flash.holds("slot-b", 256, durably=True)
    assert not flash.holds("slot-b", 0)
    flash.sync("slot-b")
    assert flash.holds("slot-b", 256, durably=True)


def test_the_broker_remembers_the_longest_queue():
    rest = (
        "flags: [{at: 25m, set: {new-dial: {percent: 50}}}, {at: 26m, kill: new-dial}]\n"
        "timeline: [{at: 20m, for: 30m, do: power.cut, target: all}]\n"
    )
    drill = ran(rest)
    assert drill.world.broker.core.queue_peak >= 2
    assert drill.meter.read("queue_peak") == drill.world.broker.core.queue_peak
