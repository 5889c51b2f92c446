"""The picture above everything else: what broke when, who was online, and which check failed."""

from __future__ import annotations

import math

import msgspec

from devicesim.report.figures import Clock
from devicesim.report.glance import ROWS_MAX, glance, lowest
from devicesim.report.html import render
from devicesim.report.lanes import failures
from devicesim.report.record import Band, CheckRow, RunRecord, Series
from tests_kit.records import bare, outage

DAY_S = 86_400.0


def seen(record: RunRecord) -> dict:
    found = glance(record, Clock(record.clock_start, record.virtual_s))
    assert found is not None, "there is something to see"
    return found


def test_an_outage_is_seen_with_its_faults_its_versions_and_what_failed() -> None:
    record = outage(broken=True)
    picture = seen(record)
    assert [frame.title for frame in picture["frames"]] == ["Online", "Versions running"]
    named = {bar.text for row in picture["broken"] for bar in row}
    failed = {check.name.replace("_", " ") for check in record.checks if check.held is False}
    assert named <= failed
    assert named, f"{failed} failed, and no mark says so"
    assert len(picture["bad_at"]) == len({bar.start_s for row in picture["broken"] for bar in row})


def test_what_mends_tints_nothing() -> None:
    bands = [
        Band(10.0, 500.0, "cut", "power.cut"),
        Band(100.0, 80_000.0, "repaired (3)", "device.repair"),
    ]
    series = {"online": Series("devices", [0.0, DAY_S], {"online": [5.0, 5.0]})}
    record = msgspec.structs.replace(
        bare(), virtual_s=DAY_S, devices=5, bands=bands, series=series, checks=[]
    )
    picture = seen(record)
    assert [stripe.hint.partition(":")[0] for stripe in picture["stripes"]] == ["cut"]
    assert [lane.name for lane in picture["lanes"]] == ["Faults", "Repairs"]
    assert picture["broken"] == [] == picture["bad_at"]


def test_a_gap_in_a_curve_is_no_fall_to_nothing() -> None:
    series = {"online": Series("devices", [0.0, 60.0, 120.0], {"online": [4.0, math.nan, 2.0]})}
    record = msgspec.structs.replace(
        bare(), virtual_s=120.0, devices=4, bands=[], series=series, checks=[]
    )
    layer = seen(record)["frames"][0].layers[0]
    assert layer.line == "M0.0 0.00L1000.0 50.00"
    assert "nan" not in layer.area


def test_without_curves_there_is_no_picture() -> None:
    record = msgspec.structs.replace(bare(), series={})
    assert glance(record, Clock(record.clock_start, 1.0)) is None


def test_the_lowest_is_after_the_fleet_has_come_up() -> None:
    assert lowest([0.0, 40.0, 80.0, 79.0, 20.0, 76.0], 80.0) == "lowest 25 %, 95 % at the end"
    assert lowest([math.nan], 80.0) == ""


def test_a_check_whose_instant_nobody_knows_has_no_mark() -> None:
    checks = [
        CheckRow("online_ratio >= .99", "finally", False, at_s=600.0),
        CheckRow("stuck == 0", "finally", False),
        CheckRow("halted == 1", "finally", True, at_s=600.0),
    ]
    record = msgspec.structs.replace(bare(), virtual_s=600.0, checks=checks)
    assert [bar.text for row in failures(record) for bar in row] == ["online ratio >= .99"]


def test_a_long_list_of_faults_is_cut_and_says_so() -> None:
    bands = [Band(60.0, 3000.0, f"fault {n}", "loss") for n in range(ROWS_MAX + 3)]
    series = {"online": Series("devices", [0.0, 3600.0], {"online": [5.0, 5.0]})}
    record = msgspec.structs.replace(bare(), virtual_s=3600.0, bands=bands, series=series)
    picture = seen(record)
    assert [len(lane.rows) for lane in picture["lanes"] if lane.name == "Faults"] == [ROWS_MAX]
    assert picture["more"]["Faults"] == 3
    assert "and 3 more, in the timeline" in render(record)
