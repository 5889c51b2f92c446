"""The drift panel: verdicts named where there is room, calm ones pale, and a table of all trouble."""

from __future__ import annotations

import re

from devicesim.report.drift import COLOURS, MEANS, drift
from devicesim.report.figures import Clock
from devicesim.report.html import render
from devicesim.report.record import CohortRow, DriftSpan, RunRecord

HOUR = 3600.0
SPANS = [
    DriftSpan(0, 6 * HOUR, "none", 0.01, "passed"),
    DriftSpan(6 * HOUR, 6.25 * HOUR, "data", 6.0, "passed"),
    DriftSpan(6.25 * HOUR, 24 * HOUR, "hardware", 6.3, "failed", "residual grows with chip_c"),
]


def record(*rows):
    return RunRecord(
        scenario="drift", seed=1, verdict="passed", virtual_s=24 * HOUR, cohorts=list(rows)
    )


def shown(*rows):
    return drift(record(*rows), Clock("1970-01-01T00:00:00Z", 24 * HOUR))


def test_without_a_window_there_is_no_panel():
    assert shown() is None
    assert 'id="drift"' not in render(record())


def test_a_strip_is_on_the_axis_of_the_run_and_names_its_verdicts_where_there_is_room():
    panel = shown(CohortRow("gauge arm eu", 50, SPANS), CohortRow("gauge arm us", 40, SPANS[:1]))
    first, second = panel["strips"]
    assert [(one.left, one.label) for one in first.stretches] == [
        (0, False), (25, False), (100 * 6.25 / 24, True),
    ]  # fmt: skip
    assert (first.calm, second.calm, panel["calm"]) == (False, True, 1)
    assert "probe failed; residual grows with chip_c" in first.stretches[2].hint


def test_the_key_has_the_verdicts_that_are_there():
    panel = shown(CohortRow("gauge arm eu", 50, SPANS))
    assert [one["name"] for one in panel["key"]] == ["data", "hardware", "none"]
    assert set(COLOURS) == set(MEANS)


def test_evidence_is_told_in_words_also_where_the_cohort_is_calm():
    span = DriftSpan(0, HOUR, "none", 0.0, "passed", "fails its probe alone: d9")
    rows = shown(CohortRow("gauge arm eu", 50, [*SPANS, span]))["also"]
    assert [(row["verdict"], row["why"]) for row in rows] == [
        ("hardware", "residual grows with chip_c"), ("none", "fails its probe alone: d9"),
    ]  # fmt: skip


def test_the_page_has_it_and_escapes_names():
    page = render(record(CohortRow("<b>gauge</b> arm", 50, SPANS)))
    section = re.search(r'<section id="drift">.*?</section>', page, re.DOTALL)[0]
    assert "<b>gauge</b>" not in section
    assert section.count("&lt;b&gt;gauge&lt;/b&gt; arm") >= 3
    assert 'href="#drift"' in page
    assert ">hardware</button>" in section
