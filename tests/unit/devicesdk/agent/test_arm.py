"""Whose turn a burst is, the guardrails, and what a shadow tells."""

from __future__ import annotations

import pytest

from devicesdk.agent.arm import Arm, Definition, compare, shadow_window
from devicesdk.agent.stimuli import Conditions
from devicesdk.sketches.histogram import unpack
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from tests_kit.agent_bundles import Bundle
from tests_kit.agent_charts import CALM, Rows, frames_ran

NEW = Bundle(2)


def arm_of(**fields):
    return Arm("experiment.e1", Definition(bundle=NEW.digest.hex(), **fields), "b", "a")


def turns(arm, count=4, conditions=CALM):
    return [arm.turn(conditions) for _ in range(count)]


def test_each_mode_takes_its_turns():
    assert turns(arm_of(mode="shadow")) == [("a", "b")] * 4
    assert turns(arm_of(mode="interleaved")) == [("b", ""), ("a", "")] * 2
    assert turns(arm_of(mode="bandit")) == [("b", "")] * 4


def test_a_shadow_does_not_heat_a_chip_that_is_throttled():
    assert turns(arm_of(mode="shadow"), 1, Conditions(throttled=True)) == [("a", "")]


@pytest.mark.parametrize(
    ("limits", "ran", "errors", "why"),
    [
        ({"errors_permille_max": 250}, {}, 1, ""),
        ({"errors_permille_max": 249}, {}, 1, "guard:errors"),
        ({"latency_ms_max": 12.0}, {}, 0, ""),
        ({"latency_ms_max": 11.9}, {}, 0, "guard:latency"),
        ({}, {"latency_us": 10**9}, 4, ""),
    ],
)
def test_guardrails_of_a_burst(limits, ran, errors, why):
    arm = arm_of(mode="interleaved", **limits)
    arm.turn(CALM)
    arm.judge(frames_ran(1, 4, **ran), errors)
    assert arm.tripped == why


def test_productions_turn_is_not_held_against_the_candidate():
    arm = arm_of(mode="interleaved", errors_permille_max=0)
    turns(arm, 2)
    arm.judge(frames_ran(2, 4, error=1), 4)
    assert not arm.tripped


def test_frames_are_compared_pair_by_pair():
    served = Rows(2, 500).rows() + Rows(3, 500, error=1).rows()
    shadow = Rows(1, 550).rows() + Rows(1, 551).rows() + Rows(2, 500).rows() + Rows(1, 0, 1).rows()
    assert compare(served, shadow, 50) == (5, 3, 0, 2)
    assert compare(shadow, served, 50) == (5, 3, 2, 0)


def test_the_window_of_a_shadow_is_the_candidates_and_says_nothing_raw():
    ran = frames_ran(9, 4, shadow=Rows(4, 777, error=1))
    payload = shadow_window(3, 8, NEW.digest[:8], 2, 10**9, ran, ran.readings.rows(), 50)
    window = codec.decode(Telemetry, payload)
    assert (window.boot_id, window.seq, window.bundle) == (3, 8, NEW.digest[:8])
    assert (window.frames, window.shadow) == (4, (4, 4, 4, 0))
    assert sum(unpack(window.confidence, 20)) == 0, "frames in error have no confidence"
    assert not window.kll
    assert not window.hll
    assert codec.encode(window) == payload
