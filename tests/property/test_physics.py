"""Property tests of the physics: whatever a device does, the laws hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.timebase import MINUTE, MS, SECOND
from devicesim.entropy import Entropy
from devicesim.models.battery import Battery, BatterySpec
from devicesim.models.body import Body
from devicesim.models.cell import CHEMISTRIES
from devicesim.models.crossing import Crossing, Modifier
from devicesim.models.link import FixedLink
from devicesim.models.profile import decode_profile
from devicesim.models.radio import RADIOS, Radio
from devicesim.models.thermal import Ambient, Network, Thermal

QUICK = settings(max_examples=60, derandomize=True, deadline=None, database=None)
FOLDER = Path(__file__).parents[2] / "scenarios" / "profiles"
PROFILES = {
    path.stem: decode_profile(yaml.safe_load(path.read_text("utf-8")), path.name)
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "links.yaml"
}
DEADLY = {Crossing.SHUTDOWN, Crossing.BROWN_OUT, Crossing.EMPTY}

watts = st.floats(0.0, 12.0)
celsius = st.floats(-20.0, 45.0)
spans = st.integers(1 * MS, 40 * MINUTE)


@QUICK
@given(
    st.sampled_from(sorted(CHEMISTRIES)),
    st.floats(0.3, 1.0),
    st.lists(st.tuples(spans, watts, celsius, st.booleans()), min_size=1, max_size=25),
)
def test_battery_energy_closes_whatever_is_drawn_and_charged(chemistry, soc, plan):
    lead = chemistry.startswith("lead")
    pack = Battery(BatterySpec(4.0, chemistry=chemistry, charge_v=14.4 if lead else 4.2), soc)
    for span, power, temp, charging in plan:
        before = pack.soc
        if charging:
            pack.charge(span, power, temp)
            assert pack.soc >= before
            assert temp >= 0.0 or pack.soc == before, "charged below freezing"
        elif pack.soc > 0.05:
            pack.advance(span, power, temp)
            assert pack.soc <= before
        assert 0.0 <= pack.soc <= 1.0
    assert pack.energy_residual() < 0.01


@QUICK
@given(
    st.floats(0.5, 5.0), st.floats(1.0, 40.0), st.floats(0.2, 20.0), st.floats(1.0, 200.0),
    st.lists(st.tuples(spans, st.floats(0.0, 10.0)), min_size=1, max_size=10),
    st.integers(2, 7),
)  # fmt: skip
def test_heat_does_not_care_how_time_is_cut(to_body, to_air, chip, body, plan, pieces):
    network, ambient = Network(to_body, to_air, chip, body), Ambient(20.0, 8.0)
    whole, cut = Thermal(network, ambient, 1.0, 0), Thermal(network, ambient, 1.0, 0)
    now = 0
    for span, power in plan:
        whole.set_power(power)
        cut.set_power(power)
        bound = max(whole.ceiling_c(chip=True), whole.chip_c)
        for k in range(1, pieces + 1):
            cut.advance(now + span * k // pieces)
            assert cut.chip_c <= bound + 1e-6, "hotter than the bound that promised it would not be"
        now += span
        whole.advance(now)
        assert math.isclose(whole.chip_c, cut.chip_c, abs_tol=1e-6)
        assert math.isclose(whole.body_c, cut.body_c, abs_tol=1e-6)


@QUICK
@given(st.floats(0.0, 12.0), st.floats(0.0, 12.0), st.floats(15.0, 90.0), st.booleans())
def test_a_solved_crossing_is_the_first(before_w, after_w, target, chip):
    thermal = Thermal(Network(1.7, 4.0, 6.0, 45.0), Ambient(22.0, 4.0), before_w, 0)
    thermal.set_power(after_w)
    start = (thermal.chip_c if chip else thermal.body_c) - target
    at = thermal.time_to_reach(target, chip=chip)
    for minute in range(1, 240):
        now = minute * MINUTE
        if at is not None and now >= at:
            break
        thermal.advance(now)
        gap = (thermal.chip_c if chip else thermal.body_c) - target
        assert gap * start > 0.0 or abs(gap) < 0.02, f"crossed before {at}"
    if at is not None:
        thermal.advance(at)
        assert math.isclose(thermal.chip_c if chip else thermal.body_c, target, abs_tol=1e-6)


@QUICK
@given(
    st.sampled_from(sorted(RADIOS)),
    st.lists(
        st.tuples(st.integers(0, 30 * SECOND), st.integers(0, 50_000), st.booleans()), max_size=30
    ),
)
def test_radio_never_earns_energy_and_never_sleeps_early(name, plan):
    radio, now, total = Radio(RADIOS[name]), 0, 0.0
    for gap, size, uplink in plan:
        now += gap
        until = radio.up_until
        joules = radio.message(now, size, uplink=uplink)
        assert joules >= 0.0
        assert radio.up_until >= until
        total += joules
    lonely = sum(RADIOS[name].lonely_j(size, uplink=uplink) for _, size, uplink in plan)
    assert total <= lonely + 1e-6, "together they cost no more than alone"


@QUICK
@given(
    st.integers(0, 800), st.floats(20e3, 50e6), st.floats(0.0, 0.2),
    st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 60_000), st.booleans()), min_size=1, max_size=40),
)  # fmt: skip
def test_a_link_keeps_order_and_never_beats_light_or_its_rate(rtt_ms, bps, loss, plan):
    link = FixedLink(rtt_ms * MS, bps, loss, luck=Entropy(1).stream("luck", "p"))
    now, last, carried = 0, {True: 0, False: 0}, {True: 0, False: 0}
    for gap, size, down in plan:
        now += gap
        carried[down] += size
        arrival = now + link.arrival_delay_ns(size, now, down)
        assert arrival >= last[down]
        assert arrival >= now + rtt_ms * MS // 2 + int(8e9 * size / bps)
        assert arrival + MS >= rtt_ms * MS // 2 + int(8e9 * carried[down] / bps)
        last[down] = arrival


STEPS = st.tuples(
    st.sampled_from(
        ["burst", "message", "flash", "wave", "plug", "unplug", "connect", "off", "on"]
    ),
    st.integers(0, 20 * MINUTE),
    st.integers(1, 200),
)


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from(sorted(PROFILES)), st.floats(0.2, 1.0), st.lists(STEPS, min_size=1, max_size=40)
)
def test_a_body_keeps_its_books_and_its_temper(name, soc, steps):
    body = Body(PROFILES[name], Entropy(5).stream("unit", name), soc=soc)
    now = 0
    for what, gap, amount in steps:
        now = _obey(body, now, now + gap)
        _do(body, now, what, amount)
        reading = body.read()
        assert -40.0 < reading.body_c <= reading.chip_c + 15.0 < 150.0
        assert 0.0 <= reading.soc <= 1.0
        assert not (reading.charging and reading.body_c < 0.0)
        assert body.energy_residual() < 0.01


def _obey(body, now, until):
    for _ in range(3000):
        found = body.next_crossing(now)
        if found is None or found[0] > until:
            body.advance(until)
            return until
        assert found[0] >= now
        now = found[0]
        happened = body.on_crossing(now, found[1])
        if happened and found[1] in DEADLY:
            body.power_off(now)
        elif happened and found[1] in {Crossing.COOLED, Crossing.REVIVED}:
            body.power_on(now)
        elif not happened:
            now = min(now + MS, until)
    pytest.fail(f"the same crossing over and over: {found}")


def _do(body, now, what, amount):
    if what == "burst" and body.on:
        body.run_burst(now, amount, 50 * MS, 1e4 * amount)
    elif what == "message":
        body.message(now, amount * 100, amount % 2 == 0)
    elif what == "flash":
        body.flash_write(now, amount * 1000)
    elif what == "wave":
        body.apply(now, Modifier(air_k=amount / 20.0 - 5.0))
    elif what in {"plug", "unplug"}:
        body.set_plugged(now, what == "plug")
    elif what == "connect":
        body.set_connected(now, amount % 2 == 0)
    elif what == "off" and body.on:
        body.power_off(now)
    elif what == "on" and not body.on:
        body.power_on(now)
