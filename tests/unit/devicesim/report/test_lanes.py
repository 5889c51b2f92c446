"""Bars above the timeline: each fault labelled once, no text on top of another."""

from __future__ import annotations

import math
from itertools import combinations

import msgspec

from devicesim.entropy import Entropy
from devicesim.report.lanes import CHAR_PX, FRAME_WIDTH_PX, Bar, lanes, span_s
from devicesim.report.record import Band, Series
from tests_kit.records import bare, outage


def extent(bar: Bar) -> tuple[float, float]:
    text = 100 * len(bar.text) * CHAR_PX / FRAME_WIDTH_PX
    left = bar.left - (text if bar.side == "left" else 0.0)
    return left, bar.left + bar.width + (text if bar.side == "right" else 0.0)


def with_bands(bands: list[Band]) -> list[list[Bar]]:
    record = msgspec.structs.replace(bare(), virtual_s=86_400.0, bands=bands)
    found = lanes(record)
    return found[0].rows if found else []


def test_a_day_has_faults_rollouts_and_flags() -> None:
    record = outage(broken=True)
    found = {lane.name: lane.rows for lane in lanes(record)}
    assert list(found) == ["Faults", "Repairs", "r1", "hotfix", "Flags"]
    labels = [bar.text for lane in ("Faults", "Repairs") for row in found[lane] for bar in row]
    assert sorted(labels) == sorted(band.label for band in record.bands)
    assert [bar.point for row in found["Flags"] for bar in row] == [True, True]
    assert len(found["r1"][0]) == 3, "a wave that never opened has no bar"


def test_what_mends_is_no_fault() -> None:
    bands = [
        Band(10.0, 50.0, "partition", "partition"),
        Band(60.0, 90.0, "heal", "heal"),
        Band(95.0, 95.0, "device.repair", "device.repair"),
        Band(99.0, 99.0, "plug", "plug"),
    ]
    record = msgspec.structs.replace(bare(), virtual_s=100.0, bands=bands)
    found = {lane.name: [bar.text for row in lane.rows for bar in row] for lane in lanes(record)}
    assert found["Faults"] == ["partition"]
    assert sorted(found["Repairs"]) == ["device.repair", "heal", "plug"]


def test_nothing_happened_needs_no_lane() -> None:
    assert lanes(bare()) == []


def test_no_label_touches_another_bar_or_label() -> None:
    luck = Entropy(11).stream("lanes")
    bands = []
    for index in range(80):
        start = luck.uniform(0, 86_000)
        bands.append(Band(start, start + luck.exponential(4_000), f"fault number {index}", "loss"))
    rows = with_bands(bands)
    assert sum(map(len, rows)) == 80
    for row in rows:
        for one, other in combinations(row, 2):
            (left, right), (other_left, other_right) = extent(one), extent(other)
            assert right <= other_left or other_right <= left, (
                f"{one.text!r} at {left:.1f}..{right:.1f} % runs into {other.text!r} at "
                f"{other_left:.1f}..{other_right:.1f} %"
            )


def test_bars_stay_on_the_page() -> None:
    rows = with_bands([
        Band(86_390.0, 90_000.0, "ends after the run", "loss"),
        Band(-50.0, 600.0, "began before it", "loss"),
        Band(80_000.0, math.inf, "never ends", "partition"),
    ])  # fmt: skip
    for bar in (bar for row in rows for bar in row):
        assert 0 <= bar.left <= bar.left + bar.width <= 100.0001
        assert math.isfinite(bar.end_s)
        left, right = extent(bar)
        assert left >= 0, bar
        assert right <= 100.0001, bar


def test_the_span_covers_the_curves() -> None:
    record = msgspec.structs.replace(bare(), series={"online": Series("", [0.0, 500.0], {})})
    assert span_s(record) == 500.0
    assert span_s(bare()) > 0
