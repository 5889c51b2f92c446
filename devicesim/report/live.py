"""The display while a run goes on: virtual clock, speed, and the fleet at a glance.

Decides how often it draws: on a terminal at most every `DRAW_EVERY_NS`, elsewhere one plain line at
most every `LINE_EVERY_NS`, so that a log of a run stays short. Leaves out the clock: the caller
hands in one that never goes back, since the display shows wall time but must not read it.

Rule: `Progress.update` may be called at every virtual minute; between drawings it costs one reading
of the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Self

import msgspec
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devicesdk.wire.timebase import MS, SECOND, to_seconds
from devicesim.report.display import Display
from devicesim.report.figures import Clock, compact, count, duration, elapsed, plural, printable

DRAW_EVERY_NS: Final = 100 * MS
LINE_EVERY_NS: Final = 10 * SECOND
_BAR_WIDTH: Final = 40
_VERSIONS_SHOWN: Final = 4


class _View(msgspec.Struct, frozen=True):
    """What `Progress.update` was told last and has not drawn yet."""

    now_ns: int
    online: int
    devices: int
    events: int
    versions: Mapping[str, int]
    transfers: int
    note: str


class Progress(Display):
    """A live view of one run; use it as a context manager.

    Args:
        title: what runs.
        duration_ns: how long the scenario lasts, in its own time.
        clock_ns: wall clock in nanoseconds that never goes back; its origin does not matter.
        clock_start: ISO 8601 instant at which the scenario begins.
        console: where to draw; standard error when None, so that standard output stays data.
    """

    def __init__(
        self,
        title: str,
        duration_ns: int,
        clock_ns: Callable[[], int],
        *,
        clock_start: str = "1970-01-01T00:00:00Z",
        console: Console | None = None,
    ) -> None:
        super().__init__(console)
        self._title = printable(title)
        self._duration_ns = max(1, duration_ns)
        self._clock_ns = clock_ns
        self._clock = Clock(clock_start, to_seconds(duration_ns))
        self._began_ns = clock_ns()
        self._drawn_ns: int | None = None
        self._view: _View | None = None

    def __enter__(self) -> Self:
        """Start drawing; wall time counts from here."""
        self._began_ns = self._clock_ns()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """Stop drawing; a log that is not a terminal ends with the last state."""
        if self._live is None and self._view is not None:
            self._draw(self._clock_ns())
        self._view = None
        super().__exit__()

    def update(
        self,
        now_ns: int,
        *,
        online: int,
        devices: int,
        events: int,
        versions: Mapping[str, int] | None = None,
        transfers: int = 0,
        note: str = "",
    ) -> None:
        """Show the run at virtual time `now_ns`.

        Args:
            now_ns: virtual time since the start of the scenario.
            online: devices with a live session.
            devices: devices in all.
            events: events executed so far.
            versions: devices by the bundle version they run.
            transfers: downloads in progress.
            note: what is going on, such as the faults that are active.
        """
        self._view = _View(now_ns, online, devices, events, versions or {}, transfers, note)
        wall_ns = self._clock_ns()
        if self._live is None:
            due_ns = (self._began_ns if self._drawn_ns is None else self._drawn_ns) + LINE_EVERY_NS
        else:
            due_ns = wall_ns if self._drawn_ns is None else self._drawn_ns + DRAW_EVERY_NS
        if wall_ns >= due_ns:
            self._draw(wall_ns)

    def _draw(self, wall_ns: int) -> None:
        view = self._view
        assert view is not None
        self._drawn_ns, self._view = wall_ns, None
        pace = self._pace(view.now_ns, view.events, wall_ns)
        part = min(1.0, view.now_ns / self._duration_ns)
        fleet = _fleet(view)
        if self._live is None:
            line = f"{part:4.0%}  {self._instant(view.now_ns)}  {pace}  {fleet}"
            self._console.print(Text(line), soft_wrap=True)
            return
        head = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(total=1.0, completed=part, width=_BAR_WIDTH)
        head.add_row(Text(self._title, style="bold"), bar, Text(f"{part:.0%}"))
        body = Text(f"{self._instant(view.now_ns)}   {pace}")
        self._show(Group(head, body, Text(fleet, style="dim")))

    def _instant(self, now_ns: int) -> str:
        now_s = to_seconds(now_ns)
        whole = duration(to_seconds(self._duration_ns))
        return f"{self._clock.at(now_s)} ({elapsed(now_s)} of {whole})"

    def _pace(self, now_ns: int, events: int, wall_ns: int) -> str:
        wall_s = to_seconds(wall_ns - self._began_ns)
        if wall_s <= 0 or now_ns <= 0:
            return "starting"
        left_s = wall_s * max(0, self._duration_ns - now_ns) / now_ns
        pace = (
            f"{compact(to_seconds(now_ns) / wall_s)} x, {compact(round(events / wall_s))} events/s"
        )
        return f"{pace}, {duration(round(left_s))} left" if left_s >= 1 else pace


def _fleet(view: _View) -> str:
    parts = [f"online {count(view.online)} of {count(view.devices)}"]
    ranked = sorted(view.versions.items(), key=lambda item: (-item[1], item[0]))
    parts += [f"{name} {count(running)}" for name, running in ranked[:_VERSIONS_SHOWN]]
    if len(ranked) > _VERSIONS_SHOWN:
        parts.append(plural(len(ranked) - _VERSIONS_SHOWN, "more version"))
    parts.append(plural(view.transfers, "transfer"))
    if view.note:
        parts.append(view.note)
    return printable("   ".join(parts).replace("\n", " "))
