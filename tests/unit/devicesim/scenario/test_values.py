from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.scenario.errors import Refusal
from devicesim.scenario.values import (
    Kind,
    read_comparison,
    read_distribution,
    read_order,
    read_shift,
)


@pytest.mark.parametrize(
    "text", ["uniform(0.6, 1)", "normal(30, 6)", "lognormal(3, 0.5)", "exponential(2)", "25"]
)
def test_a_distribution_spells_itself_and_draws_one_uniform(text):
    distribution = read_distribution(float(text) if text[0].isdigit() else text)
    assert str(distribution) == text
    stream, reference = Entropy(1).stream("x"), Entropy(1).stream("x")
    distribution.draw(stream)
    if text != "25":
        reference.uniform()
    assert stream.uniform() == reference.uniform(), f"{text} took more than one draw"


def test_draws_have_the_shape_that_was_asked_for():
    stream = Entropy(2).stream("shape")
    draws = [read_distribution("uniform(.6, 1)").draw(stream) for _ in range(500)]
    assert 0.6 <= min(draws) < 0.62
    assert 0.98 < max(draws) < 1.0
    normal = [read_distribution("normal(30, 6)").draw(stream) for _ in range(2000)]
    assert abs(sum(normal) / 2000 - 30) < 0.6
    assert read_distribution(7).draw(stream) == 7.0


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        ("normol(1, 2)", "normal"),
        ("normal(1)", ""),
        ("normal(1, -2)", ""),
        ("uniform(2, 1)", ""),
        ("exponential(0)", ""),
        ("normal(a, b)", ""),
        (True, ""),
        ("3", ""),
    ],
)
def test_distributions_refused(value, nearest):
    with pytest.raises(Refusal) as caught:
        read_distribution(value)
    assert caught.value.nearest == nearest


def test_comparisons_hold_in_final_units():
    assert read_comparison(">= .99", Kind.SHARE).holds(0.99)
    assert read_comparison(">= 99%", Kind.SHARE).holds(0.99)
    assert not read_comparison("< 300s", Kind.DURATION).holds(300 * SECOND)
    assert read_comparison("<= 5m", Kind.DURATION).holds(5 * MINUTE)
    assert read_comparison("== 0", Kind.COUNT).holds(0)
    assert read_comparison("!= 0", Kind.COUNT).holds(1)
    assert str(read_comparison(">= .99", Kind.SHARE)) == ">= .99"


@pytest.mark.parametrize(
    ("value", "kind", "nearest"),
    [
        ("= 0", Kind.COUNT, "== 0"),
        (0, Kind.COUNT, "'== 0'"),
        ("< 300", Kind.DURATION, "300s (seconds), 300m (minutes) or 300h (hours)"),
        (">= 99", Kind.SHARE, "99%"),
        ("about 3", Kind.COUNT, ""),
        ("> many", Kind.COUNT, ""),
    ],
)
def test_comparisons_refused(value, kind, nearest):
    with pytest.raises(Refusal) as caught:
        read_comparison(value, kind)
    assert caught.value.nearest == nearest


def test_shifts():
    assert (read_shift("dim(.5)").name, read_shift("dim(.5)").amount) == ("dim", 0.5)
    assert read_shift("blur(2)").severity == 1.0
    assert read_shift("prior_shift(-.2)").severity == -0.2
    assert str(read_shift("haze(.4)")) == "haze(0.4)"
    for wrong, nearest in [("dimm(.5)", "dim"), ("dim", "dim"), ("dim(1.5)", ""), (3, "")]:
        with pytest.raises(Refusal) as caught:
            read_shift(wrong)
        assert caught.value.nearest == nearest, wrong


def test_orders():
    assert read_order("swizzle(30m)").over_ns == 30 * MINUTE
    assert str(read_order("swizzle(30m)")) == "swizzle(30m)"
    assert str(read_order("together")) == "together"
    for wrong, nearest in [("swizle(30m)", "swizzle(30m)"), ("togeter", "together"), (3, "")]:
        with pytest.raises(Refusal) as caught:
            read_order(wrong)
        assert caught.value.nearest == nearest, wrong
    with pytest.raises(Refusal, match="unit"):
        read_order("swizzle(30)")
