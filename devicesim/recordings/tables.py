"""Tables of presence: one row a session, or one row an event.

Decides which headers and which instants are understood, and reads our own format (native.py), which is
such a table with a few lines of comment before it. Leaves out files (reading.py).

    device,up,down                  device,time,state
    dev-1,1700000000,1700003600     dev-1,2023-11-14T22:13:20Z,online

Rules: comments stand before the header only; the header decides, in any order and case, with commas, semicolons or tabs; an empty *up* means
since before the recording, an empty *down* until after it; small numbers count seconds since its start.
A row that cannot be read is told by its place; the rest is used.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Final

from devicesdk.wire.timebase import SECOND
from devicesim.recordings import instants
from devicesim.recordings.intervals import Builder, RecordingError
from devicesim.recordings.mosquitto import COMPLAINTS_KEPT_MAX, Complaint

DEVICE: Final = (
    "device", "device_id", "deviceid", "client", "client_id", "clientid", "id", "name", "thing", "thing_name",
)  # fmt: skip
GROUP: Final = ("group", "kind", "type", "site", "model")
SESSION_UP: Final = (
    "up", "from", "start", "started_at", "begin", "since", "connected", "connected_at", "online", "online_at", "up_at",
)  # fmt: skip
SESSION_DOWN: Final = (
    "down", "to", "end", "ended_at", "until", "disconnected", "disconnected_at", "offline", "offline_at", "down_at",
)  # fmt: skip
TIME: Final = ("time", "timestamp", "at", "ts", "when", "date", "datetime")
STATE: Final = (
    "state",
    "status",
    "event",
    "event_type",
    "eventtype",
    "action",
    "connected",
    "online",
    "up",
)
COMES: Final = frozenset(
    {"up", "on", "online", "connect", "connected", "1", "true", "yes", "client.connected"}
)
GOES: Final = frozenset(
    {
        "down",
        "off",
        "offline",
        "disconnect",
        "disconnected",
        "0",
        "false",
        "no",
        "client.disconnected",
    }
)
STILL: Final = frozenset({"", "-", "null", "none", "nan", "now"})
RELATIVE_S_MAX: Final = 10**8
"""Numbers below count seconds since the start of the recording (three years), others an epoch."""
SPAN_NS_MAX: Final = 3 * 366 * 86_400 * SECOND
DELIMITERS: Final = (",", ";", "\t")
COLUMNS_MAX: Final = 64
INSTANT: Final = "ISO 8601 (2024-07-16T10:00:00Z) or an epoch in s, ms, us or ns"
_HEADING: Final = re.compile(r"\s*[^\W\d][\w ./()-]{0,39}")
_COMMENT: Final = re.compile(r"#\s*([a-z-]+)\s*[: ]\s*(.*)")


class Columns:
    """Where in a row what stands.

    Raises:
        RecordingError: the header names no device, or neither a session nor an event.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.header = [name.strip() for name in header]
        names = [_folded(name) for name in header]
        self.device = _place(names, DEVICE)
        self.group = _place(names, GROUP)
        self.time = _place(names, TIME)
        self.state = _place(names, STATE) if self.time is not None else None
        self.up = self.down = None
        if self.state is None:
            self.up, self.down = _place(names, SESSION_UP), _place(names, SESSION_DOWN)
        self.last = max(
            place for place in (self.device, self.time, self.up, self.down, 0) if place is not None
        )
        sessions = self.up is not None and self.down is not None
        if self.device is None or not (sessions or self.state is not None):
            raise RecordingError(
                "expected a header with device,up,down or device,time,state (or other words for them), "
                f"found {','.join(header)[:120]!r}"
            )


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _place(names: list[str], words: Sequence[str]) -> int | None:
    return next((names.index(word) for word in words if word in names), None)


def split(line: str, delimiter: str) -> list[str]:
    """The cells of a line; quotes as in RFC 4180."""
    return next(csv.reader([line], delimiter=delimiter), [])


def header_of(line: str) -> tuple[str, Columns] | None:
    """Delimiter and columns of a header line; None when it is none."""
    for delimiter in DELIMITERS:
        try:
            cells = split(line, delimiter)
            if 2 < len(cells) <= COLUMNS_MAX:
                return delimiter, Columns(cells)
        except (RecordingError, csv.Error):
            continue
    return None


def cells_of_headings(line: str, below: str | None = None) -> bool:
    """Whether a line looks like the headings of a table, and the line below like a row of it."""
    for delimiter in DELIMITERS:
        try:
            cells = split(line, delimiter)
            count = len(cells) if below is None else len(split(below, delimiter))
        except csv.Error:
            continue
        if 1 < len(cells) == count <= COLUMNS_MAX and all(map(_HEADING.fullmatch, cells)):
            return True
    return False


class _Unclear(Exception):
    """A row cannot be read; says why."""


