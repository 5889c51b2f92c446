"""The liveness mode finds a device that waits for ever, which no check of safety can."""

from devicesdk.agent.backoff import Backoff
from devicesdk.wire.timebase import DAY, MINUTE
from devicesim.world.liveness import core_of
from tests_kit import worlds

HARDSHIP = (
    worlds.ROLLOUT
    + """timeline:
  - {at: 31m, do: partition, target: 'share(all, 0%..50%)', how: reset}
  - {at: 35m, for: 5h, do: power.cut, target: 'share(all, 50%..70%)'}
  - {at: 40m, for: 5h, do: flash.full, target: all}
  - {at: 50m, for: 5h, do: gateway.crash}
  - {id: last, at: 59m, for: 20m, do: broker.restart}
  - {id: later, at: 65m, for: 20m, do: partition, target: all}
  - {when: clock.elapsed > 70m, for: 20m, do: power.cut, target: all}
"""
)
LIVENESS = "checks: {liveness: {at: 1h, core: 'share(all, 60%)', within: 40m}}\n"


def drill_of(liveness=LIVENESS, duration="110m"):
    return worlds.make_drill(worlds.scenario_text(HARDSHIP + liveness, count=12, duration=duration))


def the(drill):
    return drill.checks[-1]


def lose_the_third_timer(patch):
    """The wait after a third failure in a row never ends, as if nobody had set its timer."""
    following = Backoff.next

    def lost(self, dice):
        wait = following(self, dice)
        return 365 * DAY if self.losses == 3 else wait

    patch.setattr(Backoff, "next", lost)


def test_a_healed_core_converges_and_the_rest_is_silent():
    drill = drill_of()
    drill.world.run()
    check = the(drill)
    assert check.verdict is True, check.stories()
    assert check.story() == "7 devices, after 10m"
    assert worlds.broken(drill) == []
    core = core_of(drill.world, drill.world.scenario.checks.liveness)
    inside = [host.index for host in core]
    for host in drill.world.hosts:
        assert host.on == host.online == (host.index in inside), host.device
    begun = [band.label for band in drill.recorder.bands if band.start_s >= 3600]
    assert begun == [], "no fault begins after the instant"


def test_a_lost_timer_is_found_by_liveness_and_by_nothing_else(monkeypatch):
    lose_the_third_timer(monkeypatch)
    drill = drill_of()
    drill.world.run()
    check = the(drill)
    assert worlds.broken(drill) == [], "safety has nothing to say about waiting"
    assert check.verdict is False
    first = check.first
    assert drill.world.host(first.device) in core_of(
        drill.world, drill.world.scenario.checks.liveness
    )
    assert first.at_ns == 100 * MINUTE
    assert "expected it online, found a clear path, its next timer (session) in 364d" in first.text
    assert "session backing off" in first.text


def test_without_the_mode_the_same_world_is_the_same_up_to_the_instant():
    digests = []
    for liveness in (LIVENESS, ""):
        drill = drill_of(liveness)
        digests.append(drill.world.run(until=59 * MINUTE))
    assert digests[0] == digests[1]


def test_what_is_not_frozen_goes_on_in_its_own_hardship():
    drill = drill_of(LIVENESS.replace("within", "freeze: false, within"))
    drill.world.run()
    assert the(drill).verdict is True, the(drill).stories()
    inside = [h.index for h in core_of(drill.world, drill.world.scenario.checks.liveness)]
    outside = [host for host in drill.world.hosts if host.index not in inside]
    assert any(host.on for host in outside)
    assert any(not host.on for host in outside), "the power cut of the others is not over"


def test_the_mode_is_deterministic():
    assert drill_of().world.run() == drill_of().world.run()


def test_what_is_promised_of_the_fleet_is_judged_up_to_the_freeze():
    promises = LIVENESS.replace(
        "{liveness:",
        "{always: [{expect: 'fleet.online > 11', from: 20m, until: 30m},"
        " {name: late, expect: 'fleet.online > 11', from: 1h}],"
        " sometimes: [{expect: 'fleet.online == 7', from: 55m}],"
        " eventually: [{expect: 'fleet.online > 11', within: 1m, quiet_after: 5m}], liveness:",
    )
    drill = drill_of(promises)
    drill.world.run()
    found = {check.title: check.verdict for check in drill.checks}
    assert found["fleet.online > 11"] is True
    assert found["late"] is None, "nobody is promised what is frozen"
    assert found["fleet.online == 7"] is False, "seven is the core; that is no hardship"
    assert found["fleet.online > 11 within 1m after 5m without faults"] is None
    assert the(drill).verdict is True
