from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario.errors import Refusal
from devicesim.scenario.release import Bundle, FlagStep, Gate, Rollout, read_version

ROLLOUT = {"id": "r1", "bundle": "gauge@1.1.0", "at": "1h"}


def test_a_rollout_in_final_units():
    rollout = Rollout.model_validate(
        {
            **ROLLOUT,
            "waves": ("1%", "10%", "100%"),
            "soak": "20m",
            "gate": {"failures": "2%", "latency_p95": "+20%", "drain": "+100%", "drift": "none"},
            "policy": {"battery_min": "30%", "plugged": True},
            "target": "link~lte",
        }
    )
    assert rollout.waves == (0.01, 0.1, 1.0)
    assert (rollout.at_ns, rollout.soak_ns) == (HOUR, 20 * MINUTE)
    assert rollout.gate == Gate.model_validate(
        {"failures": 0.02, "latency_p95": "+20%", "drain": "+100%", "drift": "none"}
    )
    assert rollout.gate.drain_increase_max == 1.0
    assert rollout.policy.battery_min == 0.3
    assert str(rollout.target) == "link~lte"


def test_defaults_ask_for_nothing():
    rollout = Rollout.model_validate(ROLLOUT)
    assert (rollout.waves, rollout.jitter_ns, str(rollout.target)) == ((1.0,), 0, "all")
    assert (rollout.policy.plugged, rollout.policy.battery_min) == (False, 0.0)
    assert rollout.on_halt == "revert"


@pytest.mark.parametrize(
    ("waves", "at"),
    [
        (("10%", "5%", "100%"), (1,)),
        (("10%", "10%", "100%"), (1,)),
        (("10%", "50%"), (1,)),
    ],
)
def test_waves_grow_and_reach_everybody(waves, at):
    with pytest.raises(ValidationError) as caught:
        Rollout.model_validate({**ROLLOUT, "waves": waves})
    assert caught.value.errors()[0]["ctx"]["error"].at == at


@pytest.mark.parametrize(
    "change",
    [
        {"waves": ()},
        {"waves": ("0%", "100%")},
        {"waves": ("100%",) * 40},
        {"gate": {"failures": "lots"}},
        {"on_halt": "panic"},
        {"at": 3600},
        {"target": "kiosk"},
    ],
)
def test_rollouts_refused(change):
    with pytest.raises(ValidationError):
        Rollout.model_validate({**ROLLOUT, **change})


def test_versions():
    assert read_version("1.1.0-rc.1") == "1.1.0-rc.1"
    for wrong, nearest in [(1.0, "1.0.0"), (2, "2.0.0"), ("1.1", ""), (True, "")]:
        with pytest.raises(Refusal) as caught:
            read_version(wrong)
        assert caught.value.nearest == nearest
    bundle = Bundle.model_validate({"id": "gauge", "version": "1.0.0", "path": "models/x"})
    assert bundle.reference == "gauge@1.0.0"


def test_a_flag_step_does_one_thing():
    step = FlagStep.model_validate({"at": "2h", "set": {"dial": {"percent": 25}}})
    assert step.settings["dial"].percent == 25
    assert FlagStep.model_validate({"at": "2h", "kill": "dial"}).kill == "dial"
    for wrong in (
        {},
        {"set": {}},
        {"set": {"a": {}}, "kill": "a"},
        {"set": {"a": {"percent": 101}}},
    ):
        with pytest.raises(ValidationError):
            FlagStep.model_validate({"at": "2h", **wrong})
