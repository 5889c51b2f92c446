"""Who crashes, how often, and what ends it; each claim beside a world in which it would not hold."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.world.watch import Watcher
from tests_kit.worlds import KIOSKS, broken, make_drill

TEXT = """
scenario: lab
seed: 7
clock: {{start: 2024-07-16T00:00:00Z, duration: {duration}}}
telemetry: {{window: 15m, frames: 2}}
fleet:
{fleet}
bundles:
  - {{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}}
  - {{id: gauge, version: 1.1.0, path: models/gauge/1.1.0{costs}}}
"""
ROLLOUT = (
    "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [100%], soak: 1m,"
    " gate: {failures: 90%}}]\n"
)
LOOP = "timeline:\n  - {at: 40m, do: boot.loop, uptime: 20s, for: 20m, target: all%s}\n"


class Boots(Watcher):
    """When each device booted."""

    def __init__(self, drill):
        self.at = {host.index: [] for host in drill.world.hosts}
        drill.world.watch.add(self)

    def booted(self, host, now):
        self.at[host.index].append(now)

    def between(self, start, end):
        return [sum(start <= at < end for at in boots) for boots in self.at.values()]


def ran(rest="", costs="", duration="3h", count=3):
    fleet = KIOSKS.format(count=count, link="fcc-dsl")
    costs = f", costs: {{{costs}}}" if costs else ""
    drill = make_drill(TEXT.format(duration=duration, fleet=fleet, costs=costs) + rest)
    boots = Boots(drill)
    drill.world.run()
    assert broken(drill) == []
    return drill, boots


def running(drill):
    """The version on each device, by what the host runs."""
    names = {digest: bundle.manifest.version for digest, bundle in drill.world.bundles.items()}
    return [names.get(host.manifest, "") for host in drill.world.hosts]


def test_a_boot_loop_lasts_for_its_time_and_is_over_then():
    drill, boots = ran(LOOP % "")
    looping = boots.between(40 * MINUTE, 60 * MINUTE)
    assert all(40 <= n <= 44 for n in looping), f"28 s a round: {looping}"
    assert boots.between(61 * MINUTE, 3 * HOUR) == [0, 0, 0], "still looping after the end"
    assert all(host.online for host in drill.world.hosts)


def test_only_who_runs_the_bundle_is_in_the_loop():
    _, boots = ran(LOOP % ", bundle: gauge@1.1.0")
    assert boots.between(40 * MINUTE, 60 * MINUTE) == [0, 0, 0], "nobody runs that bundle"


def test_a_loop_in_the_trial_is_ended_by_the_agents_boot_counter():
    rest = ROLLOUT + "timeline:\n  - {at: 0s, do: boot.loop, target: all, bundle: gauge@1.1.0}\n"
    drill, boots = ran(rest)
    assert running(drill) == ["1.0.0"] * 3
    assert boots.between(30 * MINUTE, 3 * HOUR) == [2, 2, 2], "one boot more than the agent allows"
    assert drill.meter.updates.rollouts["r1"].waves[0].rolled_back == 3


def test_devices_that_gave_up_stay_down_until_somebody_comes():
    rest = (
        "timeline:\n  - {at: 40m, do: boot.loop, gives_up_after: 3, target: all}\n"
        "  - {at: 2h, do: device.repair, target: id=kiosk-0000}\n"
    )
    drill, boots = ran(rest)
    assert boots.between(40 * MINUTE, 2 * HOUR) == [2, 2, 2], "the third crash is the last"
    assert [host.on for host in drill.world.hosts] == [True, False, False]
    assert boots.between(2 * HOUR, 3 * HOUR) == [1, 0, 0], "the repaired one crashed again"


def test_the_end_of_a_loop_brings_back_who_gave_up():
    drill, _ = ran(
        "timeline:\n  - {at: 40m, do: boot.loop, gives_up_after: 2, for: 1h, target: all}\n"
    )
    assert [host.online for host in drill.world.hosts] == [True] * 3


def test_repairs_take_their_time():
    rest = (
        "timeline:\n  - {at: 40m, do: boot.loop, gives_up_after: 1, target: all}\n"
        "  - {at: 1h, do: device.repair, target: all, order: swizzle(1h)}\n"
    )
    _, boots = ran(rest, count=6)
    back = sorted(times[-1] for times in boots.at.values())
    assert len(set(back)) == 6, "they came back together"
    assert HOUR <= back[0] < back[-1] <= 2 * HOUR


@pytest.mark.parametrize(
    ("costs", "left", "crashes"),
    [
        ("crashes: {}", ["1.0.0"] * 3, 6),
        ("crashes: {after: 1h, gives_up_after: 5}", ["1.1.0"] * 3, 15),
        ("", ["1.1.0"] * 3, 0),
    ],
    ids=["in the trial", "after the trial", "never"],
)
def test_content_that_crashes_its_device(costs, left, crashes):
    drill, _ = ran(ROLLOUT, costs)
    assert drill.world.crashes.crashes == crashes
    assert running(drill) == left
    assert all(host.on for host in drill.world.hosts) == ("after" not in costs)


def test_a_revert_is_heard_between_two_crashes_of_a_committed_bundle():
    rest = (
        "rollouts:\n  - {id: r1, bundle: gauge@1.1.0, at: 30m, waves: [100%], soak: 1m}\n"
        "  - {id: r2, bundle: gauge@1.0.0, at: 2h, waves: [100%], soak: 1m}\n"
    )
    drill, boots = ran(rest, "crashes: {after: 30m, uptime: 1m}")
    assert min(boots.between(HOUR + MINUTE, 2 * HOUR)) > 30, "there was no loop to get out of"
    assert running(drill) == ["1.0.0"] * 3
    assert boots.between(2 * HOUR + 20 * MINUTE, 3 * HOUR) == [0, 0, 0]


RED_BUTTON = "flags:\n  - {at: 1h, set: {new-dial: {percent: 100}}}\n%s"
KILL = "  - {at: 90m, kill: new-dial}\n"


@pytest.mark.parametrize(("kill", "after"), [(KILL, [0] * 3), ("", [1] * 3)], ids=["kill", "none"])
def test_a_kill_of_the_flag_ends_what_the_flag_began(kill, after):
    flags = RED_BUTTON % kill
    drill, boots = ran(ROLLOUT + flags, "crashes: {flag: new-dial, uptime: 30s}")
    assert boots.between(31 * MINUTE, HOUR) == [0, 0, 0], "valid until its flag went on"
    assert min(boots.between(HOUR, 90 * MINUTE)) > 30
    late = boots.between(95 * MINUTE, 3 * HOUR)
    assert [min(n, 1) for n in late] == after
    assert running(drill) == ["1.1.0"] * 3, "nobody's bundle was to blame"


def test_the_same_seed_crashes_the_same():
    digests = [
        make_drill(
            TEXT.format(duration="2h", fleet=KIOSKS.format(count=3, link="fcc-dsl"), costs="")
            + LOOP % ""
        ).world.run()
        for _ in range(2)
    ]
    assert digests[0] == digests[1]
