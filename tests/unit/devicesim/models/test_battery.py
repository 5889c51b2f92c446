"""Unit-test twin of `devicesim/models/battery.py`; golden figures by PyBaMM (`tests/golden`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, NEVER, SECOND
from devicesim.models.battery import Battery, BatterySpec

GOLDEN = json.loads(
    (Path(__file__).parents[3] / "golden" / "battery_pybamm.json").read_text("utf-8")
)["cases"]
PHONE = BatterySpec(capacity_ah=4.0)
VOLTS = 0.003
SOC = 0.0005


def battery(case):
    return Battery(BatterySpec(capacity_ah=case["capacity_ah"]), case["soc0"])


@pytest.mark.parametrize("name", ["0.2C", "1C", "1C at 0 C"])
def test_constant_current_is_what_pybamm_integrates(name):
    case, at = GOLDEN[name], 0.0
    pack = battery(case)
    for time, soc, volts in zip(case["time_s"], case["soc"], case["voltage_v"], strict=True):
        pack.draw(round((time - at) * SECOND), case["current_a"], case["temp_c"])
        at = time
        assert pack.soc == pytest.approx(soc, abs=SOC), f"{name} at {time:.0f} s"
        if time:
            found = pack.terminal_voltage(volts * case["current_a"])
            assert found == pytest.approx(volts, abs=VOLTS), f"{name} at {time:.0f} s"
    assert pack.energy_residual() < 0.01


def test_constant_power_is_what_pybamm_integrates():
    case, at = GOLDEN["10 W"], 0.0
    pack = battery(case)
    for time, soc, volts in zip(case["time_s"], case["soc"], case["voltage_v"], strict=True):
        pack.advance(round((time - at) * SECOND), case["power_w"], case["temp_c"])
        at = time
        assert pack.soc == pytest.approx(soc, abs=SOC), f"10 W at {time:.0f} s"
        if time:
            assert pack.terminal_voltage(10.0) == pytest.approx(volts, abs=VOLTS)


def test_pulsed_load_is_what_pybamm_integrates():
    case = GOLDEN["pulsed"]
    pack = battery(case)
    for k in range(case["cycles"]):
        pack.advance(round(case["on_s"] * SECOND), case["on_w"], 25.0)
        assert pack.terminal_voltage(case["on_w"]) == pytest.approx(case["on_v"][k], abs=VOLTS)
        pack.advance(round(case["off_s"] * SECOND), case["off_w"], 25.0)
        assert pack.terminal_voltage(case["off_w"]) == pytest.approx(case["off_v"][k], abs=VOLTS)
        assert pack.soc == pytest.approx(case["soc"][k], abs=SOC)
    assert pack.energy_residual() < 0.01


def test_one_step_of_an_hour_is_as_good_as_seconds():
    coarse, fine = Battery(PHONE, 0.9), Battery(PHONE, 0.9)
    coarse.advance(HOUR, 5.0, 10.0)
    for _ in range(3600):
        fine.advance(SECOND, 5.0, 10.0)
    assert coarse.soc == pytest.approx(fine.soc, abs=2e-4)
    assert coarse.delivered_j == pytest.approx(5.0 * 3600)


def test_energy_closes_from_full_to_dead_and_back():
    pack = Battery(PHONE, 1.0)
    while not pack.browns_out(5.0):
        pack.advance(MINUTE, 5.0, 15.0)
    assert 0.02 < pack.soc < 0.2
    assert pack.lost_j > 0.0
    assert pack.energy_residual() < 0.01
    while not pack.is_full():
        pack.charge(10 * MINUTE, 10.0, 20.0)
    assert pack.soc > 0.98
    assert pack.accepted_j > 40_000
    assert pack.energy_residual() < 0.01


def test_an_audit_notices_energy_from_nowhere():
    pack = Battery(PHONE, 1.0)
    pack.advance(HOUR, 5.0, 25.0)
    pack.delivered_j *= 1.05
    assert pack.energy_residual() > 0.01


def test_cold_brown_out_that_a_warm_pack_bears():
    small = BatterySpec(capacity_ah=0.85)
    assert not Battery(small, 0.3).browns_out(8.0)
    cold = Battery(small, 0.3)
    cold.advance(SECOND, 0.1, -10.0)
    assert cold.browns_out(8.0)
    assert cold.terminal_voltage(80.0) == 0.0, "no voltage gives 80 W through a cold 850 mAh cell"


def test_no_charging_below_freezing():
    pack = Battery(PHONE, 0.5)
    pack.charge(HOUR, 10.0, -0.1)
    assert pack.soc == 0.5
    assert pack.charging_current(10.0, -0.1) == 0.0
    assert pack.charging_current(10.0, 0.1) > 0.0


def test_charging_is_half_a_capacity_an_hour_then_tapers():
    pack = Battery(PHONE, 0.2)
    pack.charge(HOUR, 50.0, 25.0)
    assert pack.soc == pytest.approx(0.7, abs=1e-6), "0.5 C for an hour"
    weak = Battery(PHONE, 0.2)
    weak.charge(HOUR, 4.0, 25.0)
    assert weak.soc < 0.5, "four watts cannot push 2 A"
    aged = Battery(BatterySpec(capacity_ah=4.0, charge_v=4.1), 0.9)
    first = aged.charging_current(50.0, 25.0)
    aged.charge(30 * MINUTE, 50.0, 25.0)
    assert aged.charging_current(50.0, 25.0) < 0.8 * first


def test_time_to_full_is_early_never_late():
    for spec in (PHONE, BatterySpec(capacity_ah=4.0, charge_v=4.1)):
        pack, looks = Battery(spec, 0.6), 0
        while not pack.is_full():
            wait = max(pack.time_to_full(20.0, 25.0), SECOND)
            pack.charge(wait - SECOND, 20.0, 25.0)
            assert not pack.is_full(), "full before it was announced"
            pack.charge(SECOND, 20.0, 25.0)
            looks += 1
            assert looks < 20, "each look must bring it much closer"
    assert Battery(PHONE, 0.5).time_to_full(20.0, -5.0) == NEVER


def test_time_to_empty_is_when_it_is_empty():
    pack = Battery(PHONE, 0.8)
    span = pack.time_to_floor(3.0, 0.3)
    pack.advance(span, 3.0, 25.0)
    assert pack.soc == pytest.approx(0.3, abs=1e-3)
    assert pack.time_to_floor(3.0, 0.9) == 0
    assert pack.time_to_floor(0.0, 0.1) == NEVER
    assert pack.time_to_empty(3.0, -20.0) == 0, "at -20 C half of the charge stays inside"
    assert pack.is_empty(-20.0)
    assert not pack.is_empty(25.0)
    assert pack.usable_soc(-20.0) == 0.0
    assert pack.usable_soc(25.0) == pytest.approx(pack.soc)


def test_brown_out_charge_is_where_the_voltage_meets_the_cut_off():
    pack = Battery(PHONE, 0.9)
    soc = pack.brown_out_soc(1.0, 5.0)
    assert 0.01 < soc < 0.2
    pack.advance(pack.time_to_floor(1.0, soc), 1.0, 25.0)
    assert pack.terminal_voltage(5.0) == pytest.approx(3.3, abs=0.02)
    assert pack.brown_out_soc(1.0, 500.0) == pack.soc, "it is already under"
    strong = Battery(BatterySpec(capacity_ah=4.0, v_cut=2.0), 0.9)
    assert strong.brown_out_soc(0.1, 0.1) == 0.0, "never, before it is empty"


def test_safe_bound_holds_where_it_is_given():
    pack = Battery(PHONE, 0.9)
    assert pack.sags_safely(0.2, 1.0, 5.0)
    assert not pack.sags_safely(0.02, 1.0, 5.0)
    assert not pack.sags_safely(0.2, 1.0, 300.0)


def test_age_takes_capacity_and_adds_resistance():
    new, old = Battery(PHONE, 0.9), Battery(PHONE, 0.9)
    old.advance(MINUTE, 1.0, 25.0)
    old.set_age(0.7, 2.0)
    assert old.terminal_voltage(5.0) < new.terminal_voltage(5.0)
    assert old.time_to_floor(3.0, 0.2) < 0.75 * new.time_to_floor(3.0, 0.2)
    old.advance(HOUR, 3.0, 25.0)
    assert old.energy_residual() < 0.01


def test_an_exhausted_pack_refuses():
    pack = Battery(PHONE, 0.01)
    pack.advance(HOUR, 5.0, 25.0)
    assert pack.soc == pytest.approx(0.0, abs=1e-5)
    assert pack.refused_j > 15_000
    assert pack.energy_residual() < 0.01 * 100, "the last percent is where the curves bend most"
    greedy = Battery(PHONE, 0.9)
    greedy.advance(SECOND, 1000.0, 25.0)
    assert greedy.delivered_j < 1000.0
    assert greedy.refused_j == pytest.approx(1000.0 - greedy.delivered_j)


@pytest.mark.parametrize(
    ("field", "value"), [("capacity_ah", 0.0), ("v_cut", -1.0), ("chemistry", "potato")]
)
def test_a_spec_says_what_it_expected(field, value):
    with pytest.raises(ValueError, match="expected"):
        BatterySpec(**{"capacity_ah": 4.0, field: value})


def test_state_of_charge_is_between_zero_and_one():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Battery(PHONE, 1.5)
