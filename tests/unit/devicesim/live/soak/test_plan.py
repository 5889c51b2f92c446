"""Plans: what is asked for becomes the scenario, and a pause leaves the rest of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.live.soak import plan as plans
from devicesim.live.soak.plan import Plan, rest_of, scenario_of
from devicesim.scenario.population import group_count

FILE = str(Path(__file__).resolve().parents[5] / "scenarios" / "soak.yaml")


def plan(**changes: object) -> Plan:
    base = Plan(file=FILE, for_ns=30 * MINUTE, devices=50, restart_every_ns=5 * MINUTE)
    return msgspec.structs.replace(base, **changes)


def test_restarts_are_actions_of_the_timeline() -> None:
    scenario = scenario_of(plan())
    starts = [action.at_ns for action in scenario.timeline]
    assert starts == [n * 5 * MINUTE for n in range(1, 6)], "none at the very end"
    assert all(action.verb == "broker.restart" for action in scenario.timeline)
    assert {action.for_ns for action in scenario.timeline} == {2 * SECOND}


def test_real_durations_become_scenario_time() -> None:
    scenario = scenario_of(plan(speed=60.0))
    assert scenario.timeline[0].at_ns == 300 * MINUTE
    assert scenario.clock.speed == 60.0
    assert scenario.clock.duration_ns > 30 * 60 * MINUTE


@pytest.mark.parametrize("devices", [3, 50, 1000, 5000])
def test_the_fleet_has_as_many_devices_as_asked(devices: int) -> None:
    scenario = scenario_of(plan(devices=devices))
    assert sum(group_count(g, scenario.scale) for g in scenario.fleet) == pytest.approx(
        devices, abs=2
    )


def test_too_few_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="one for each group"):
        scenario_of(plan(devices=0))


def test_a_broker_that_would_be_down_most_of_the_time_is_refused() -> None:
    with pytest.raises(ValueError, match="twice --restart-for"):
        scenario_of(plan(restart_every_ns=3 * SECOND))


def test_the_window_fits_the_duration() -> None:
    soak = scenario_of(plan()).soak
    assert soak is not None
    assert plan(for_ns=45 * SECOND).window(soak) == 10 * SECOND, "too short for the scenario's own"
    assert plan().window(soak) == soak.window_ns
    assert plan().window(None) == 60 * SECOND
    assert plan(window_ns=7 * SECOND).window(soak) == 7 * SECOND


def test_the_rest_of_a_scenario_moves_and_forgets_what_has_begun() -> None:
    whole = scenario_of(plan())
    rest = rest_of(whole, 12 * MINUTE)
    assert [action.at_ns for action in rest.timeline] == [3 * MINUTE, 8 * MINUTE, 13 * MINUTE]
    assert not rest.rollouts, "the rollout is the gateway's business by now"
    assert rest.clock.start_unix_ns - whole.clock.start_unix_ns == 12 * MINUTE


def test_the_command_repeats_the_plan() -> None:
    said = plan(lose_sessions=True, beat_ns=0, overrides=("seed=3",)).command()
    for words in ("--for 30m", "--devices 50", "--restart-broker-every 5m", "--lose-sessions",
                  "--beat 0s", "--set seed=3"):  # fmt: skip
        assert words in said, said


def test_a_plan_is_kept_and_found(tmp_path: Path) -> None:
    plans.save(tmp_path, plan(direct=True))
    assert plans.load(tmp_path) == plan(direct=True)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the folder of a soak"):
        plans.load(tmp_path)
