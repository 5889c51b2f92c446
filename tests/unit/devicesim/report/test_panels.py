"""Series become panels: order, units, labels, and nothing recorded stays unseen."""

from __future__ import annotations

import math
from itertools import pairwise

from devicesim.report.figures import Clock
from devicesim.report.panels import (
    CURVES_MAX,
    FRAME_PX,
    LABEL_PX,
    Panel,
    alone,
    busy,
    left_out_text,
    measured,
    plan,
)
from devicesim.report.record import Series
from tests_kit.records import outage

CLOCK = Clock("2024-02-22T08:00:00Z", 86_400.0)
T = [0.0, 60.0, 120.0]


def only(key: str, series: Series) -> Panel:
    panels = plan({key: series}, CLOCK)
    assert len(panels) == 1
    return panels[0]


def test_a_full_record_shows_every_series_in_reading_order() -> None:
    record = outage()
    panels = plan(record.series, CLOCK)
    assert {panel.key for panel in panels} == set(record.series)
    families = [panel.family for panel in panels]
    assert families == sorted(families, key=("Fleet", "Delivery", "Devices", "Models").index)
    assert panels[0].key == "online"


def test_a_panel_without_data_is_not_shown() -> None:
    gone = {
        "online": Series("devices", [], {}),
        "drift": Series("", T, {"us": [math.nan] * 3}),
        "alarms": Series("", T, {"too short": [1.0]}),
    }
    assert plan(gone, CLOCK) == []


def test_what_is_nothing_throughout_is_named_and_not_drawn() -> None:
    series = {
        "online": Series("devices", T, {"online": [0.0] * 3}),
        "alarms": Series("", T, {"a": [0.0, math.nan, 0.0], "b": [0.0] * 3}),
        "retries": Series("", T, {"retries": [0.0, 1.0, 0.0]}),
        "throttled": Series("share", T, {"throttled": [0.0] * 3}),
    }
    drawn, quiet = busy(plan(series, CLOCK))
    assert [panel.key for panel in drawn] == ["online", "retries"], "nobody online is something"
    assert quiet == ["Throttled", "Alarms"]


def test_a_series_nobody_knows_gets_its_own_panel() -> None:
    panel = only("queue_depth", Series("messages", T, {"broker": [1.0, 2.0, 3.0]}))
    assert (panel.title, panel.family, panel.style) == ("Queue depth", "More", "line")


def test_shares_become_per_cent_and_bytes_get_a_prefix() -> None:
    hot = only("throttled", Series("share", T, {"throttled": [0.0, 0.25, 0.5]}))
    assert hot.unit == "%"
    assert hot.curves[0].values == [0.0, 25.0, 50.0]
    assert hot.high <= 100
    flow = only("throughput", Series("B/s", T, {"chunks": [0.0, 2_500_000.0, 5_000_000.0]}))
    assert flow.unit == "MB/s"
    assert flow.curves[0].values[-1] == 5.0


def test_the_title_mentions_the_extreme_and_its_instant() -> None:
    panel = only("online", Series("devices", T, {"online": [900.0, 120.0, 880.0]}))
    assert panel.note == "lowest 120 devices at 08:01:00"


def test_quantiles_are_a_band_only_when_they_are_quantiles() -> None:
    curves = {"p10": [1.0, 1, 1], "p50": [2.0, 2, 2], "p90": [3.0, 3, 3]}
    assert only("battery", Series("share", T, curves)).style == "quantiles"
    assert only("battery", Series("share", T, {"mean": [1.0, 1, 1]})).style == "line"


def test_labels_stay_in_the_frame_and_apart() -> None:
    curves = {f"v{n}": [float(n % 2), 1.0, 1.0] for n in range(CURVES_MAX)}
    for key in ("transfers", "versions"):
        panel = only(key, Series("", T, curves))
        tops = [label.top_px for label in panel.labels]
        assert len(tops) == CURVES_MAX
        assert all(below - above >= LABEL_PX - 1e-9 for above, below in pairwise(tops)), tops
        assert tops[-1] <= FRAME_PX - LABEL_PX / 2 + 1e-9


def test_too_many_curves_are_told_not_hidden() -> None:
    curves = {f"v{n:02}": [float(n)] * 3 for n in range(20)}
    lines = only("transfers", Series("", T, curves))
    assert len(lines.curves) == CURVES_MAX
    assert left_out_text(lines) == f"{20 - CURVES_MAX} smaller curves not shown"
    stack = only("versions", Series("devices", T, curves))
    assert stack.curves[-1].name == "others"
    assert sum(curve.values[0] for curve in stack.curves) == sum(range(20)), "a stack loses nobody"
    assert left_out_text(stack) == ""


def test_a_flat_zero_still_has_an_axis() -> None:
    panel = only("alarms", Series("1/min", T, {"data": [0.0, 0.0, 0.0]}))
    assert panel.low < panel.high


def test_gaps_and_infinities_are_gaps() -> None:
    panel = only("drift", Series("", T, {"us": [0.1, math.inf, math.nan]}))
    assert math.isnan(panel.curves[0].values[1])
    assert math.isfinite(panel.high)


def test_the_lowest_of_who_is_online_is_not_the_boot() -> None:
    fleet = Series("devices", [0.0, 60.0, 120.0, 180.0], {"online": [0.0, 9.0, 9.0, 4.0]})
    assert only("online", fleet).note == "lowest 4 devices at 08:03:00"


def test_a_value_without_a_neighbour_is_found() -> None:
    assert alone([1.0, 2.0, math.nan]) == []
    found = alone([math.nan, 3.0, math.nan, 1.0, 2.0])
    assert [i for i, value in enumerate(found) if not math.isnan(value)] == [1]


def test_a_version_drifts_in_its_own_colour() -> None:
    versions = Series("devices", T, {"g@1": [3.0] * 3, "g@2": [1.0] * 3})
    drift = Series(
        "", T, {"g@2 arm eu": [0.1] * 3, "g@2 x86 eu": [0.2] * 3, "g@1 arm eu": [0.3] * 3}
    )
    panels = {panel.key: panel for panel in plan({"versions": versions, "drift": drift}, CLOCK)}
    runs = {curve.name: curve.colour for curve in panels["versions"].curves}
    drifts = {curve.name: curve.colour for curve in panels["drift"].curves}
    assert (drifts["g@1 arm eu"], drifts["g@2 arm eu"]) == (runs["g@1"], runs["g@2"])
    assert len(set(drifts.values())) == 3, "two cohorts of a version are told apart"
    assert {label.text: label.colour for label in panels["drift"].labels} == drifts


def test_what_was_measured_leaves_out_gaps_and_keeps_the_order() -> None:
    assert measured([math.nan, 2.0, math.nan, 0.0, 1.0]) == [2.0, 0.0, 1.0]
    assert measured([math.nan]) == []
