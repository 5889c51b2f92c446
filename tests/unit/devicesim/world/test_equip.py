"""What a scenario may change of a bundle's description."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicesdk.inference.source import load_source
from devicesim.scenario.release import Bundle
from devicesim.world.equip import equipped

GAUGE = Path(__file__).parents[4] / "models" / "gauge" / "1.0.0"


@pytest.fixture(scope="module")
def source():
    return load_source(GAUGE)


def said(**more):
    return Bundle.model_validate({"id": "gauge", "version": "1.0.0", "path": str(GAUGE), **more})


def test_a_bundle_of_which_nothing_is_said_is_passed_through(source):
    assert equipped(source, said()) is source


def test_a_scenario_may_promise_another_latency_and_nothing_else_changes(source):
    changed = equipped(source, said(latency_max="10s")).spec
    assert changed.budgets.latency_ms_p95_max == 10_000 != source.spec.budgets.latency_ms_p95_max
    assert changed.budgets.memory_mib_max == source.spec.budgets.memory_mib_max
    assert changed.variants == source.spec.variants


def test_it_may_be_dearer_and_for_less_hardware(source):
    changed = equipped(source, said(costs={"work": 10}, hardware=("x86-avx2",))).spec
    assert list(changed.prefer) == ["x86-avx2"]
    for name, record in source.spec.variants.items():
        assert changed.variants[name].macs == 10 * record.macs
