"""What the page's template is given."""

from __future__ import annotations

import math

import msgspec

from devicesim.report import view
from devicesim.report.figures import Clock
from devicesim.report.record import DriftRow, LedgerRow, PercentileRow, RolloutRow, WaveRow
from tests_kit.records import bare, outage

CLOCK = Clock("2024-02-22T08:00:00Z")


def test_bars_are_sorted_and_scaled_to_the_longest() -> None:
    rows = view.bars({"a": 25, "b": 100, "c": 75})
    assert [row["name"] for row in rows] == ["b", "c", "a"]
    assert [row["length"] for row in rows] == [100, 75, 25]
    assert view.bars({}) == []
    assert view.bars({"none": 0})[0]["length"] == 0


def test_a_wave_never_fills_more_than_its_bar() -> None:
    wave = WaveRow(0.25, 10, 10, 10, committed=8, failed=7, rolled_back=9)
    made = view.rollout(RolloutRow("r", "b@1", "reverted", waves=[wave]), CLOCK)["waves"][0]
    assert made["committed_part"] + made["failed_part"] <= 100
    assert made["lasted"].raw is None


def test_a_ledger_that_does_not_close_says_so() -> None:
    rows = [LedgerRow("up", "chunk", 10, 7, 2, 1), LedgerRow("down", "chunk", 10, 7, 2, 0)]
    record = msgspec.structs.replace(bare(), ledger=rows)
    assert [row["balanced"] for row in view.ledger(record)] == [True, False]


def test_ranges_stay_on_their_scale() -> None:
    rows = [
        PercentileRow("reconnect", "quiet", 5, 1.0, 2.0, 3.0, 4.0),
        PercentileRow("reconnect", "storm", 5, 10.0, 20.0, math.inf, None),
        PercentileRow("reconnect", "none", 0),
        PercentileRow("reconnect", "zero", 1, 0.0, 0.0, 0.0, 0.0),
    ]
    (group,) = view.percentiles(rows)
    for row in group["rows"]:
        for mark in ("p50_at", "p90_at", "p99_at", "max_at"):
            assert 0 <= row[mark] <= 100, (row["phase"], mark, row[mark])
    assert group["rows"][0]["p50_at"] == 0


def test_facts_leave_out_what_nobody_filled_in() -> None:
    assert [name for name, _ in view.facts(bare())] == ["Run"]
    assert [name for name, _ in view.facts(outage())] == ["Run", "Machine", "Versions"]


def test_the_headline_carries_the_raw_numbers() -> None:
    record = outage()
    raw = {item["key"]: item["number"].raw for item in view.headline(record)}
    assert raw == {name: getattr(record, name) for name in raw}
    assert {"devices", "virtual_s", "wall_s", "speedup", "events", "messages"} <= set(raw)


def test_a_verdict_of_drift_says_about_whom_and_how_long() -> None:
    rows = {
        one: view.drift(DriftRow(one, "c", 3600.0, end, device, 7, shown, 0.4), CLOCK, 7200.0)
        for one, end, device, shown in (
            ("data", 5400.0, "", "luminance"),
            ("hardware", None, "", "golden probe"),
            ("sensor", None, "kiosk-0007", "contrast"),
        )
    }
    assert [row["about"] for row in rows.values()] == ["all 7", "all 7", "kiosk-0007"]
    assert [row["stands"] for row in rows.values()] == [False, True, True]
    assert (rows["data"]["left"], rows["data"]["width"]) == (50, 25)
    assert "failed" in str(rows["hardware"]["effect"]), "probes fail, they have no index"
    assert rows["sensor"]["lasted"].raw == 3600.0
