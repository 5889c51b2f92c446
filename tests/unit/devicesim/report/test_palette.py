"""Colours are distinct and each fault has a family."""

from __future__ import annotations

import pytest

from devicesim.report.palette import CURVES, FAMILY_COLOURS, family
from devicesim.scenario.action import REGISTRY
from devicesim.scenario.faults import Partition


def test_each_verb_of_a_scenario_has_a_family() -> None:
    assert Partition.verb in REGISTRY
    homeless = [verb for verb in REGISTRY if family(verb) == "other"]
    assert not homeless, f"these faults would be grey on the timeline: {homeless}"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("partition", "network"), ("broker.restart", "broker"), ("clock.lose_rtc", "device"),
     ("data.drift", "data"), ("network", "network"), ("", "other"), ("weird", "other")],
)  # fmt: skip
def test_families(kind: str, expected: str) -> None:
    assert family(kind) == expected
    assert expected in FAMILY_COLOURS


def test_no_two_curves_share_a_colour() -> None:
    assert len(set(CURVES)) == len(CURVES)
