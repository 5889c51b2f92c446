"""The charts share one time axis, line up, and need no eval."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from bokeh.core.json_encoder import serialize_json

from devicesim.report.charts import LEFT_PX, RIGHT_PX, Timeline, bokeh_js, timeline
from devicesim.report.figures import Clock
from devicesim.report.panels import plan
from tests_kit.records import bare, outage


@cache
def drawn() -> tuple[Timeline, dict[str, Any]]:
    record = outage(broken=True)
    clock = Clock(record.clock_start, record.virtual_s)
    made = timeline(record, plan(record.series, clock), clock)
    assert made is not None
    return made, json.loads(serialize_json(made.payload))


def models(node: Any) -> list[dict[str, Any]]:
    """Every model of the document that is spelled out, in the order of the text."""
    found: list[dict[str, Any]] = []
    if isinstance(node, dict):
        if node.get("type") == "object":
            found.append(node)
        for value in node.values():
            found += models(value)
    elif isinstance(node, list):
        for value in node:
            found += models(value)
    return found


def test_all_panels_share_one_time_range_and_the_overview_moves_it() -> None:
    made, payload = drawn()
    figures = payload["docs"]["timeline"]["roots"]
    assert len(figures) == len(made.elements) + 1
    ids = [figure["attributes"]["x_range"]["id"] for figure in figures]
    assert len(set(ids[:-1])) == 1, "zooming one panel must zoom them all"
    assert ids[-1] != ids[0], "the overview always shows the whole run"
    (tool,) = [model for model in models(payload) if model["name"] == "RangeTool"]
    assert tool["attributes"]["x_range"]["id"] == ids[0]
    named = [
        model for model in models(payload) if model.get("attributes", {}).get("name") == "time"
    ]
    assert [model["id"] for model in named] == ids[:1]


def test_frames_line_up_with_each_other_and_with_the_lanes() -> None:
    _, payload = drawn()
    for figure in payload["docs"]["timeline"]["roots"]:
        attributes = figure["attributes"]
        assert attributes["min_border_left"] == LEFT_PX
        assert attributes["min_border_right"] == RIGHT_PX


def test_each_panel_shows_each_fault_and_the_first_bad_minute() -> None:
    made, payload = drawn()
    kinds = [model["name"] for model in models(payload)]
    bands = len(outage().bands)
    ranges = 1  # the overlay of the overview's window is a box too
    assert kinds.count("BoxAnnotation") >= bands * len(made.elements) + ranges
    marks = [m for m in models(payload)
             if m["name"] == "Span" and "location" in m.get("attributes", {})]  # fmt: skip
    assert len(marks) == len(made.elements) + 1


def test_nothing_needs_eval() -> None:
    _, payload = drawn()
    custom = [model["name"] for model in models(payload) if "Custom" in model["name"]]
    assert custom == [], "the page's Content-Security-Policy forbids what these compile"


def test_no_panels_no_timeline() -> None:
    assert timeline(bare(), [], Clock("2024-01-01")) is None


def test_bokehjs_is_the_core_alone() -> None:
    text = bokeh_js()
    assert 500_000 < len(text) < 2_500_000
