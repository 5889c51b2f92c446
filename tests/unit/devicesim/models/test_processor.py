"""Unit-test twin of `devicesim/models/processor.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.models.processor import Processor, ProcessorSpec

PI4 = ProcessorSpec(
    p_states_mhz=(1500.0, 1000.0, 600.0), macs_per_s={"int8": 3.75e9, "fp32": 2.5e9}, busy_w=0.93
)
# MLPerf Tiny v1.0 closed results, derived: MMAC/s and nJ/MAC of keyword spotting (2.66 MMAC).
TINY_MMAC_S = {"NUCLEO_L4R5ZI": 35.4, "NUCLEO-U575ZI-Q": 60.4, "NUCLEO-H7A3ZI-Q": 159.0}
TINY_NJ_MAC = {"NUCLEO_L4R5ZI": 1.27, "NUCLEO-U575ZI-Q": 0.43, "NUCLEO-H7A3ZI-Q": 1.02}


def test_mobilenet_on_a_pi_4_takes_80_ms_and_75_mj():
    processor = Processor(PI4)
    assert processor.latency_ns(300e6) == pytest.approx(0.080 * SECOND)
    assert processor.energy_j(300e6) == pytest.approx(0.075, rel=0.01)
    assert processor.latency_ns(300e6, "fp32") > processor.latency_ns(300e6)
    assert processor.latency_ns(300e6, contention=2.0) == 2 * processor.latency_ns(300e6)


def test_a_microcontroller_stands_among_the_boards_of_mlperf_tiny(profiles):
    processor = Processor(profiles["esp32-sensor"].processor)
    speed = processor.rate("int8") / 1e6
    assert min(TINY_MMAC_S.values()) < speed < max(TINY_MMAC_S.values())
    nanojoules = processor.energy_j(1e6) * 1e3
    assert min(TINY_NJ_MAC.values()) < nanojoules < max(TINY_NJ_MAC.values())


def test_ssd_on_the_jetson_class_takes_some_36_mj(profiles):
    assert Processor(profiles["jetson-camera"].processor).energy_j(1.2e9) == pytest.approx(
        0.036, rel=0.05
    )


def test_throttling_costs_time_and_saves_energy():
    processor = Processor(PI4)
    fast, dear = processor.latency_ns(1e6), processor.energy_j(1e6)
    processor.step_down(5)
    assert processor.throttled
    assert processor.stepped_at == 5
    assert processor.latency_ns(1e6) == pytest.approx(fast * 1.5, abs=2), "latency ~ 1/f"
    assert processor.busy_w == pytest.approx(0.93 * (2 / 3) ** 2.2), "power ~ f^2.2"
    assert processor.energy_j(1e6) == pytest.approx(dear * (2 / 3) ** 1.2)
    processor.step_down(6)
    processor.step_down(7)
    assert processor.slowest
    assert processor.speed == pytest.approx(0.4)
    processor.step_up(8)
    assert processor.p_state == 1
    processor.reset()
    assert not processor.throttled
    processor.step_up(9)
    assert processor.p_state == 0


def test_memory_and_accelerator_fit_or_not():
    spec = ProcessorSpec((1000.0,), {"int8": 1e9}, 1.0, memory_bytes=1000, accelerator="cuda")
    assert spec.fits(1000)
    assert spec.fits(10, "cuda")
    assert not spec.fits(1001)
    assert not spec.fits(10, "npu")


def test_an_unknown_precision_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"int8, fp32.*'int4'"):
        Processor(PI4).latency_ns(1e6, "int4")


def test_units_differ_by_their_spread():
    assert Processor(PI4, 1.1).latency_ns(1e9) < Processor(PI4).latency_ns(1e9)
    with pytest.raises(ValueError, match="spread"):
        Processor(PI4, 0.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"p_states_mhz": (600.0, 1500.0)},
        {"p_states_mhz": ()},
        {"macs_per_s": {}},
        {"macs_per_s": {"int8": 0.0}},
        {"busy_w": 0.0},
    ],
)
def test_a_spec_says_what_it_expected(bad):
    good = {"p_states_mhz": (1000.0,), "macs_per_s": {"int8": 1e9}, "busy_w": 1.0}
    with pytest.raises(ValueError, match="expected"):
        ProcessorSpec(**good | bad)
