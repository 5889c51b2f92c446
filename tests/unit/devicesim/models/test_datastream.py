from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.inference import dials
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition, GaugeStream, Site, Sun

NOON = 4 * HOUR  # instant 0 is eight in the morning


def stream(device="gauge-1", seed=7, site=None):
    return GaugeStream(Entropy(seed), device, Sun(site or Site()))


def pictures(*specs):
    frames = datastream.expand(specs, [spec.frames for spec in specs])
    images = np.empty((len(frames.bank), dials.PIXELS), dtype=np.float32)
    return datastream.render(frames, images, np.empty_like(images))


def test_a_value_depends_on_seed_device_and_instant_and_on_nobody_who_asked_before():
    patient, curious = stream(), stream()
    for minute in range(0, 600, 7):
        curious.value(minute * MINUTE)
        curious.burst(minute * MINUTE, 3, SECOND)
    assert patient.value(10 * HOUR) == curious.value(10 * HOUR)
    assert patient.burst(10 * HOUR, 4, SECOND) == curious.burst(10 * HOUR, 4, SECOND)


def test_another_device_or_a_fault_on_it_changes_nothing_here():
    entropy, sun = Entropy(7), Sun(Site())
    alone = stream()
    first, other = GaugeStream(entropy, "gauge-1", sun), GaugeStream(entropy, "gauge-2", sun)
    other.apply(Condition.DIM, 0.5, 0)
    for hour in range(30):
        assert other.burst(hour * HOUR, 2, SECOND) != first.burst(hour * HOUR, 2, SECOND)
        assert first.burst(hour * HOUR, 2, SECOND) == alone.burst(hour * HOUR, 2, SECOND)
    assert stream(seed=8).burst(0, 1, 0) != stream().burst(0, 1, 0)


def test_the_gauge_wanders_about_its_mean_with_the_spread_of_its_site():
    site = Site(value_sigma=0.1)
    values = np.array(
        [[stream(f"g{i}", site=site).value(t * 6 * HOUR) for t in range(1)] for i in range(400)]
    )
    assert abs(values.mean() - site.value_mean) < 0.03
    assert 0.10 < values.std() < 0.16, "0.1 of wandering and 0.08 between devices: about 0.128"
    one = stream(site=site)
    walk = np.array([one.value(t * HOUR) for t in range(24 * 30)])
    assert 0.07 < walk.std() < 0.13
    assert 0.5 < np.corrcoef(walk[:-1], walk[1:])[0, 1] < 0.85, "exp(-1 h / 3 h) is 0.72"


def test_light_follows_the_sun_and_the_season():
    def daylight(day, clock):
        return Sun(Site(day_of_year=day, clock_ns=0)).height(clock)[0]

    assert daylight(172, 12 * HOUR) > daylight(80, 12 * HOUR) > daylight(355, 12 * HOUR) > 0.3
    assert daylight(172, 0) == 0.0
    assert daylight(172, 5 * HOUR) > 0.0 == daylight(355, 5 * HOUR)
    assert Sun(Site()).height(NOON + 200 * DAY)[0] != Sun(Site()).height(NOON)[0]


def test_time_does_not_run_backwards():
    gauge = stream()
    gauge.value(10 * HOUR)
    assert gauge.value(10 * HOUR + MINUTE) != gauge.value(10 * HOUR)
    with pytest.raises(ValueError, match="walks forward only"):
        gauge.value(9 * HOUR)


@pytest.mark.parametrize("frames", [0, -1, datastream.BURST_FRAMES_MAX + 1])
def test_a_burst_is_bounded(frames):
    with pytest.raises(ValueError, match="split it"):
        stream().burst(0, frames, SECOND)


def test_faults_bend_the_conditions_and_undo_straightens_them():
    for condition, amount, moved in (
        (Condition.DIM, 0.9, "gain"),
        (Condition.HAZE, 0.4, "offset"),
        (Condition.BLUR, 0.7, "scene"),
        (Condition.PRIOR_SHIFT, 0.2, "value_start"),
    ):
        gauge = stream()
        healthy = gauge.burst(NOON, 5, SECOND)
        token = gauge.apply(condition, amount, NOON)
        bent = gauge.burst(NOON, 5, SECOND)
        assert getattr(bent, moved) != getattr(healthy, moved), f"{condition} left {moved} alone"
        assert bent.luck == healthy.luck, "a fault draws no luck"
        gauge.undo(token)
        assert gauge.burst(NOON, 5, SECOND) == healthy


@given(st.permutations(range(5)))
@settings(max_examples=20, derandomize=True)
def test_overlapping_faults_may_end_in_any_order(order):
    gauge = stream()
    healthy = gauge.burst(NOON, 5, SECOND)
    tokens = [gauge.apply(condition, 0.25, NOON) for condition in Condition]
    for index in order:
        gauge.undo(tokens[index])
    assert gauge.burst(NOON, 5, SECOND) == healthy


def test_a_stuck_sensor_shows_one_picture_while_the_truth_moves_on():
    gauge = stream()
    token = gauge.apply(Condition.STUCK, 1.0, NOON)
    images = pictures(*(gauge.burst(NOON + hour * HOUR, 3, SECOND) for hour in range(5)))
    assert len({image.tobytes() for image in images}) == 1
    assert gauge.value(NOON + 5 * HOUR) != gauge.value(NOON + 6 * HOUR)
    gauge.undo(token)
    images = pictures(gauge.burst(NOON + 7 * HOUR, 3, SECOND))
    assert len({image.tobytes() for image in images}) == 3


def test_what_was_described_before_a_fault_is_not_touched_by_it():
    gauge = stream()
    spec = gauge.burst(NOON, 4, SECOND)
    before = pictures(spec).tobytes()
    gauge.apply(Condition.DIM, 1.0, NOON)
    assert pictures(spec).tobytes() == before


@pytest.mark.parametrize(
    ("condition", "amount"),
    [
        (Condition.DIM, 1.1),
        (Condition.HAZE, -0.1),
        (Condition.PRIOR_SHIFT, 20),
        (Condition.BLUR, 2),
    ],
)
def test_an_amount_out_of_range_is_refused(condition, amount):
    with pytest.raises(ValueError, match="shares, not percent"):
        stream().apply(condition, amount, 0)


def test_faults_are_bounded_and_an_unknown_token_is_refused():
    gauge = stream()
    for _ in range(datastream.FAULTS_PER_DEVICE_MAX):
        gauge.apply(Condition.HAZE, 0.01, 0)
    with pytest.raises(ValueError, match="undo one first"):
        gauge.apply(Condition.HAZE, 0.01, 0)
    with pytest.raises(KeyError):
        gauge.undo(999)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, derandomize=True)
def test_the_head_of_a_burst_is_the_same_whether_or_not_it_was_cut(frames, kept):
    kept = min(kept, frames)
    gauge = stream()
    specs = [gauge.burst(t * MINUTE, frames, SECOND) for t in range(3)]
    whole = datastream.expand(specs, [frames] * 3)
    cut = datastream.expand(specs, [frames, kept, frames])
    expected = np.delete(whole.bank, np.arange(frames + kept, 2 * frames))
    assert cut.bank.tolist() == expected.tolist()
    assert cut.values[frames : frames + kept].tolist() == whole.values[frames:][:kept].tolist()


def test_frames_show_the_value_they_are_judged_by():
    gauge = stream()
    frames = datastream.expand([gauge.burst(NOON, 20, SECOND)], [20])
    assert np.abs(frames.values - gauge.value(NOON)).max() < 0.02
    assert len(set(frames.values.tolist())) == 20, "a needle vibrates"
