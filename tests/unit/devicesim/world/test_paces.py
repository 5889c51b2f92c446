"""Windows, budgets and approvals of a scenario in the world."""

from __future__ import annotations

from devicesdk.wire.timebase import HOUR, MINUTE
from tests_kit.worlds import broken, make_drill, make_world, scenario_text

REGIONS = """
regions:
  east: {share: 50%, utc_offset_h: 5.5}
  west: {share: 50%, utc_offset_h: -3}
"""
LAB = "rollouts: [{{id: r1, bundle: gauge@1.1.0, at: 30m, soak: 1m, {words}}}]\n"


def drill(words, rest="", **more):
    return make_drill(scenario_text(rest + LAB.format(words=words), **more))


def offers(run):
    """When each device was offered it, after the run."""
    run.world.run()
    (view,) = run.world.gateway.core.rollout_views()
    return view


def test_devices_without_a_zone_go_by_their_region_where_somebody_asks():
    windows = "windows: ['01:00-02:00']"
    told = make_world(scenario_text(REGIONS + LAB.format(words=windows), count=8))
    zones = {host.parts.labels["region"]: host.parts.labels["tz"] for host in told.hosts}
    assert zones == {"east": "UTC+05:30", "west": "UTC-03:00"}
    plain = make_world(scenario_text(REGIONS + LAB.format(words="waves: [100%]"), count=8))
    assert all("tz" not in host.parts.labels for host in plain.hosts)


def test_a_window_that_opens_late_is_waited_for():
    run = drill("windows: ['01:00-02:00']", duration="90m")
    view = offers(run)
    assert (view.state, view.waves[0].opened_at_ns) == ("completed", 30 * MINUTE)
    assert view.waves[0].closed_at_ns > HOUR
    assert broken(run) == []


def test_a_scheduled_start_is_an_instant_of_the_run():
    view = offers(drill("start_at: 1h"))
    assert view.waves[0].opened_at_ns == HOUR


def test_a_person_answers_when_the_wave_waits():
    view = offers(drill("waves: [40%, 100%], approvals: [{wave: 1, at: 1h10m}]"))
    assert view.state == "completed"
    assert view.waves[1].opened_at_ns == 70 * MINUTE
    early = offers(drill("waves: [40%, 100%], approvals: [{wave: 1, at: 1m}]"))
    assert early.state == "completed"
    nobody = offers(drill("waves: [40%, 100%], approvals: [{wave: 1}]"))
    assert (nobody.state, nobody.approval) == ("running", 1)


def test_a_person_may_say_no():
    view = offers(drill("waves: [40%, 100%], approvals: [{wave: 1, at: 1h, deny: true}]"))
    assert (view.state, view.why) == ("aborted", "wave 1 was denied")


def test_a_budget_makes_a_rollout_take_turns():
    quick = offers(drill("waves: [100%], policy: {trial: 5m}", count=6))
    slow = offers(drill("waves: [100%], policy: {trial: 5m}, budgets: {group: 2}", count=6))
    assert quick.state == slow.state == "completed"
    longer_ns = slow.waves[0].closed_at_ns - quick.waves[0].closed_at_ns
    assert longer_ns > 9 * MINUTE, "three turns of five minutes took no longer than one"


def test_who_comes_back_after_the_window_begins_nothing_until_the_next_one():
    away = "timeline: [{at: 40m, do: partition, how: detach, for: 2h20m, target: all}]\n"
    run = drill("windows: ['01:00-02:00']", rest=away, duration="26h", count=3)
    begun = []

    def look(_now, _):
        (view,) = run.world.gateway.core.rollout_views()
        begun.append(view.waves[0].exposed if view.waves else 0)

    for hour in range(1, 26):
        run.world.kernel.at(hour * HOUR + 30 * MINUTE, look, None)
    run.world.run()
    assert begun[:24] == [0] * 24, "somebody began outside of the window"
    assert begun[-1] == 3
    assert broken(run) == []
