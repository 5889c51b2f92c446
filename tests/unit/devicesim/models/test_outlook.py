"""Unit-test twin of `devicesim/models/outlook.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, NEVER, SECOND
from devicesim.models import outlook
from devicesim.models.battery import Battery, BatterySpec
from devicesim.models.crossing import Crossing
from devicesim.models.processor import Processor
from devicesim.models.thermal import Ambient, Thermal

STEADY = (NEVER, 0.0)


@pytest.fixture
def kiosk(profiles):
    profile = profiles["rpi4-kiosk"]
    thermal = Thermal(profile.heat.network(), Ambient(mean_c=40.0), 2.7, 0)
    return thermal, Processor(profile.processor), profile.heat


def test_sooner_takes_the_earlier_and_the_first_on_a_tie():
    a, b = (5, Crossing.EMPTY), (5, Crossing.CHARGED)
    assert outlook.sooner(a, b) is a
    assert outlook.sooner(None, b) is b
    assert outlook.sooner(a, None) is a
    assert outlook.sooner(a, (4, Crossing.CHARGED)) == (4, Crossing.CHARGED)


def test_cool_is_nothing_to_come(kiosk):
    assert outlook.heat_outlook(*kiosk, 0, STEADY) is None


def test_heating_announces_the_trip_and_then_steps_of_two_seconds(kiosk):
    thermal, processor, heat = kiosk
    thermal.set_power(12.0)
    at, what = outlook.heat_outlook(thermal, processor, heat, 0, STEADY)
    assert what is Crossing.THROTTLE_DOWN
    thermal.advance(at)
    assert thermal.chip_c == pytest.approx(80.0, abs=1e-6)
    processor.step_down(at)
    again, what = outlook.heat_outlook(thermal, processor, heat, at, STEADY)
    assert (again, what) == (at + 2 * SECOND, Crossing.THROTTLE_DOWN)


def test_the_slowest_p_state_can_only_shut_down(kiosk):
    thermal, processor, heat = kiosk
    thermal.set_power(7.0)
    thermal.advance(HOUR)
    thermal.set_power(12.0)
    processor.step_down(HOUR)
    processor.step_down(HOUR)
    at, what = outlook.heat_outlook(thermal, processor, heat, HOUR, STEADY)
    assert what is Crossing.SHUTDOWN
    thermal.advance(at)
    assert outlook.heat_outlook(thermal, processor, heat, at, STEADY) == (at, Crossing.SHUTDOWN)


def test_recovery_waits_for_five_kelvin_below_the_trip(kiosk):
    thermal, processor, heat = kiosk
    thermal.set_power(6.8)
    thermal.advance(10 * HOUR)
    processor.step_down(10 * HOUR)
    thermal.set_power(2.7)
    at, what = outlook.heat_outlook(thermal, processor, heat, 10 * HOUR, STEADY)
    assert what is Crossing.THROTTLE_UP
    thermal.advance(at)
    assert thermal.chip_c == pytest.approx(75.0, abs=1e-6)
    thermal.advance(at + HOUR)
    now = at + HOUR
    assert outlook.heat_outlook(thermal, processor, heat, now, STEADY) == (
        now,
        Crossing.THROTTLE_UP,
    )


def test_a_burst_that_ends_in_time_is_looked_at_again_only_if_it_may_matter(kiosk):
    thermal, processor, heat = kiosk
    thermal.set_power(12.0)
    end = 5 * SECOND
    assert outlook.heat_outlook(thermal, processor, heat, 0, (end, 2.7)) is None
    hot_later = outlook.heat_outlook(thermal, processor, heat, 0, (end, 11.0))
    assert hot_later == (end, Crossing.THROTTLE_DOWN)
    processor.step_down(0)
    thermal.set_power(6.5)
    thermal.advance(HOUR)
    soon = HOUR + SECOND
    assert outlook.heat_outlook(thermal, processor, heat, HOUR, (soon, 2.7)) == (
        soon, Crossing.THROTTLE_UP,
    )  # fmt: skip


def test_supply_far_away_is_a_bound_that_is_early_and_closes_in():
    pack = Battery(BatterySpec(capacity_ah=4.0), 1.0)
    now, looks = 0, 0
    while True:
        at, what = outlook.supply_outlook(pack, 25.0, now, 2.0, 3.9)
        assert what in {Crossing.EMPTY, Crossing.BROWN_OUT}
        if at == now:
            break
        pack.advance(at - now - SECOND, 2.0, 25.0)
        assert not pack.browns_out(3.9), "it died more than a second before it was announced"
        pack.advance(SECOND, 2.0, 25.0)
        now, looks = at, looks + 1
        assert looks < 30, "each look must bring it much closer"
    assert now == pytest.approx(4.0 * 3.75 / 2.0 * HOUR, rel=0.1)


def test_a_cold_pack_is_empty_with_charge_inside():
    pack = Battery(BatterySpec(capacity_ah=4.0), 0.55)
    pack.advance(SECOND, 0.01, -20.0)
    at, what = outlook.supply_outlook(pack, -20.0, 0, 0.5, 0.5)
    assert what is Crossing.EMPTY
    assert HOUR < at < 2 * HOUR
    pack.advance(at + 2 * MINUTE, 0.5, -20.0)
    assert outlook.supply_outlook(pack, -20.0, at, 0.5, 0.5) == (at, Crossing.EMPTY)
    assert pack.soc == pytest.approx(0.5, abs=0.002)
    assert outlook.supply_outlook(Battery(BatterySpec(capacity_ah=4.0)), 25.0, 0, 0.0, 0.0) is None


def test_charging_and_reviving_are_announced():
    pack = Battery(BatterySpec(capacity_ah=4.0), 0.01)
    at, what = outlook.revival_outlook(pack, 25.0, 0, 10.0)
    assert what is Crossing.REVIVED
    pack.charge(at, 10.0, 25.0)
    assert outlook.revival_outlook(pack, 25.0, at, 10.0)[0] <= at + SECOND
    pack.charge(MINUTE, 10.0, 25.0)
    assert outlook.revival_outlook(pack, 25.0, at, 10.0) == (at, Crossing.REVIVED)
    full_at, what = outlook.charge_outlook(pack, 25.0, 0, 10.0)
    assert what is Crossing.CHARGED
    assert full_at > HOUR
    assert outlook.charge_outlook(pack, -5.0, 0, 10.0) is None
    assert (
        outlook.revival_outlook(Battery(BatterySpec(capacity_ah=4.0), 0.0), -5.0, 0, 10.0) is None
    )