class Table:
    """Reads rows into a `Builder`; comments and the header come first.

    Args:
        builder: takes what the rows say.
        utc_offset_ns: local time minus UTC, for instants without a zone.
    """

    def __init__(self, builder: Builder, utc_offset_ns: int = 0) -> None:
        self._builder, self._offset = builder, utc_offset_ns
        self._columns: Columns | None = None
        self._delimiter = ","
        self.lines = self.about = self.other = self.unclear = 0
        self.complaints: list[Complaint] = []
        self.zoneless: list[str] = []
        """Files with times that say no zone, where none was given."""
        self._ours = False
        self._zoneless = False
        self.start: int | None = None
        self.end: int | None = None
        self.source = ""

    def begins_anew(self) -> None:
        """Another file: its header comes first."""
        self._columns = None
        self._ours = self._zoneless = False

    def line(self, text: str, file: str, number: int) -> None:
        """Take one line.

        Raises:
            RecordingError: the first line that is no comment is no header.
        """
        text = text.strip("\r\n\0\ufeff")
        if not text.strip():
            return
        self.lines += 1
        if self._columns is not None:
            self._take(text, file, number)
        elif text.startswith("#"):
            self._comment(text, file, number)
        else:
            found = header_of(text)
            if found is None:
                raise RecordingError(
                    f"{file}:{number}: expected a header such as device,up,down, found {text[:120]!r}"
                )
            self._delimiter, self._columns = found
            self.other += 1

    def _take(self, text: str, file: str, number: int) -> None:
        try:
            self._row(text)
            self.about += 1
        except _Unclear as why:
            self.unclear += 1
            if len(self.complaints) < COMPLAINTS_KEPT_MAX:
                self.complaints.append(Complaint(file, number, text[:160], str(why)))
        if self._zoneless and file not in self.zoneless:
            self.zoneless.append(file)

    def _comment(self, text: str, file: str, number: int) -> None:
        self.other += 1
        found = _COMMENT.fullmatch(text)
        key, value = (found[1], found[2]) if found else ("", "")
        if key == "source":
            self.source = value
        elif key in ("start", "end"):
            at = instants.read_instant(value)
            if at is None:
                raise RecordingError(
                    f"{file}:{number}: expected an instant after {key}:, found {value!r}"
                )
            setattr(self, key, at)
        elif key == "unknown":
            begin, _, end = value.partition("/")
            gap = instants.read_instant(begin), instants.read_instant(end)
            if gap[0] is None or gap[1] is None:
                raise RecordingError(
                    f"{file}:{number}: expected two instants with / between them, found {value!r}"
                )
            self._builder.nobody_looked(gap[0], gap[1])
        elif key == "fleetdrill-presence":
            self._ours = True
            if value.strip() != "1":
                raise RecordingError(
                    f"{file}:{number}: expected version 1 of the format, found {value!r}; update fleetdrill"
                )

    def _row(self, text: str) -> None:
        try:
            cells = split(text, self._delimiter)
        except csv.Error as error:
            raise _Unclear(f"expected cells as in RFC 4180, found: {error}") from error
        columns = self._columns
        assert columns is not None
        assert columns.device is not None
        if len(cells) <= columns.last:
            raise _Unclear(f"expected at least {columns.last + 1} cells, found {len(cells)}")
        # what native.py quotes is meant to the letter
        exact = self._ours and text.startswith('"')
        device = _cell(cells, columns.device)
        device = device if exact else device.strip()
        if not device:
            raise _Unclear(
                f"column {columns.header[columns.device]}: expected a name, found nothing"
            )
        try:
            if columns.state is not None:
                self._event(device, cells, columns)
            else:
                self._session(device, cells, columns)
        except _Unclear as why:
            raise _Unclear(f"{why}; this row of {device[:80]} is left out") from None
        if columns.group is not None:
            group = _cell(cells, columns.group)
            group = group if exact else group.strip()
            if group:
                self._builder.groups[device] = group

    def _session(self, device: str, cells: list[str], columns: Columns) -> None:
        assert columns.up is not None
        assert columns.down is not None
        up_text, down_text = _cell(cells, columns.up), _cell(cells, columns.down)
        up, down = self._instant(up_text), self._instant(down_text)
        for at, text, place in ((up, up_text, columns.up), (down, down_text, columns.down)):
            if at is None and text.strip().lower() not in STILL:
                raise _no_instant(columns.header[place], text)
        if up is not None and down is not None and down < up:
            raise _Unclear(
                f"expected an end after the begin, found {down_text.strip()} after {up_text.strip()}"
            )
        self._builder.interval(device, up, down)

    def _event(self, device: str, cells: list[str], columns: Columns) -> None:
        assert columns.time is not None
        assert columns.state is not None
        at = self._instant(_cell(cells, columns.time))
        state = _cell(cells, columns.state).strip().lower()
        if at is None:
            raise _no_instant(columns.header[columns.time], _cell(cells, columns.time))
        if state not in COMES and state not in GOES:
            raise _Unclear(
                f"column {columns.header[columns.state]}: expected online or offline (or other words for them), "
                f"found {state[:40]!r}"
            )
        at = self._builder.moment(at)
        if state in COMES:
            self._builder.up(device, at)
        else:
            self._builder.down(device, at)

    def _instant(self, text: str) -> int | None:
        text = text.strip()
        found = instants.NUMBER.fullmatch(text)
        if found and abs(int(found[1])) < RELATIVE_S_MAX:
            return (
                None
                if text.startswith("-")
                else (self.start or 0) + instants.seconds_ns(found[1], found[2])
            )
        if found is None and not self._offset and not self._zoneless:
            iso = instants.ISO.fullmatch(text)
            self._zoneless = iso is not None and iso[8] is None
        return instants.read_instant(text, self._offset)


def _no_instant(column: str, text: str) -> _Unclear:
    return _Unclear(f"column {column}: expected {INSTANT}, found {text.strip()[:40]!r}")


def _cell(cells: list[str], at: int) -> str:
    return cells[at] if at < len(cells) else ""
