"""Judgement: limits of the scenario become verdicts with a story."""

from __future__ import annotations

from devicesdk.wire.timebase import SECOND
from devicesim.live.soak.books import Books, Ends
from devicesim.live.soak.judge import ABORT_SPAN_S, judge_aborts, judge_leaks, leaking
from devicesim.live.soak.leaks import Point
from devicesim.live.soak.windows import SUBJECTS
from devicesim.scenario.checks import Leak, Soak


def readings(**per_h: float) -> dict[str, list[Point]]:
    return {
        subject: [(float(t), 100 + per_h.get(subject, 0.0) * t / 3600) for t in range(0, 1800, 3)]
        for subject in SUBJECTS
    }


def test_nothing_grows() -> None:
    rows = judge_leaks(readings(), Leak())
    assert [row.held for row in rows] == [True] * 5, rows


def test_a_list_that_grows_is_found_with_a_story() -> None:
    rows = {row.what: row for row in judge_leaks(readings(rss=120.0), Leak())}
    assert rows["memory"].held is False
    assert "grows: from" in rows["memory"].story
    assert "allowed: 5 MB/h" in rows["memory"].story
    assert rows["tasks"].held is True


def test_descriptors_and_tasks_have_limits_of_their_own() -> None:
    rows = judge_leaks(readings(fds=60.0, tasks=60.0), Leak(fds=40, tasks=5))
    found = {row.what: row.held for row in rows}
    assert found["file descriptors"] is True
    assert found["tasks"] is False


def test_without_readings_nothing_is_judged() -> None:
    rows = judge_leaks({subject: [] for subject in SUBJECTS}, Leak())
    assert {row.held for row in rows} == {None}
    assert "cannot be read" in rows[0].story


def test_a_leak_ends_a_soak_only_when_it_is_sure() -> None:
    rows = judge_leaks(readings(rss=120.0), Leak())
    assert leaking(rows, ABORT_SPAN_S - 1) is None
    found = leaking(rows, ABORT_SPAN_S)
    assert found is not None
    assert found.what == "memory"


def soak_that_ends_when(**measures: str) -> Soak:
    return Soak.model_validate({"abort": measures})


def test_loss_is_a_message_without_an_explanation() -> None:
    books = Books(["kiosk-0000"])
    books.said(0, "tel", (1, 1), 0, qos=1)
    books.acked(0, "tel", (1, 1), 1)
    soak = soak_that_ends_when(loss="> 0")
    assert judge_aborts(soak, books, lambda _: 99)[0].held
    books.settle(60 * SECOND, Ends(0, [0], [1]))
    row = judge_aborts(soak, books, lambda _: 0)[0]
    assert not row.held
    assert "tel (1, 1) of kiosk-0000" in row.story


def test_other_measures_are_the_worlds() -> None:
    soak = soak_that_ends_when(reconnect_p99="> 60s", online_ratio="< .5")
    values = {"reconnect_p99": 61 * SECOND, "online_ratio": None}
    rows = judge_aborts(soak, Books([]), values.get)
    assert [row.held for row in rows] == [False, True]
    assert "1\N{NARROW NO-BREAK SPACE}min" in rows[0].story
