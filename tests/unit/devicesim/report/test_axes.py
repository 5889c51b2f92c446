"""How an axis is divided."""

from __future__ import annotations

import pytest

from devicesim.report.axes import FRAME, STRIPE_MIN, round_step, stripes, times
from devicesim.report.record import Band


def test_times_are_round_and_not_too_many() -> None:
    assert [tick.text for tick in times(86400.0, 8)][:3] == ["0", "3\u202fh", "6\u202fh"]
    for span_s in (0.5, 7.0, 100.0, 4000.0, 86_400.0, 7 * 86_400.0):
        marks = times(span_s, 6)
        assert len(marks) <= 7
        assert all(0 <= mark.at <= 100 for mark in marks)


@pytest.mark.parametrize(
    ("days", "first", "last"),
    [
        (1, "3\u202fh", "24\u202fh"),
        (4, "12\u202fh", "96\u202fh"),
        (5, "1\u202fd", "5\u202fd"),
        (14, "2\u202fd", "14\u202fd"),
    ],
)
def test_hours_and_days_are_not_mixed_on_one_axis(days: int, first: str, last: str) -> None:
    marks = [tick.text for tick in times(days * 86_400.0, 8)]
    assert (marks[1], marks[-1]) == (first, last)
    assert len({mark.split("\u202f")[1] for mark in marks[1:]}) == 1


@pytest.mark.parametrize(
    ("least", "step"), [(0.9, 1.0), (1.0, 1.0), (1.1, 2.0), (2.2, 2.5), (31.0, 50.0), (0.06, 0.1)]
)
def test_a_step_is_the_next_round_number(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


def test_a_stripe_is_never_too_thin_to_see_and_ends_with_the_frame() -> None:
    bands = [Band(10.0, 10.0, "blink"), Band(80.0, 900.0, "rest"), Band(200.0, 300.0, "never")]
    thin, rest = stripes(bands, 100.0, "A only: ")
    assert (thin.width, thin.hint[:13]) == (STRIPE_MIN, "A only: blink")
    assert rest.x + rest.width == FRAME[0]
