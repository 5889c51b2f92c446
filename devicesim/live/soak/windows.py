"""The windows of a soak: percentiles, counts and readings, one row each.

Decides when a window ends and what is in it, and how often processes are read. Leaves out judgement
(judge.py) and display.

Rules: processes are read only while as many devices are online as ever were, and what was read at an
earlier, lower peak is thrown away: descriptors and memory of different fleets cannot be held against
each other. Memory is bounded: a row each window, two sketches for each latency, and at most `READINGS_MAX`
readings of processes; when they are full every second one goes and the next come half as often.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND, to_seconds
from devicesim.live.soak.books import Books
from devicesim.live.soak.leaks import Point
from devicesim.live.soak.process import Holding, holding
from devicesim.live.soak.sketch import Sketch
from devicesim.report.soak_record import METRICS, Held, Quantiles, WindowRow

READINGS_MAX: Final = 1_200
MIB: Final = 1 << 20
SUBJECTS: Final = ("rss", "fds", "tasks", "broker_rss", "broker_fds")


class Readings:
    """What the two processes held over time, thinned as it grows."""

    __slots__ = ("_due", "_peak", "every_ns", "points")

    def __init__(self) -> None:
        self.points: dict[str, list[Point]] = {subject: [] for subject in SUBJECTS}
        self.every_ns = SECOND // 2
        self._due = self._peak = 0

    def due(self, now: int, online: int) -> bool:
        """Whether it is time for another, and the fleet is whole."""
        if online > self._peak:
            self._peak = online
            for points in self.points.values():
                points.clear()
        return now >= self._due and online == self._peak

    def add(self, now: int, own: Holding | None, broker: Holding | None, tasks: int) -> None:
        """Take a reading."""
        self._due = now + self.every_ns
        at_s = to_seconds(now)
        self.points["tasks"].append((at_s, float(tasks)))
        if own is not None:
            self.points["rss"].append((at_s, own.rss_bytes / MIB))
            self.points["fds"].append((at_s, float(own.fds)))
        if broker is not None:
            self.points["broker_rss"].append((at_s, broker.rss_bytes / MIB))
            self.points["broker_fds"].append((at_s, float(broker.fds)))
        if len(self.points["tasks"]) > READINGS_MAX:
            self.points = {name: points[::2] for name, points in self.points.items()}
            self.every_ns *= 2


class Counts(msgspec.Struct, frozen=True):
    """Sums at the end of a window, to take the next one's from."""

    said: int = 0
    heard: int = 0
    again: int = 0
    lost: int = 0
    restarts: int = 0
    cpu_s: float = 0.0


class Windows:
    """Collects windows.

    Args:
        window_ns: their length, real nanoseconds.
    """

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.rows: list[WindowRow] = []
        self.readings = Readings()
        self.total = {metric: Sketch() for metric in METRICS}
        self.now = {metric: Sketch() for metric in METRICS}
        self._before = Counts()
        self._start = 0

    def begin(self, now: int) -> None:
        """The soak begins, or goes on after a pause."""
        self._start = now
        own = holding()
        self._before = Counts(cpu_s=own.cpu_s if own is not None else 0.0)

    def took(self, metric: str, took_ns: int) -> None:
        """Take a latency."""
        self.total[metric].add(took_ns)
        self.now[metric].add(took_ns)

    @property
    def ends_at(self) -> int:
        """When the window that is open ends."""
        return self._start + self.window_ns

    def read(self, now: int, broker_pid: int | None, online: int) -> None:
        """Read the processes when it is time."""
        if self.readings.due(now, online):
            broker = holding(broker_pid) if broker_pid is not None else None
            self.readings.add(now, holding(), broker, len(asyncio.all_tasks()))

    def close(
        self,
        now: int,
        books: Books,
        *,
        online: int,
        online_min: int,
        restarts: int,
        lag_s: float,
        broker_pid: int | None,
    ) -> WindowRow:
        """End the window that is open, and begin the next; the books are settled as of `now`."""
        own = holding()
        broker = holding(broker_pid) if broker_pid is not None else None
        said, heard, again, lost = books.sums()
        cpu_s = own.cpu_s if own is not None else 0.0
        after = Counts(said, heard, again, lost, restarts, cpu_s)
        before, length_s = self._before, to_seconds(max(1, now - self._start))
        tallies = books.tallies.values()
        row = WindowRow(
            start_s=to_seconds(self._start),
            end_s=to_seconds(now),
            said=said - before.said,
            heard=heard - before.heard,
            again=again - before.again,
            lost=lost - before.lost,
            waiting=sum(tally.waiting for tally in tallies),
            unexplained=books.unexplained,
            online=online,
            online_min=online_min,
            restarts=restarts - before.restarts,
            lag_s=lag_s,
            latencies={name: quantiles(sketch) for name, sketch in self.now.items()},
            held=_held(own, broker, (cpu_s - before.cpu_s) / length_s),
        )
        self.rows.append(row)
        self.now = {metric: Sketch() for metric in METRICS}
        self._before, self._start = after, now
        return row

    def carry(self, counts: Counts) -> None:
        """Count from here: the books go on from an earlier part."""
        self._before = msgspec.structs.replace(counts, cpu_s=self._before.cpu_s)

    # -- to the disk and back -------------------------------------------------------------------

    def dump(self) -> ShelvedWindows:
        """Everything of the windows that ended, as values."""
        return ShelvedWindows(
            self.rows,
            {name: sketch.dump() for name, sketch in self.total.items()},
            self.readings.points,
            self.readings.every_ns,
        )

    def load(self, shelved: ShelvedWindows) -> None:
        """Go on where `dump` was made. Readings of the processes begin anew: they are other processes."""
        self.rows = list(shelved.rows)
        self.total = {name: Sketch.load(dumped) for name, dumped in shelved.total.items()}


class ShelvedWindows(msgspec.Struct, frozen=True):
    """Windows as a value."""

    rows: list[WindowRow]
    total: dict[str, tuple[int, int, list[int] | None, dict[int, int]]]
    readings: dict[str, list[Point]]
    every_ns: int


def quantiles(sketch: Sketch) -> Quantiles:
    """What the reports show of a sketch."""

    def seconds(share: float) -> float | None:
        value = sketch.quantile(share)
        return None if value is None else to_seconds(value)

    return Quantiles(sketch.count, seconds(0.5), seconds(0.9), seconds(0.99), seconds(1.0))


def _held(own: Holding | None, broker: Holding | None, cpu_share: float) -> Held:
    tasks = len(asyncio.all_tasks())
    if own is None:
        return Held(tasks=tasks)
    return Held(
        rss_mib=own.rss_bytes / MIB,
        fds=own.fds,
        tasks=tasks,
        broker_rss_mib=None if broker is None else broker.rss_bytes / MIB,
        broker_fds=None if broker is None else broker.fds,
        cpu_share=cpu_share,
    )
