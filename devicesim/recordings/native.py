r"""The file format of a recording, version 1: a table with its circumstances before it.

    # fleetdrill-presence 1
    # start: 2024-07-16T10:00:00Z
    # end: 2024-07-16T10:08:00Z
    # source: mosquitto.log
    # unknown: 2024-07-16T10:03:00Z/2024-07-16T10:03:20Z
    device,group,up,down
    dev-1,dev,0,62.5
    dev-1,dev,245,480
    dev-2,dev,0,0

Decides what is written; tables.py reads it. One row for each session: *up* and *down* in seconds since
the start, to the nanosecond. A device that was never up has one row of no length. ``start`` and ``end``
say how long was looked, ``unknown`` (any number of them) when nobody looked. ``group`` may be left out.

Rules: UTF-8, RFC 4180 (a row whose names a reader might trim or take for a comment is quoted), rows sorted by device and time, the same recording the same bytes.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from devicesdk.wire.timebase import SECOND
from devicesim.recordings.instants import spell
from devicesim.recordings.intervals import Recording, pairs

FORMAT: Final = "fleetdrill-presence 1"
COLUMNS: Final = ("device", "group", "up", "down")


def seconds(ns: int) -> str:
    """Decimal seconds without a needless digit."""
    whole, part = divmod(ns, SECOND)
    return f"{whole}.{part:09d}".rstrip("0") if part else str(whole)


def write_recording(recording: Recording, file: Path) -> None:
    """Write a recording.

    Raises:
        OSError: the file cannot be written.
    """
    start = recording.start_unix_ns
    with file.open("w", encoding="utf-8", newline="") as out:
        source = recording.source.replace("\n", " ").replace("\r", " ")
        out.write(f"# {FORMAT}\n# start: {spell_exactly(start)}\n")
        out.write(f"# end: {spell_exactly(start + recording.length_ns)}\n# source: {source}\n")
        for begin, end in recording.unknown:
            out.write(f"# unknown: {spell_exactly(start + begin)}/{spell_exactly(start + end)}\n")
        plain = csv.writer(out, lineterminator="\n")
        quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(COLUMNS)
        for device, edges in recording.edges.items():
            group = recording.groups.get(device, "")
            rows = quoted if _awkward(device) or _awkward(group) else plain
            if not edges:
                rows.writerow((device, group, *NEVER_UP))
            for up, down in pairs(edges):
                rows.writerow((device, group, seconds(up), seconds(down)))


NEVER_UP: Final = ("0", "0")
"""A session of no length: the device is known, and was never there."""


def _awkward(name: str) -> bool:
    return name.startswith(("#", "\ufeff", "\0")) or "\r" in name or name != name.strip()


def spell_exactly(unix_ns: int) -> str:
    """ISO 8601 in UTC, to the nanosecond."""
    text = spell(unix_ns - unix_ns % SECOND).removesuffix("Z")
    part = unix_ns % SECOND
    return (f"{text}.{part:09d}".rstrip("0") if part else text) + "Z"
