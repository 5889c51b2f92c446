from __future__ import annotations

import pytest

from gateway.core.collect.baselines import Baselines

BUNDLE = b"bundle-1"


def learned(**pinned: list[float]) -> Baselines:
    baselines = Baselines(4000)
    baselines.learn(BUNDLE, pinned)
    return baselines


def test_names_find_their_columns():
    found = learned(
        luminance=[0.1] * 10, latency=[1.0] * 16, contrast=[0.1] * 10, confidence=[0.05] * 20
    ).of(BUNDLE, "arm64")
    assert [(r.name, r.first, r.stop) for r in found] == [
        ("luminance", 52, 62),
        ("latency", 36, 52),
        ("contrast", 62, 72),
        ("confidence", 0, 20),
    ]


def test_counts_say_how_large_the_reference_was():
    counted, pinned = learned(a=[3.0] * 10).of(BUNDLE, "x"), learned(a=[0.1] * 10).of(BUNDLE, "x")
    assert counted[0].samples == 30
    assert pinned[0].samples == 4000
    assert counted[0].shares == pytest.approx(pinned[0].shares)


def test_a_hardware_class_may_have_its_own():
    baselines = Baselines(4000)
    baselines.learn(
        BUNDLE,
        {"a": [0.1] * 10, "a@arm64": [1.0] + [0.0] * 9, "b": [0.1] * 10, "c@arm64": [0.1] * 10},
    )
    arm, other = baselines.of(BUNDLE, "arm64"), baselines.of(BUNDLE, "x86")
    assert arm[0].shares[0] == 1.0
    assert other[0].shares[0] == 0.1
    assert [r.name for r in arm] == [r.name for r in other] == ["a", "b"]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.1] * 9,
        [0.0] * 10,
        [-0.1] + [0.2] * 9,
        [float("inf")] + [0.0] * 9,
        [float("nan")] * 10,
    ],
)
def test_what_does_not_fit_is_left_out(values):
    assert [r.name for r in learned(bad=values, good=[0.1] * 10).of(BUNDLE, "x")] == ["good"]


def test_more_features_than_there_are_is_left_out():
    pinned = {f"f{i}": [0.1] * 10 for i in range(9)}
    assert len(learned(**pinned).of(BUNDLE, "x")) == 8


def test_learning_again_replaces():
    baselines = learned(a=[0.1] * 10)
    first = baselines.of(BUNDLE, "x")
    baselines.learn(BUNDLE, {"a": [0.1] * 10})
    assert baselines.of(BUNDLE, "x") is first
    baselines.learn(BUNDLE, {"b": [0.1] * 10})
    assert [r.name for r in baselines.of(BUNDLE, "x")] == ["b"]
    assert baselines.of(b"unknown", "x") == ()
