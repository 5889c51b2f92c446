"""What the collect machine keeps: what it must know to count every window once, and the results.

Decides the rows. Leaves out where rows are stored.

Rules: rows are immutable values; instants are UTC nanoseconds. Between two compactions each group of
messages is a `JournalRow`; a compaction replaces the journal by `CursorPage` and `OpenRow`, closing
a window replaces both kinds of sums by one `WindowRow`. Counts travel as little-endian int64.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.internal import Drift

SINGLES_MAX: Final = 32


class Row(msgspec.Struct, frozen=True, array_like=True):
    """Base of all rows: on disk an array, so fields are only ever added at the end."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message that was counted."""

    device: str
    boot_id: int
    seq: int
    cohort: str
    histograms: bytes
    """Confidence, entropy, latency and features, as they came (varints)."""
    frames: int
    throttled: int
    probe_permille: int
    """-1: no probe ran."""
    errors: dict[str, int] | None
    privacy_permille: int = 0
    """Thousandths of epsilon of a message of privacy mode; 0: its counts are exact."""


class JournalRow(Row, frozen=True, array_like=True):
    """The messages acknowledged together, in the order of arrival; the key is a running number."""

    entries: tuple[Entry, ...]


class Cursor(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was counted of one device: newest boot and the one before it."""

    device: str
    gaps: int
    boot_id: int
    first: int
    high: int
    mask: int
    """Which of the 64 numbers up to `high` were counted; bit 0 is `high`."""
    old_boot_id: int
    old_first: int
    old_high: int
    old_mask: int


class CursorPage(Row, frozen=True, array_like=True):
    """Cursors of up to `cursors_per_page` devices; the key is the page's number."""

    cursors: tuple[Cursor, ...]


class OpenRow(Row, frozen=True, array_like=True):
    """Sums of one cohort in the window that is still open; the key is the cohort's name."""

    sums: bytes
    """One row of `gateway.core.collect.totals.Totals`."""
    errors: dict[str, int]
    likeness: bytes = b""
    """One row of `gateway.core.collect.likeness.Likeness`."""
    private: bool = False
    """Messages of privacy mode are among them."""


class Score(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One histogram of one cohort against its baseline."""

    feature: str
    psi: float
    """Bias-corrected."""
    p: float
    design: float
    alarm: bool


class CohortWindow(msgspec.Struct, frozen=True, array_like=True):
    """What one cohort said in one window."""

    cohort: str
    windows: int
    frames: int
    throttled: int
    probes: int
    probes_failed: int
    counts: bytes
    """Confidence, entropy, latency and features, 132 varints; each saturates at 2^28 - 1."""
    errors: dict[str, int]
    distinct: int
    """Different feature hashes, about (HLL); 0 where none were sent."""
    drift: Drift
    scores: tuple[Score, ...]
    probe: str = "unknown"
    """``passed``, ``failed``, or ``unknown`` where too few probes ran to tell: those are missing."""
    singles: tuple[tuple[str, str], ...] = ()
    """(device, histogram) of single devices that are shifted; at most `SINGLES_MAX` of them."""
    devices: int = 0
    """Devices that spoke."""
    dose: tuple[str, float, float] = ("", 0.0, 1.0)
    """What the residual of its probes goes with (``chip_c``, ``latency``), rank correlation, p; see dose.py."""
    alone: tuple[tuple[str, int, int], ...] = ()
    """(device, failures in a row, permille) of devices whose own probe fails while the cohort's pass; at most
    `SINGLES_MAX` of them."""


class Alarm(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far one cohort's histogram (or its probes) is on the way into or out of an alarm."""

    cohort: str
    feature: str
    streak: int
    """Windows in a row that showed the shift."""
    quiet: int
    """Windows in a row that did not."""
    raised_ns: int
    """0 while there is no alarm."""
    evidence: float = 0.0
    """Of golden probes: the logarithm of their e-value."""


class WindowRow(Row, frozen=True, array_like=True):
    """A closed window; the key is its running number. The newest one also holds the alarms."""

    number: int
    opened_ns: int
    closed_ns: int
    cohorts: tuple[CohortWindow, ...]
    alarms: tuple[Alarm, ...]


class DebugWindowRow(Row, frozen=True, array_like=True, gc=False):
    """What one window of a device in debug mode told; the key is device, grant, boot and seq."""

    device: str
    grant: int
    boot_id: int
    seq: int
    bundle: bytes
    frames: int
    told: bytes
    """Eight bytes a frame, see `devicesdk.wire.messages.Telemetry.debug`."""
    heard_ns: int


JOURNAL: Final = "collect.journal"
CURSORS: Final = "collect.cursors"
OPEN: Final = "collect.open"
WINDOW: Final = "collect.window"
DEBUG: Final = "collect.debug"

TABLES: Final[dict[str, type[Row]]] = {
    JOURNAL: JournalRow,
    CURSORS: CursorPage,
    OPEN: OpenRow,
    WINDOW: WindowRow,
    DEBUG: DebugWindowRow,
}
"""Table name to the type of its rows."""
