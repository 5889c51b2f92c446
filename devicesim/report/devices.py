"""What became of each device of a run: one row a device, and the table of columns.

Decides names, units and order of the columns of ``devices.csv``, which direction of each is better, and
how a row is spelled. Leaves out measuring (devicesim/world/device_books.py) and comparing
(devicesim/compare).

Rules: a number that does not exist (no battery, never updated) is an empty cell, which zero is not; the
same run gives the same file, byte for byte.
"""

from __future__ import annotations

import csv
import io
import math
from typing import Final, Literal

import msgspec

Better = Literal["less", "more", ""]


class Column(msgspec.Struct, frozen=True):
    """One number of a device: its name in the file, what people call it, its unit, what is better."""

    name: str
    title: str
    unit: str
    better: Better
    means: str


NAMES: Final = ("device", "group", "profile", "link", "region", "version")
"""The columns that are words: id, group, profile, link, region, and what runs at the end."""
COLUMNS: Final = (
    Column("offline_s", "Offline", "s", "less", "time without a live session, power or not"),
    Column("off_s", "Without power", "s", "less", "the part of it without power"),
    Column("longest_outage_s", "Longest outage", "s", "less", "longest time between two sessions"),
    Column("waited_s", "Waited in vain", "s", "less",
           "time away though link and broker were there: what a back-off costs"),
    Column("slowest_return_s", "Slowest return", "s", "less",
           "longest of these waits that ended in a session"),
    Column("attempts", "Attempts to connect", "", "less", "tries to connect"),
    Column("returns", "Returns", "", "", "sessions that followed a lost one"),
    Column("bytes_up", "Sent", "B", "less", "payload sent"),
    Column("bytes_down", "Received", "B", "less", "payload received"),
    Column("refetched_bytes", "Fetched again", "B", "less", "chunk bytes received a second time"),
    Column("copies_lost", "Copies lost", "", "less", "messages on the wire when a connection ended"),
    Column("updated", "Updated", "", "more", "1 when a release came to run for good"),
    Column("update_s", "Time to update", "s", "less", "from the newest offer heard to running for good"),
    Column("updated_at_s", "Updated at", "s", "less", "scenario time at which it ran for good"),
    Column("rollbacks", "Rollbacks", "", "less", "updates taken back"),
    Column("reboots", "Reboots", "", "less", "boots after the first"),
    Column("frames", "Frames inferred", "", "more", "inferences executed"),
    Column("frames_lost", "Frames lost", "", "less", "inferences that nobody will hear of"),
    Column("throttled_s", "Throttled", "s", "less", "time below full speed, for heat"),
    Column("energy_j", "Energy", "J", "less", "energy drawn"),
    Column("battery_min", "Lowest charge", "share", "more",
           "lowest charge when power came or went, and at the end"),
    Column("kill_s", "Kill obeyed after", "s", "less", "slowest kill obeyed, from its publication"),
    Column("inference_s", "One inference", "s", "less",
           "one inference by the active slot's model at the end, at the speed of then; of a device that is on"),
)  # fmt: skip
BY_NAME: Final = {column.name: column for column in COLUMNS}


class DeviceRow(msgspec.Struct, frozen=True):
    """One device: words by `NAMES`, numbers by `COLUMNS`; NaN where there is none."""

    words: tuple[str, ...]
    numbers: tuple[float, ...]

    @property
    def device(self) -> str:
        """Its id."""
        return self.words[0]


def to_csv(rows: list[DeviceRow]) -> str:
    """Spell rows as CSV with a line of names."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*NAMES, *BY_NAME])
    for row in rows:
        writer.writerow([*row.words, *map(_cell, row.numbers)])
    return out.getvalue()


def from_csv(text: str) -> list[DeviceRow]:
    """Read what `to_csv` wrote; columns that this version does not know are passed over.

    Raises:
        ValueError: a column is missing, or a cell is not a number.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [n for n in (*NAMES, *BY_NAME) if n not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(
            f"expected columns {', '.join(missing)} in devices.csv, found none: run it again with "
            "this version"
        )
    return [
        DeviceRow(
            tuple(cells[name] for name in NAMES),
            tuple(float(cells[name]) if cells[name] else math.nan for name in BY_NAME),
        )
        for cells in reader
    ]


def _cell(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if value == int(value) else repr(value)
