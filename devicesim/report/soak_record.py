"""What a soak leaves behind for people: one plain value, and every report of a soak is a view of it.

Decides names and units. Leaves out how anything was measured (`devicesim.live.soak`) and what each view
shows (soak.py, soak_junit.py, soak_terminal.py).

Rules: instants and durations are real seconds since the soak began, pauses left out; they end in ``_s``
and are floats because they are shown, never compared. None means *not known*.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from devicesim.report.record import Band, CheckRow, Venue

Ending = Literal["complete", "aborted", "paused"]
METRICS: Final[dict[str, str]] = {
    "telemetry": "Telemetry, device to gateway",
    "kill": "Kill to obeyed",
    "flag": "Flag to taken",
    "want": "Want to have",
    "reconnect": "Reconnect",
}


class Quantiles(msgspec.Struct, frozen=True):
    """Percentiles of one latency; None where there was no sample."""

    n: int = 0
    p50_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


class Held(msgspec.Struct, frozen=True):
    """What the processes held at the end of a window, and what the run itself kept."""

    rss_mib: float | None = None
    fds: int | None = None
    tasks: int | None = None
    broker_rss_mib: float | None = None
    broker_fds: int | None = None
    cpu_share: float | None = None
    """Processor time per real time, of our own process, over the window."""


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One window. Counts of messages are those of the window, `waiting` and `unexplained` those at its end."""

    start_s: float
    end_s: float
    said: int
    heard: int
    again: int
    lost: int
    """With a cause."""
    waiting: int
    unexplained: int
    online: int
    """Devices online at the end."""
    online_min: int
    restarts: int = 0
    lag_s: float = 0.0
    """By how much the machine fell behind at worst."""
    latencies: dict[str, Quantiles] = {}
    held: Held = Held()


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of message: ``said = once + waiting + sum(causes) + unexplained``."""

    kind: str
    way: Literal["up", "down"]
    said: int
    once: int
    waiting: int
    unexplained: int
    causes: dict[str, int]
    again: int
    """Deliveries of what had been heard; QoS 1 allows them."""
    nowhere: int
    """Deliveries of what nobody said; QoS allows none."""
    wills: int = 0
    repeated: int = 0


class LeakRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must not grow; `held` is None when it could not be judged."""

    what: str
    unit: str
    allowed: str
    held: bool | None
    story: str
    per_h: float | None = None
    low_per_h: float | None = None
    high_per_h: float | None = None
    first: float | None = None
    last: float | None = None


class AbortRow(msgspec.Struct, frozen=True):
    """One threshold that ends a soak early."""

    what: str
    held: bool
    story: str


class SoakRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report shows about one soak."""

    scenario: str
    title: str
    seed: int
    verdict: Literal["passed", "failed"]
    ending: Ending
    story: str
    """Why it ended as it did; one or a few sentences."""
    began: str
    """ISO 8601 instant, UTC."""
    devices: int
    asked_s: float
    lasted_s: float
    window_s: float
    parts: int = 1
    """How often it was started; more than once after a pause."""
    restart_every_s: float | None = None
    restarts: int = 0
    beat_s: float | None = None
    windows: list[WindowRow]
    messages: list[MessageRow]
    stories: list[str]
    """The first unexplained messages."""
    latencies: dict[str, Quantiles]
    """Over the whole soak."""
    leaks: list[LeakRow]
    aborts: list[AbortRow]
    checks: list[CheckRow]
    bands: list[Band]
    skipped: list[str]
    venue: Venue
    memory_mib: float = 0.0
    cpu_s: float = 0.0
    reproduce: str = ""
    machine: dict[str, str] = {}
    versions: dict[str, str] = {}

    @property
    def unexplained(self) -> int:
        """Messages without an explanation, both ways."""
        return sum(row.unexplained + row.nowhere for row in self.messages)

    @property
    def said(self) -> int:
        """Messages, both ways."""
        return sum(row.said for row in self.messages)

    @property
    def lost(self) -> int:
        """Messages lost with a cause, both ways."""
        return sum(sum(row.causes.values()) for row in self.messages)
