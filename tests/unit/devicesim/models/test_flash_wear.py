"""Unit-test twin of `devicesim/models/flash_wear.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.models.flash_wear import FlashSpec, FlashWear

SMALL = FlashSpec(
    size_bytes=8 << 20, write_bytes_per_s=20e6, erase_block_bytes=1 << 20, endurance_cycles=10
)


def test_a_write_takes_its_time_and_wears_blocks_twice_over():
    flash = FlashWear(SMALL)
    assert flash.write(20_000_000) == SECOND
    assert flash.erased_blocks == 2 * 20_000_000 // (1 << 20)
    flash.slowdown = 4.0
    assert flash.write(20_000_000) == 4 * SECOND


def test_small_writes_add_up_to_a_block():
    flash = FlashWear(SMALL)
    for _ in range(1024):
        flash.write(512)
    assert flash.erased_blocks == 1


def test_a_device_wears_out_after_its_rated_erasures():
    flash = FlashWear(SMALL, worn=0.5)
    assert flash.wear == pytest.approx(0.5)
    assert not flash.worn_out
    flash.write(20 << 20)
    assert flash.wear == pytest.approx(1.0)
    assert flash.worn_out


@pytest.mark.parametrize(
    "bad", [{"size_bytes": 0}, {"write_amplification": 0.5}, {"write_w": -1.0}]
)
def test_a_spec_says_what_it_expected(bad):
    with pytest.raises(ValueError, match="expected"):
        FlashSpec(**{"size_bytes": 1 << 20, "write_bytes_per_s": 1e6} | bad)
