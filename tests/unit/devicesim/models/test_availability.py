"""Unit-test twin of `devicesim/models/availability.py`."""

from __future__ import annotations

import math
from statistics import mean, median

import pytest

from devicesdk.wire.timebase import HOUR, NEVER, SECOND
from devicesim.models.availability import AlwaysUp, AvailabilitySpec, Outages, Renewal

SPEC = AvailabilitySpec(up_median_s=600.0, up_sigma=1.0, down_scale_s=60.0, down_shape=0.7)


def episodes(renewal, count):
    at, found = 0, []
    for _ in range(count):
        end, up = renewal.next_change(at)
        found.append((end - at, not up))
        at = end
    return found[1:]


def test_lengths_follow_their_distributions(entropy):
    found = episodes(Renewal(SPEC, entropy.stream("availability", "many"), 0), 8001)
    ups = [length / SECOND for length, up in found if up]
    downs = [length / SECOND for length, up in found if not up]
    assert median(ups) == pytest.approx(600.0, rel=0.06)
    assert mean(downs) == pytest.approx(60.0 * math.gamma(1 + 1 / 0.7), rel=0.06)


def test_up_and_down_alternate_and_asking_often_changes_nothing(entropy):
    lazy = Renewal(SPEC, entropy.stream("availability", "one"), 0)
    eager = Renewal(SPEC, entropy.stream("availability", "one"), 0)
    for minute in range(24 * 60 * 5):
        eager.is_up(minute * 60 * SECOND)
    assert lazy.next_change(120 * HOUR) == eager.next_change(120 * HOUR)
    up = True
    at = 0
    other = Renewal(SPEC, entropy.stream("availability", "two"), 0)
    for _ in range(20):
        assert other.is_up(at) is up
        at, after = other.next_change(at)
        assert after is not up
        up = after


def test_recorded_outages_are_played_in_any_order():
    played = Outages(((10, 20), (30, 35)))
    assert [played.is_up(t) for t in (0, 10, 19, 20, 32, 40)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert played.next_change(0) == (10, False)
    assert played.next_change(12) == (20, True)
    assert played.next_change(20) == (30, False)
    assert played.next_change(35) == (NEVER, True)
    assert played.is_up(15) is False, "a seek back"


def test_outages_must_be_sorted_and_apart():
    for bad in (((5, 5),), ((10, 20), (15, 30)), ((10, 20), (20, 30))):
        with pytest.raises(ValueError, match="expected outages"):
            Outages(bad)


def test_always_up_never_changes():
    assert AlwaysUp().is_up(5)
    assert AlwaysUp().next_change(5) == (NEVER, True)


def test_a_spec_says_what_it_expected():
    with pytest.raises(ValueError, match="down_scale_s above zero"):
        AvailabilitySpec(1.0, 0.0)
