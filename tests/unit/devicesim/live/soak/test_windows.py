"""Windows and readings: rows of differences, bounded memory, readings of a whole fleet only."""

from __future__ import annotations

import msgspec

from devicesdk.wire.timebase import MS, SECOND
from devicesim.live.soak.books import Books
from devicesim.live.soak.process import Holding
from devicesim.live.soak.windows import READINGS_MAX, Readings, ShelvedWindows, Windows

HOLDING = Holding(200 << 20, 30, 1.0)


async def test_a_row_has_what_happened_in_its_window_only() -> None:
    windows, books = Windows(10 * SECOND), Books(["a"])
    windows.begin(0)
    for place in (1, 2):
        for seq in range(place):
            books.said(0, "tel", (place, seq), place, qos=1)
            books.heard(0, "tel", (place, seq), place)
            windows.took("telemetry", 5 * MS * place)
        row = windows.close(
            place * 10 * SECOND, books, online=1, online_min=0, restarts=place, lag_s=0.0,
            broker_pid=None,
        )  # fmt: skip
        assert (row.said, row.heard, row.restarts) == (place, place, 1)
        assert row.latencies["telemetry"].n == place
        assert row.latencies["telemetry"].p50_s == 0.005 * place
    assert windows.total["telemetry"].count == 3
    assert [row.start_s for row in windows.rows] == [0.0, 10.0]


def test_readings_are_of_a_whole_fleet() -> None:
    readings = Readings()
    assert readings.due(0, 10)
    readings.add(0, HOLDING, None, 3)
    assert not readings.due(SECOND, 9), "one is away: its sockets are missing"
    assert readings.due(SECOND, 10)
    assert readings.due(SECOND, 11)
    assert readings.points["rss"] == [], "a larger fleet makes earlier readings worthless"


def test_readings_are_thinned_and_stay_in_order() -> None:
    readings, now = Readings(), 0
    for _ in range(3 * READINGS_MAX):
        readings.add(now, HOLDING, HOLDING, 3)
        now += readings.every_ns
    for subject, points in readings.points.items():
        assert len(points) <= READINGS_MAX, subject
        assert points == sorted(points)
    assert readings.every_ns >= 2 * SECOND
    assert readings.points["rss"][0] == (0.0, 200.0)


async def test_shelved_windows_go_on() -> None:
    windows, books = Windows(SECOND), Books([])
    windows.begin(0)
    windows.took("kill", 7)
    windows.close(SECOND, books, online=0, online_min=0, restarts=0, lag_s=0.0, broker_pid=None)
    shelved = msgspec.msgpack.decode(
        msgspec.msgpack.encode(windows.dump()), type=ShelvedWindows, strict=False
    )
    other = Windows(SECOND)
    other.load(shelved)
    other.took("kill", 9)
    assert len(other.rows) == 1
    assert other.total["kill"].count == 2
