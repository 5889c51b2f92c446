"""From the scenario's words to the gateway's plan."""

from __future__ import annotations

from devicesdk.agent.effects import RunModel
from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.experiments import Experiment
from devicesim.world.trials import TrialEars, TrialMeter, plan_of, staging_of
from gateway.core.effects import Note
from gateway.core.experiment_plan import refusal
from gateway.core.experiments import notes
from tests_kit import worlds

WORDS = {
    "id": "e1", "group": "kiosk", "bundle": "gauge@1.1.0", "production": "gauge@1.0.0",
    "mode": "bandit", "at": "1h", "look": "5m", "jitter": "2m",
    "policy": {"battery_min": "30%", "plugged": True},
}  # fmt: skip


def test_a_plan_says_what_the_file_says():
    plan = plan_of(Experiment.model_validate(WORDS))
    assert not refusal(plan)
    assert (plan.segment, plan.selector) == ("kiosk", (("group", "kiosk"),))
    assert (plan.look_ns, plan.jitter_ms) == (5 * MINUTE, 120_000)
    assert (plan.policy.battery_percent_min, plan.policy.plugged) == (30, True)


def test_checks_of_rollouts_know_its_staging():
    staging = staging_of(Experiment.model_validate(WORDS))
    assert (staging.id, staging.bundle, staging.waves) == ("e1", "gauge@1.1.0", (1.0,))


def test_what_came_of_it_is_counted():
    world = worlds.make_world(worlds.scenario_text(count=4))
    meter = TrialMeter(world)
    ears = TrialEars(meter)
    for host in (world.hosts[0], world.hosts[0], world.hosts[2]):
        ears.tried(host, RunModel(1, "b", 4, 1), 5)
    ears.gateway_noted(Note(notes.STOPPED, "e1"), 5)
    ears.gateway_noted(Note(notes.ALLOCATED, "e1"), 5)
    assert (meter.devices, meter.tried_ratio, meter.stopped, meter.promoted) == (2, 0.5, 1, 0)
