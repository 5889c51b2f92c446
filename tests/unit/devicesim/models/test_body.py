"""Unit-test twin of `devicesim/models/body.py`: a device lives through a day."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, MS, SECOND
from devicesim.models.body import Body
from devicesim.models.crossing import Crossing, Modifier, battery_age, heat_wave, load, plugged, sun
from devicesim.models.thermal import Ambient

DEADLY = {Crossing.SHUTDOWN, Crossing.BROWN_OUT, Crossing.EMPTY}
HEAVY = 3.0e9


@pytest.fixture
def make(profiles, entropy):
    def body(name, **more):
        return Body(profiles[name], entropy.stream("unit", name), **more)

    return body


def live(body, until, now=0, reboot=True):
    """Play a host: do what crossings ask for; return what happened."""
    seen, calls = [], 0
    while True:
        found = body.next_crossing(now)
        if found is None or found[0] > until:
            body.advance(until)
            return seen
        assert found[0] >= now, "a crossing in the past"
        now = found[0]
        happened = body.on_crossing(now, found[1])
        if happened:
            seen.append((now, found[1]))
            if found[1] in DEADLY:
                body.power_off(now)
            elif found[1] in {Crossing.COOLED, Crossing.REVIVED} and reboot:
                body.power_on(now)
        calls += 1
        assert calls < 5000, f"stuck at {found}"
        if not happened:
            now += MS


def kinds(seen):
    return [what for _, what in seen]


def test_a_burst_costs_what_the_processor_says(make):
    body = make("rpi4-kiosk")
    cost = body.run_burst(0, 20, SECOND, 300e6)
    assert cost.latency_ns == pytest.approx(80 * MS, rel=0.07), "units spread by 2 % sigma"
    assert cost.energy_j == pytest.approx(20 * 0.93 * cost.latency_ns * 1e-9)
    assert not cost.throttled
    assert cost.end_ns == 20 * SECOND
    body.advance(MINUTE)
    assert body.drawn_j == pytest.approx(2.7 * 60 + cost.energy_j)
    back_to_back = body.run_burst(MINUTE, 10, MS, 300e6)
    assert back_to_back.end_ns == MINUTE + 10 * back_to_back.latency_ns


def test_a_cut_burst_is_paid_as_far_as_it_ran(make):
    body = make("rpi4-kiosk")
    cost = body.run_burst(0, 20, SECOND, 300e6)
    body.cut_burst(5 * SECOND)
    body.advance(MINUTE)
    assert body.compute_j == pytest.approx(cost.energy_j / 4)
    assert body.drawn_j == pytest.approx(2.7 * 60 + cost.energy_j / 4)


def test_messages_cost_radio_energy_and_a_wire_costs_none(make):
    phone, kiosk = make("phone"), make("rpi4-kiosk")
    assert phone.message(0, 100, True) == pytest.approx(12.6, abs=0.1)
    assert kiosk.message(0, 100, True) == 0.0
    phone.advance(HOUR)
    assert phone.drawn_j == pytest.approx(0.03 * 3600 + phone.radio_j)
    phone.use_radio(HOUR, "wifi")
    assert phone.message(HOUR, 100, True) < 0.1
    with pytest.raises(ValueError, match="expected a radio"):
        phone.use_radio(HOUR, "pigeon")


def test_keep_alive_is_paid_while_connected_and_shows_in_the_battery(make):
    chatty, silent = make("phone"), make("phone")
    chatty.set_connected(0, True, keepalive_s=60.0)
    for body in (chatty, silent):
        body.advance(6 * HOUR)
    assert chatty.read().soc < silent.read().soc - 0.05, "an LTE ping a minute empties a phone"
    chatty.set_connected(6 * HOUR, False)
    assert chatty.power_w == silent.power_w


def test_a_day_in_the_case_is_uneventful_and_a_heat_wave_is_not(make):
    body = make("rpi4-kiosk")
    body.apply(0, load(4.0))
    assert live(body, DAY) == []
    wave = heat_wave(25.0)
    body.apply(DAY, wave)
    seen = live(body, 2 * DAY, DAY)
    assert Crossing.THROTTLE_DOWN in kinds(seen)
    assert Crossing.SHUTDOWN not in kinds(seen), "slowing down was enough"
    throttled = body.processor.throttled or Crossing.THROTTLE_UP in kinds(seen)
    assert throttled
    body.undo(2 * DAY, wave)
    live(body, 3 * DAY, 2 * DAY)
    assert not body.processor.throttled
    assert body.energy_residual() < 1e-6


def test_throttled_inference_is_slower_and_says_so(make):
    body = make("rpi4-kiosk")
    fast = body.run_burst(0, 1, SECOND, 300e6).latency_ns
    body.apply(MINUTE, heat_wave(70.0))
    body.advance(HOUR)
    assert body.on_crossing(HOUR, Crossing.THROTTLE_DOWN)
    assert not body.on_crossing(HOUR + SECOND, Crossing.THROTTLE_DOWN), "two seconds between steps"
    assert not body.on_crossing(HOUR + 3 * SECOND, Crossing.THROTTLE_UP), "it is hot"
    cost = body.run_burst(HOUR + 4 * SECOND, 60, MS, 300e6)
    assert cost.throttled
    assert cost.latency_ns == pytest.approx(1.5 * fast, rel=1e-3)
    before = body.power_w
    assert body.on_crossing(HOUR + 4500 * MS, Crossing.THROTTLE_DOWN)
    assert body.power_w < before, "a running burst draws less at a lower frequency"
    body.advance(HOUR + MINUTE)
    assert body.energy_residual() < 1e-6
    assert body.read().throttled


def test_too_hot_is_off_until_cooled_then_boots_at_full_speed(make):
    body = make("gauge-gateway")
    body.apply(0, Modifier(air_k=35.0, sun_w=2.0, load_cores=4.0))
    seen = live(body, 2 * HOUR)
    assert kinds(seen)[:3] == [Crossing.THROTTLE_DOWN, Crossing.THROTTLE_DOWN, Crossing.SHUTDOWN]
    assert Crossing.COOLED in kinds(seen) or not body.on
    body.undo(2 * HOUR, Modifier(air_k=35.0, sun_w=2.0, load_cores=4.0))
    live(body, 4 * HOUR, 2 * HOUR)
    assert body.on
    assert not body.read().throttled


def test_a_phone_throttles_by_its_skin(make):
    body = make("phone")
    body.run_burst(0, 100_000, MS, HEAVY)
    seen = live(body, 30 * MINUTE)
    assert seen[0][1] is Crossing.THROTTLE_DOWN
    assert body.thermal.body_c < 43.0


def test_a_handheld_dies_in_its_shift_is_cradled_and_revived(make):
    body = make("handheld", soc=0.3)
    body.apply(0, load(1.0))
    seen = live(body, 10 * HOUR)
    assert kinds(seen)[-1] in {Crossing.BROWN_OUT, Crossing.EMPTY}
    died = seen[-1][0]
    assert 1.5 * HOUR < died < 5 * HOUR
    assert not body.on
    assert body.next_crossing(10 * HOUR) is None, "nobody charges it"
    body.undo(10 * HOUR, load(1.0))
    body.apply(10 * HOUR, plugged(True))
    seen = live(body, 20 * HOUR, 10 * HOUR)
    assert kinds(seen) == [Crossing.REVIVED, Crossing.CHARGED]
    assert body.read().soc > 0.98
    assert body.read().plugged
    assert not body.read().charging
    assert body.energy_residual() < 0.01


def test_no_charging_below_freezing_until_it_warms_up(make):
    body = make("handheld", soc=0.3, plugged=True, ambient=Ambient(mean_c=-8.0, amplitude_c=0.0))
    body.advance(2 * HOUR)
    assert not body.read().charging
    soc = body.battery.soc
    assert soc == 0.3
    body.apply(2 * HOUR, heat_wave(20.0))
    body.advance(3 * HOUR)
    assert body.read().charging
    body.advance(4 * HOUR)
    assert body.battery.soc > 0.5


def test_charging_warms_the_body_until_it_is_unplugged(make):
    body = make("handheld", soc=0.2)
    cold = body.thermal.body_c
    body.set_plugged(0, True)
    body.advance(MINUTE)
    body.advance(HOUR)
    assert body.thermal.body_c > cold + 3.0
    body.set_plugged(HOUR, False)
    body.advance(3 * HOUR)
    assert body.thermal.body_c == pytest.approx(body.thermal.mean_c, abs=4.0)


def test_mains_dies_with_the_grid_and_comes_back_with_it(make):
    body = make("rpi4-kiosk")
    body.apply(HOUR, plugged(False))
    assert body.read().voltage_v == 0.0
    seen = live(body, 2 * HOUR, HOUR)
    assert seen == [(HOUR, Crossing.BROWN_OUT)]
    body.undo(2 * HOUR, plugged(False))
    assert live(body, 3 * HOUR, 2 * HOUR) == [(2 * HOUR, Crossing.REVIVED)]
    assert body.on
    assert body.read().voltage_v == 5.1


def test_a_parked_car_lets_go_at_12_1_volts(make):
    body = make("vehicle-gateway", plugged=False)
    seen = live(body, 10 * DAY)
    assert kinds(seen) == [Crossing.BROWN_OUT]
    assert 3 * DAY < seen[0][0] < 6 * DAY
    assert body.battery.open_circuit_v() == pytest.approx(12.1, abs=0.02)


def test_age_takes_a_battery_down_sooner_and_modifiers_add_up(make):
    spent = {}
    for aged in (False, True):
        body = make("phone", soc=0.9)
        if aged:
            body.apply(0, battery_age(0.8, 1.5))
            body.apply(0, battery_age(0.8, 1.5))
        body.apply(0, load(2.0))
        spent[aged] = live(body, 2 * DAY)[-1][0]
    assert spent[True] == pytest.approx(0.64 * spent[False], rel=0.15)


def test_sun_and_wave_add_up_and_come_off_one_by_one(make):
    body = make("vehicle-gateway", ambient=Ambient(mean_c=20.0))
    body.advance(HOUR)
    base = body.thermal.body_c
    for hardship in (heat_wave(10.0), sun(10.0), heat_wave(10.0)):
        body.apply(HOUR, hardship)
    body.advance(3 * HOUR)
    k_w = (base - 20.0) / 4.0
    assert body.thermal.body_c == pytest.approx(base + 20.0 + 10.0 * k_w, abs=0.1)
    body.undo(3 * HOUR, heat_wave(10.0))
    body.advance(5 * HOUR)
    assert body.thermal.body_c == pytest.approx(base + 10.0 + 10.0 * k_w, abs=0.1)
    with pytest.raises(ValueError, match="expected a modifier that was applied"):
        body.undo(5 * HOUR, heat_wave(3.0))


def test_off_draws_nothing_cools_down_and_refuses_bursts(make):
    body = make("rpi4-kiosk")
    body.run_burst(0, 100, SECOND, 300e6)
    body.set_connected(0, True)
    body.advance(10 * SECOND)
    body.power_off(10 * SECOND)
    drawn = body.drawn_j
    body.advance(10 * HOUR)
    assert body.drawn_j == drawn
    assert body.power_w == 0.0
    assert body.read().chip_c == pytest.approx(body.profile.ambient().air_c(10 * HOUR), abs=0.3)
    assert body.message(10 * HOUR, 100, True) == 0.0
    assert body.next_crossing(10 * HOUR) is None
    assert not body.on_crossing(10 * HOUR, Crossing.THROTTLE_DOWN)
    with pytest.raises(ValueError, match="device that is on"):
        body.run_burst(10 * HOUR, 1, 0, 1e6)
    assert body.energy_residual() < 1e-6
    body.power_on(10 * HOUR)
    with pytest.raises(ValueError, match="some frames"):
        body.run_burst(10 * HOUR, 0, 0, 1e6)


def test_flash_takes_time_energy_and_wear(make):
    body = make("rpi4-kiosk")
    assert body.flash_write(0, 20_000_000) == SECOND
    assert body.flash_j == pytest.approx(0.3)
    assert body.flash.erased_blocks > 0
    body.advance(MINUTE)
    assert body.drawn_j == pytest.approx(2.7 * 60 + 0.3)


def test_energy_closes_over_a_busy_week_on_every_profile(make, profiles):
    for name in profiles:
        body = make(name, soc=0.95)
        now = 0
        body.set_connected(0, True)
        for k in range(7 * 24):
            now = k * HOUR
            if not body.on:
                body.set_plugged(now, True)
                live(body, now + HOUR - 1, now)
                continue
            body.run_burst(now, 20, SECOND // 2, 100_000)
            body.message(now + SECOND, 800, True)
            body.flash_write(now + 2 * SECOND, 5000)
            live(body, now + HOUR - 1, now + 2 * SECOND)
        assert body.energy_residual() < 0.01, name
        assert body.drawn_j > 0


def test_a_weak_charger_cannot_hold_a_busy_device(profiles, entropy):
    phone = profiles["phone"]
    weak = replace(phone, battery=replace(phone.battery, charger_w=1.0))
    body = Body(
        weak, entropy.stream("unit", "weak"), soc=0.5, plugged=True, ambient=Ambient(mean_c=5.0)
    )
    body.apply(0, load(1.0))
    body.advance(HOUR)
    assert body.battery.soc < 0.5
    assert not body.read().charging
    assert body.next_crossing(HOUR)[1] in {Crossing.EMPTY, Crossing.BROWN_OUT}
    assert not body.on_crossing(HOUR, Crossing.CHARGED)


def test_readings_of_a_discharging_battery(make):
    body = make("phone", soc=0.6)
    reading = body.read()
    assert reading.soc == pytest.approx(0.6, abs=0.02)
    assert 3.6 < reading.voltage_v < 4.0
    assert not reading.plugged
    assert not reading.charging
