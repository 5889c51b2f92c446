"""The options of a plan become the verb that they say."""

import msgspec
import pytest

from gateway.commands.plans import plan_of
from gateway.core.stimuli import GatePlan
from gateway.runtime.verbs import CreateRollout


def options(**more):
    import inspect

    defaults = {
        one.name: one.default
        for one in inspect.signature(plan_of).parameters.values()
        if one.default is not one.empty
    }
    return plan_of(**{**defaults, "name": "spring", "bundle": "gauge@1.1.0", **more})


def test_options_that_are_not_given_are_the_verbs_own_defaults():
    assert options() == CreateRollout(id="spring", bundle="gauge@1.1.0")


def test_every_field_of_a_plan_but_one_has_an_option():
    told = options(
        waves="5,100", soak="1m", jitter="2s", label=["a=b"], on_halt="hold", factory=True, delta=False,
        failures=5.0, evidence=10.0, quorum=50.0, latency_ratio=1.5, drain_ratio=2.0, drift_raw=True,
        wave_timeout="2h", expires="3h", start_at="2026-03-01T02:00:00Z", window=["Mon-Fri 01:00-05:00"],
        zone="Europe/Berlin", budget=["site=2", "region=10%"], approve_wave=[1], late_per_hour=3,
        late_after_gate=True, plugged=True, battery_min=30, chip_max=60, trial="5s",
        rehearsed=True, unrehearsed="tested by hand",
    )  # fmt: skip
    plain = CreateRollout(id="spring", bundle="gauge@1.1.0")
    same = [name for name in told.__struct_fields__ if getattr(told, name) == getattr(plain, name)]
    assert same == ["id", "bundle"]
    assert told.gate == GatePlan(0.05, 10.0, 0.5, 1.5, drift=True, drain_ratio=2.0, drift_raw=True)
    assert told.budgets == {"site": 2, "region": "10%"}
    assert (told.policy.battery_percent_min, told.policy.trial_ms) == (30, 5_000)
    assert told.waves == (0.05, 1.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"waves": "ten"}, "expected shares in percent"),
        ({"budget": ["site"]}, "KEY=VALUE"),
        ({"on_halt": "cry"}, "cry"),
        ({"battery_min": 200}, "b"),
        ({"trial": "soon"}, "soon"),
    ],
)
def test_what_is_no_plan_is_said(more, said):
    with pytest.raises((ValueError, msgspec.ValidationError), match=said):
        options(**more)
