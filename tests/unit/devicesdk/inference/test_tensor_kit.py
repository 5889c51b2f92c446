"""Kits of any model: tight on their own goldens, loose on the reference's."""

import numpy as np
import pytest
from msgspec.structs import replace

from devicesdk.inference import tensor_kit
from devicesdk.inference.kit import KIT_BYTES_MAX, KitError, KitRule
from devicesdk.inference.tasks import TensorSpec
from devicesdk.inference.tensor_kit import (
    TensorKit,
    judge_tensors,
    pack_tensor_kit,
    run_tensor_kit,
    unpack_tensor_kit,
)
from tests_kit.tensor_models import RULE, classify_task

TASK = classify_task(
    inputs=(
        TensorSpec(name="x", dtype="float32", shape=(0, 2)),
        TensorSpec(name="odd name: 0", dtype="int64", shape=()),
    )
)
LENGTHS = (1, 3, 2)
GOLDEN = tuple(np.array(row, dtype=np.float32) for row in ([0.9, 0.1], [0.2, 0.8], [0.6, 0.4]))
FAR = tuple(1 - row for row in GOLDEN)


def kit(**goldens):
    samples = tuple(
        {"x": np.full((length, 2), index, np.float32), "odd name: 0": np.array(index)}
        for index, length in enumerate(LENGTHS)
    )
    return TensorKit(samples=samples, goldens={"fp32/default": GOLDEN, **goldens})


def moved(by):
    return [row + np.array([by, -by], dtype=np.float32) for row in GOLDEN]


def test_the_same_outputs_pass_and_little_is_forgiven():
    assert judge_tensors(kit(), RULE, TASK, "fp32", GOLDEN).passed
    assert judge_tensors(kit(), RULE, TASK, "fp32", moved(0.019)).passed
    found = judge_tensors(kit(), RULE, TASK, "fp32", moved(0.022))
    assert (found.passed, found.worst_permille, found.residual_permille) == (False, 22, 22)
    assert (found.samples, found.argmax_mismatches, found.resembles) == (3, 0, "")


def test_labels_that_change_are_counted():
    rule = replace(RULE, tolerance_permille=1000)
    assert judge_tensors(kit(), rule, TASK, "fp32", [FAR[0], *GOLDEN[1:]]).passed
    found = judge_tensors(kit(), rule, TASK, "fp32", FAR)
    assert (found.passed, found.argmax_mismatches) == (False, 3)


def test_outputs_that_are_not_numbers_fail():
    broken = [GOLDEN[0], np.array([np.nan, 0], np.float32), GOLDEN[2]]
    found = judge_tensors(kit(), RULE, TASK, "fp32", broken)
    assert (found.passed, found.not_finite, found.worst_permille) == (False, 1, 1000)


def test_a_variant_that_was_built_badly_fails_though_it_meets_its_own_goldens():
    """Else a model that says the same rubbish everywhere would pass everywhere."""
    bad = kit(**{"int8/default": FAR})
    assert judge_tensors(bad, RULE, TASK, "int8", FAR).passed
    rule = replace(RULE, reference="fp32", reference_permille_max=250)
    assert not judge_tensors(bad, rule, TASK, "int8", FAR).passed
    assert judge_tensors(bad, rule, TASK, "fp32", GOLDEN).passed


def test_a_kernel_that_reads_otherwise_is_recognised():
    known = kit(**{"fp32/saturating": FAR})
    assert judge_tensors(known, RULE, TASK, "fp32", FAR).resembles == "saturating"
    assert judge_tensors(known, RULE, TASK, "fp32", GOLDEN).resembles == "default"


def test_a_kit_runs_each_of_its_samples():
    answers = dict(zip(LENGTHS, GOLDEN, strict=True))
    assert run_tensor_kit(kit(), RULE, TASK, "fp32", lambda s: answers[len(s["x"])]).passed
    with pytest.raises(KitError, match="int8/default"):
        run_tensor_kit(kit(), RULE, TASK, "int8", lambda _: GOLDEN[0])
    with pytest.raises(KitError, match="3 outputs"):
        judge_tensors(kit(), RULE, TASK, "fp32", GOLDEN[:2])


def test_a_kit_survives_packing_byte_for_byte():
    packed = pack_tensor_kit(kit(**{"int8-rr/default": FAR}))
    again = unpack_tensor_kit(packed, TASK)
    assert pack_tensor_kit(again) == packed
    assert [sample["x"].shape for sample in again.samples] == [(1, 2), (3, 2), (2, 2)]
    assert again.samples[2]["odd name: 0"].shape == ()
    assert np.array_equal(again.golden("int8-rr")[1], FAR[1])


def test_what_is_no_kit_of_this_task_is_refused():
    good = kit()
    first = good.samples[0]
    broken = [
        TensorKit(samples=(), goldens={}),
        TensorKit(samples=good.samples, goldens={"fp32/default": GOLDEN[:2]}),
        TensorKit(samples=good.samples, goldens={"UP/default": GOLDEN}),
        TensorKit(samples=good.samples, goldens={"a/b": tuple(g.astype(float) for g in GOLDEN)}),
        TensorKit(samples=({"x": first["x"]},), goldens={}),
        TensorKit(samples=({**first, "more": first["x"]},), goldens={}),
        TensorKit(samples=({**first, "x": first["x"].astype(float)},), goldens={}),
        TensorKit(samples=({**first, "x": np.zeros((1, 3), np.float32)},), goldens={}),
        TensorKit(samples=({**first, "x": np.zeros(2, np.float32)},), goldens={}),
    ]
    for one in broken:
        with pytest.raises(KitError, match="expected"):
            unpack_tensor_kit(pack_tensor_kit(one), TASK)
    for content in (b"", b"PK\x03\x04torn", bytes(KIT_BYTES_MAX + 1)):
        with pytest.raises(KitError, match="expected"):
            unpack_tensor_kit(content, TASK)


def test_a_kit_that_unpacks_into_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(tensor_kit, "KIT_UNPACKED_BYTES_MAX", 300)
    with pytest.raises(KitError, match="300 bytes unpacked"):
        unpack_tensor_kit(pack_tensor_kit(kit()), TASK)


def test_a_rule_without_a_reference_is_the_one_of_old():
    assert KitRule(tolerance_permille=20, argmax_mismatches_max=1).reference == ""
