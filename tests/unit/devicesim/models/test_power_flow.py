"""Unit-test twin of `devicesim/models/power_flow.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MS, SECOND
from devicesim.models.power_flow import PowerFlow


@pytest.fixture
def flow(profiles, entropy):
    profile = profiles["rpi4-kiosk"]
    return PowerFlow(profile, entropy.stream("unit", "f"), profile.ambient(), 1.0, True, 0)


def test_at_rest_the_idle_power_flows(flow):
    flow.advance(HOUR)
    assert flow.drawn_j == pytest.approx(2.7 * 3600)
    assert flow.power_w == 2.7
    assert flow.energy_residual() < 1e-9


def test_activities_end_by_themselves_wherever_the_host_looks(flow, profiles, entropy):
    profile = profiles["rpi4-kiosk"]
    other = PowerFlow(profile, entropy.stream("unit", "f"), profile.ambient(), 1.0, True, 0)
    for one in (flow, other):
        one._burst(0, 10 * SECOND, 9.0)
        one._lump(0, 4 * SECOND, 2.0)
        assert one.power_w == pytest.approx(2.7 + 0.9 + 0.5)
    other.advance(HOUR)
    for k in range(1, 3601):
        flow.advance(k * SECOND)
    assert flow.power_w == other.power_w == 2.7
    assert flow.drawn_j == pytest.approx(other.drawn_j)
    assert flow.drawn_j == pytest.approx(2.7 * 3600 + 11.0)
    assert flow.thermal.chip_c == pytest.approx(other.thermal.chip_c, abs=1e-9)


def test_overlapping_activities_lose_no_joule(flow):
    flow._burst(0, 10 * SECOND, 9.0)
    flow.advance(5 * SECOND)
    flow._burst(5 * SECOND, 8 * SECOND, 3.0)
    flow._lump(5 * SECOND, 6 * SECOND, 1.0)
    flow.advance(5500 * MS)
    flow._lump(5500 * MS, 20 * SECOND, 1.0)
    assert flow._power_after_next_end() < flow.power_w
    flow.advance(HOUR)
    assert flow.drawn_j == pytest.approx(2.7 * 3600 + 9.0 + 3.0 + 2.0)
    assert flow.compute_j == 12.0


def test_a_cut_gives_back_what_was_not_drawn(flow):
    flow._burst(0, 10 * SECOND, 9.0)
    flow._lump(0, 10 * SECOND, 5.0)
    flow.advance(5 * SECOND)
    flow._cut_activities(5 * SECOND)
    flow._settle(5 * SECOND)
    flow.advance(HOUR)
    assert flow.compute_j == pytest.approx(4.5)
    assert flow.drawn_j == pytest.approx(2.7 * 3600 + 4.5 + 2.5)


def test_power_after_the_next_end_knows_which_one_ends(flow):
    flow._burst(0, 10 * SECOND, 9.0)
    flow._lump(0, 4 * SECOND, 2.0)
    assert flow._power_after_next_end() == pytest.approx(3.6)
    flow._lump(0, 20 * SECOND, 2.0)
    assert flow._power_after_next_end() == pytest.approx(2.7 + 4.0 / 20)


def test_an_audit_notices_a_wrong_book(flow):
    flow.advance(HOUR)
    flow.radio_j += 200.0
    assert flow.energy_residual() > 0.01


def test_time_does_not_go_back(flow):
    flow.advance(SECOND)
    flow.advance(SECOND)
    with pytest.raises(ValueError, match="expected an instant from 1000000000 ns on"):
        flow.advance(0)


def test_units_differ_but_each_is_itself(profiles, entropy):
    def make(ident):
        profile = profiles["phone"]
        return PowerFlow(profile, entropy.stream("unit", ident), profile.ambient(), 1.0, False, 0)

    speeds = {make(f"d{k}").processor.rate("int8") for k in range(20)}
    assert len(speeds) == 20
    assert make("d1").processor.rate("int8") == make("d1").processor.rate("int8")
    assert make("d1").battery.capacity_as <= 4.0 * 3600
