"""Little charts: positions stay in their frame, gaps stay gaps, scales are chosen with reason."""

from __future__ import annotations

import re

import pytest

from devicesim.report.figures import number
from devicesim.report.record import Band
from devicesim.report.soak_charts import FRAME, Chart, Line, draw


def chart(points: list[tuple[float, float | None]], **options: object) -> Chart:
    made = draw("x", [Line("curve", "#000", points, area=True)], 100.0, number, **options)
    assert made is not None
    return made


def coordinates(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_nothing_known_is_no_chart() -> None:
    assert draw("x", [Line("a", "#000", [(0.0, None)])], 10.0, number) is None


@pytest.mark.parametrize("points", [
    [(0.0, 0.0), (50.0, 3.0), (100.0, 7.0)],
    [(0.0, 5.0), (100.0, 5.0)],
    [(10.0, 0.001), (90.0, 1234.0)],
    [(0.0, 1e9), (100.0, 2e9)],
])  # fmt: skip
@pytest.mark.parametrize("may_log", [False, True])
def test_curves_and_ticks_stay_in_the_frame(
    points: list[tuple[float, float | None]], may_log: bool
) -> None:
    made = chart(points, may_log=may_log)
    found = coordinates(made.lines[0].line)
    assert len(found) == len(points)
    assert all(0 <= x <= FRAME[0] and 0 <= y <= FRAME[1] for x, y in found), found
    assert all(0 <= tick.at <= 100.01 for tick in [*made.y_ticks, *made.x_ticks])
    assert 2 <= len(made.y_ticks) <= 6, made.y_ticks


def test_higher_values_stand_higher() -> None:
    low, high = (y for _, y in coordinates(chart([(0.0, 1.0), (100.0, 9.0)]).lines[0].line))
    assert high < low


def test_a_gap_breaks_the_curve() -> None:
    made = chart([(0.0, 1.0), (20.0, 2.0), (40.0, None), (60.0, 1.0), (80.0, 2.0)])
    assert made.lines[0].line.count("M") == 2
    assert made.lines[0].last == "2"


def test_a_wide_range_is_logarithmic_and_says_so() -> None:
    assert chart([(0.0, 0.001), (100.0, 10.0)], may_log=True).note == "logarithmic"
    assert chart([(0.0, 1.0), (100.0, 2.0)], may_log=True).note == ""
    assert chart([(0.0, 0.001), (100.0, 10.0)]).note == ""


def test_counts_have_whole_ticks() -> None:
    texts = [tick.text for tick in chart([(0.0, 0.0), (100.0, 3.0)], whole=True).y_ticks]
    assert texts == ["0", "1", "2", "3"]


def test_faults_stand_behind_and_end_with_the_run() -> None:
    bands = [Band(10.0, 20.0, "restart", "broker.restart"), Band(90.0, 400.0, "late", "broker"),
             Band(200.0, 300.0, "never seen", "broker")]  # fmt: skip
    stripes = chart([(0.0, 1.0), (100.0, 2.0)], bands=bands).stripes
    assert [(s.x, s.width) for s in stripes] == [(100.0, 100.0), (900.0, 100.0)]
