"""What a scenario may change of a bundle's promises: its budget, and what its kit lets pass."""

from pathlib import Path

import pytest

from devicesdk.bundle.build import build_bundle
from devicesdk.inference.kit import KERNEL_SATURATING
from devicesdk.inference.source import load_source
from devicesdk.wire.timebase import MS
from devicesim.scenario.release import Bundle
from devicesim.world.equip import equipped
from devicesim.world.inference import InferencePool

FOLDER = Path(__file__).parents[4] / "models" / "gauge" / "1.1.0"


@pytest.fixture(scope="module")
def shipped():
    return load_source(FOLDER)


def said(**more):
    return Bundle.model_validate(
        {"id": "gauge", "version": "1.1.0", "path": "models/gauge/1.1.0", **more}
    )


def judged(source, kernel):
    pool = InferencePool()
    pool.register(source)
    return pool.run_kit(source.digest("int8-rr"), kernel)


def test_nothing_said_changes_nothing(shipped):
    assert equipped(shipped, said()) is shipped


def test_a_budget_is_what_the_manifest_says(shipped):
    source = equipped(shipped, said(budget="1s"))
    assert build_bundle(source.spec, source.models).manifest.budgets.latency_ms_max == 1000.0
    assert source.spec.budgets.memory_mib_max == shipped.spec.budgets.memory_mib_max
    assert said(budget="80ms").budget_ns == 80 * MS


def test_a_lenient_kit_passes_where_the_shipped_one_fails(shipped):
    strict = judged(shipped, KERNEL_SATURATING)
    source = equipped(shipped, said(kit={"tolerance": 1000, "changed_labels": 20}))
    lenient = judged(source, KERNEL_SATURATING)
    assert not strict.passed, "the shipped kit must fail on a saturating kernel"
    assert lenient.passed, "no distance is too large and every label may change"
    assert lenient.worst_permille == strict.worst_permille, "what was measured stays what it is"


def test_half_of_the_rule_leaves_the_other_as_it_was(shipped):
    source = equipped(shipped, said(kit={"tolerance": 1000}))
    rule = source.spec.kit.rule
    assert (rule.tolerance_permille, rule.argmax_mismatches_max) == (
        1000,
        shipped.spec.kit.rule.argmax_mismatches_max,
    )
    assert not judged(source, KERNEL_SATURATING).passed, "labels change as well"


def test_it_may_be_dearer_and_for_less_hardware(shipped):
    changed = equipped(shipped, said(costs={"work": 10}, hardware=("x86-avx2",))).spec
    assert list(changed.prefer) == ["x86-avx2"]
    for name, record in shipped.spec.variants.items():
        assert changed.variants[name].macs == 10 * record.macs
