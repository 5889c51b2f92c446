"""Unit-test twin of `devicesim/models/thermal.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, MS, SECOND
from devicesim.models.thermal import Ambient, Network, Thermal

CASE = Network(1.7, 4.0, 6.0, 45.0)
ROOM = Ambient(mean_c=25.0)


def euler(network, ambient, power, start, span_s, step_s=0.02):
    """Integrate the two equations the plain way."""
    chip, body = start
    for k in range(round(span_s / step_s)):
        air = ambient.air_c(round(k * step_s * SECOND))
        flow = (chip - body) / network.chip_to_body_k_w
        chip += step_s * (power - flow) / network.chip_j_k
        out = (body - air) / network.body_to_air_k_w
        body += step_s * (flow - out + ambient.sun_w) / network.body_j_k
    return chip, body


def test_rates_are_those_fitted_to_the_board():
    fast, slow = CASE.rates()
    assert 1 / slow == pytest.approx(206, rel=0.02), "case, fan off"
    assert 1 / fast < 15
    thermal = Thermal(CASE, ROOM, 6.4, 0)
    assert thermal.chip_c - 25 == pytest.approx(5.7 * 6.4), "5.7 K/W in all"


def test_step_is_exact_whatever_its_length():
    one, many = Thermal(CASE, ROOM, 2.7, 0), Thermal(CASE, ROOM, 2.7, 0)
    one.set_power(6.4)
    many.set_power(6.4)
    one.advance(5 * MINUTE)
    for k in range(1, 301):
        many.advance(k * SECOND)
    assert one.chip_c == pytest.approx(many.chip_c, abs=1e-9)
    assert one.body_c == pytest.approx(many.body_c, abs=1e-9)


def test_step_agrees_with_plain_integration_through_an_ambient_sine():
    ambient = Ambient(mean_c=20.0, amplitude_c=15.0, enclosure_c=8.0, sun_w=1.5)
    thermal = Thermal(CASE, ambient, 2.7, 0)
    start = thermal.chip_c, thermal.body_c
    thermal.set_power(6.0)
    span = 1800
    thermal.advance(span * SECOND)
    chip, body = euler(CASE, ambient, 6.0, start, span)
    assert thermal.chip_c == pytest.approx(chip, abs=0.02)
    assert thermal.body_c == pytest.approx(body, abs=0.02)


def test_settled_device_swings_with_the_day_and_lags():
    ambient = Ambient(mean_c=20.0, amplitude_c=10.0)
    thermal = Thermal(CASE, ambient, 2.7, 0)
    highest = max(range(24 * 60), key=lambda minute: _chip_at(ambient, minute))
    assert 15 * 60 <= highest <= 15 * 60 + 10, "15:00, and a little later in the chip"
    assert thermal.ceiling_c(chip=True) >= _chip_at(ambient, highest)
    assert thermal.settled_c(2.7, chip=True) == pytest.approx(30 + 5.7 * 2.7)
    assert thermal.settled_c(2.7, chip=False) == pytest.approx(30 + 4.0 * 2.7)


def _chip_at(ambient, minute):
    thermal = Thermal(CASE, ambient, 2.7, 0)
    thermal.advance(minute * MINUTE)
    return thermal.chip_c


def test_no_temperature_jumps_when_power_or_air_changes():
    thermal = Thermal(CASE, ROOM, 2.7, 0)
    thermal.advance(MINUTE)
    before = thermal.chip_c, thermal.body_c
    thermal.set_power(8.0)
    assert (thermal.chip_c, thermal.body_c) == pytest.approx(before)
    thermal.set_surroundings(45.0, 3.0)
    assert (thermal.chip_c, thermal.body_c) == pytest.approx(before)
    thermal.set_power(8.0)
    thermal.advance(DAY)
    assert thermal.body_c == pytest.approx(45.0 + 4.0 * 11.0)


@pytest.mark.parametrize("chip", [True, False])
def test_crossing_is_solved_to_the_nanosecond_and_not_before(chip):
    thermal = Thermal(CASE, ROOM, 2.7, 0)
    thermal.set_power(12.0)
    target = 70.0
    at = thermal.time_to_reach(target, chip=chip)
    assert at is not None
    thermal.advance(at - MS)
    assert (thermal.chip_c if chip else thermal.body_c) < target
    thermal.advance(at)
    assert (thermal.chip_c if chip else thermal.body_c) >= target - 1e-9


def test_cooling_crossing_and_none_when_it_settles_above():
    thermal = Thermal(CASE, ROOM, 12.0, 0)
    thermal.set_power(2.7)
    at = thermal.time_to_reach(60.0, chip=True)
    assert at is not None
    thermal.advance(at)
    assert thermal.chip_c == pytest.approx(60.0, abs=1e-6)
    assert thermal.time_to_reach(60.0 - 30.0, chip=True) is None, "it settles at 40.4 C"
    assert Thermal(CASE, ROOM, 2.7, 0).time_to_reach(80.0, chip=True, horizon_ns=HOUR) is None


def test_brief_overshoot_between_two_modes_is_found():
    thermal = Thermal(CASE, ROOM, 2.7, 0)
    thermal.set_power(30.0)
    thermal.advance(20 * SECOND)  # the chip is hot, the body is not
    thermal.set_power(25.0)
    thermal.advance(21 * SECOND)
    peak = thermal.chip_c
    assert thermal.time_to_reach(peak + 1.0, chip=True) is not None


def test_a_night_later_the_sun_makes_it_too_warm():
    ambient = Ambient(mean_c=30.0, amplitude_c=12.0)
    thermal = Thermal(CASE, ambient, 6.4, 0)  # midnight
    limit = 30.0 + 5.7 * 6.4 + 8.0
    at = thermal.time_to_reach(limit, chip=True)
    assert at is not None
    assert 10 * HOUR < at < 15 * HOUR
    thermal.advance(at)
    assert thermal.chip_c == pytest.approx(limit, abs=1e-6)


def test_midnight_moves_the_day():
    early, late = Ambient(20.0, 10.0, midnight_ns=0), Ambient(20.0, 10.0, midnight_ns=3 * HOUR)
    assert late.air_c(18 * HOUR) == pytest.approx(early.air_c(15 * HOUR)) == pytest.approx(30.0)


def test_a_network_has_positive_constants():
    with pytest.raises(ValueError, match="body_j_k above zero"):
        Network(1.0, 1.0, 1.0, 0.0)


def test_already_there_is_now():
    thermal = Thermal(CASE, ROOM, 0.0, 5)
    assert thermal.time_to_reach(25.0, chip=True) == 5
