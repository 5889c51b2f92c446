"""Unit-test twin of `devicesim/models/radio.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MS, SECOND
from devicesim.models.radio import RADIOS, Radio, RadioSpec


def test_one_lonely_lte_message_costs_12_6_joules():
    radio = Radio(RADIOS["lte"])
    assert radio.message(0, 100, uplink=True) == pytest.approx(12.6, abs=0.05)
    assert radio.up_until == pytest.approx(11.84 * SECOND, rel=0.01)


def test_within_the_tail_no_promotion_is_paid_and_the_tail_only_grows():
    spec = RADIOS["lte"]
    radio = Radio(spec)
    first = radio.message(0, 100, uplink=True)
    second = radio.message(2 * SECOND, 100, uplink=True)
    assert second == pytest.approx(2.0 * 1.06, rel=0.15), "two more seconds of tail"
    third = radio.message(60 * SECOND, 100, uplink=True)
    assert third == pytest.approx(first), "asleep again: the whole price"
    assert radio.message(60 * SECOND + 1, 0, uplink=True) < 0.5


def test_sum_over_a_burst_is_one_promotion_the_transfers_and_one_long_tail():
    spec = RADIOS["lte"]
    radio, total = Radio(spec), 0.0
    for k in range(50):
        total += radio.message(k * 200 * MS, 10_000, uplink=False)
    transfer_s = 8 * 10_000 / (12.74e6)
    expected = spec.promotion_s * spec.promotion_w + spec.tail_j(spec.tail_s)
    expected += 50 * (transfer_s * spec.base_w + 8 * 10_000 / 1e6 * spec.down_w_mbit)
    expected += 49 * (0.2 - transfer_s) * 1.06
    assert total == pytest.approx(expected, rel=0.03)


def test_3g_tail_has_two_stages():
    spec = RADIOS["3g"]
    assert spec.tail_j(spec.tail_s) == pytest.approx(8.0881 * 0.80375 + 0.8242 * 0.60131)
    assert spec.tail_j(1.0) == pytest.approx(0.80375)
    radio = Radio(spec)
    radio.message(0, 100, uplink=True)
    assert 0.5 < radio.message(2 * SECOND, 100, uplink=True) < 1.5


def test_uplink_bits_cost_more_and_a_slow_link_costs_longer():
    radio = Radio(RADIOS["lte"])
    radio.message(0, 0, uplink=True)
    up = radio.message(1, 1_000_000, uplink=True)
    down = Radio(RADIOS["lte"])
    down.message(0, 0, uplink=True)
    assert up > down.message(1, 1_000_000, uplink=False)
    slow, quick = Radio(RADIOS["lte"]), Radio(RADIOS["lte"])
    assert slow.message(0, 100_000, uplink=False, bytes_per_s=1000.0) > (
        quick.message(0, 100_000, uplink=False, bytes_per_s=1e6) + 100.0
    )


def test_keep_alive_is_a_mean_power_whether_the_radio_sleeps_or_not():
    radio = Radio(RADIOS["lte"])
    assert radio.keep_alive_w(60.0) == pytest.approx(12.6 / 60.0, rel=0.02)
    assert radio.keep_alive_w(5.0) == pytest.approx(1.06), "it never leaves the tail"
    assert radio.keep_alive_w(3600.0) < radio.keep_alive_w(60.0) / 50


def test_a_wire_is_silent_and_a_cut_forgets_the_tail():
    assert Radio(RADIOS["ethernet"]).silent
    assert Radio(RADIOS["ethernet"]).message(0, 10_000, uplink=True) == 0.0
    radio = Radio(RADIOS["wifi"])
    assert not radio.silent
    whole = radio.message(10, 100, uplink=True)
    radio.cut()
    assert radio.message(20, 100, uplink=True) == pytest.approx(whole)


def test_a_modern_phone_spends_a_quarter_in_the_tail():
    old, new = RADIOS["lte"], RADIOS["lte-modern"]
    assert 3.0 <= old.tail_j(old.tail_s) / new.tail_j(new.tail_s) <= 5.0


def test_a_spec_refuses_negative_figures():
    good = {
        "promotion_s": 0.1, "promotion_w": 1.0, "base_w": 1.0, "up_w_mbit": 0.1, "down_w_mbit": 0.1,
        "tail": ((1.0, 1.0),), "up_mbit_s": 1.0, "down_mbit_s": 1.0,
    }  # fmt: skip
    assert RadioSpec(**good).tail_s == 1.0
    for bad in ({"base_w": -1.0}, {"tail": ((1.0, -1.0),)}, {"up_mbit_s": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            RadioSpec(**good | bad)
