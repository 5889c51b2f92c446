"""One run as a comparison needs it: its record, its devices, its scenario in full.

Decides what is read from a run's folder, which two runs may be compared, and how devices pair up. Leaves
out running (runs.py) and what is made of pairs (result.py).

Rules: the same seed on both sides, or it is not the same luck and the comparison is refused; devices pair
up by id, and a comparison of fleets that share no id is refused.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec

from devicesim.report.devices import DeviceRow, from_csv
from devicesim.report.record import RunRecord

_FILES = ("record.json", "devices.csv", "scenario.json")


class Side(msgspec.Struct, frozen=True):
    """One run of one side."""

    folder: Path
    record: RunRecord
    devices: list[DeviceRow]
    resolved: dict[str, str]
    """Every value of the scenario by its path."""

    @property
    def traced(self) -> bool:
        """Whether its trace was kept, so that stories can be told."""
        return (self.folder / "trace.bin").is_file() and (self.folder / "trace.json").is_file()


class Pair(msgspec.Struct, frozen=True):
    """Two runs on the same luck, their devices in step: row i of both is the same device."""

    a: Side
    b: Side
    rows_a: list[DeviceRow]
    rows_b: list[DeviceRow]

    @property
    def same_trace(self) -> bool:
        """Whether both did the same, bit for bit."""
        digests = self.a.record.trace_digest, self.b.record.trace_digest
        return digests[0] == digests[1] != ""


def is_run(path: Path) -> bool:
    """Whether this is a folder (of a run) and not a scenario file."""
    return path.is_dir()


def read_side(folder: Path) -> Side:
    """Read a run's folder.

    Raises:
        FileNotFoundError: it is not one, or it was made before runs kept their devices.
        ValueError: its files cannot be read.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"expected a run in {folder}, found no {', '.join(missing)}; make one with "
            "`fleetdrill run SCENARIO`"
        )
    try:
        record = _read_record((folder / "record.json").read_bytes())
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(
            f"expected the record of a run in {folder / 'record.json'}, found {error}: run it again"
        ) from error
    resolved: dict[str, str] = json.loads((folder / "scenario.json").read_text())
    return Side(folder, record, from_csv((folder / "devices.csv").read_text()), resolved)


def _read_record(data: bytes) -> RunRecord:
    """A record whose curves may have gaps, which JSON spells as null."""
    plain = msgspec.json.decode(data)
    for series in plain["series"].values():
        for curve in series["values"].values():
            curve[:] = [math.nan if value is None else value for value in curve]
    return msgspec.convert(plain, RunRecord)


def pair(a: Side, b: Side) -> Pair:
    """Put two runs side by side.

    Raises:
        ValueError: other seeds, other lengths, or no device in common.
    """
    if a.record.seed != b.record.seed:
        raise ValueError(
            f"expected runs of one seed, found {a.record.seed} in {a.folder} and {b.record.seed} in "
            f"{b.folder}: other seeds are other luck; run one of them again with --seed, or compare "
            "scenarios over several seeds with --seeds"
        )
    if a.record.virtual_s != b.record.virtual_s:
        raise ValueError(
            f"expected runs of one length, found {a.record.virtual_s:g} s in {a.folder} and "
            f"{b.record.virtual_s:g} s in {b.folder}: give both the same clock.duration or --until"
        )
    there = {row.device: row for row in b.devices}
    rows = [(row, there[row.device]) for row in a.devices if row.device in there]
    if not rows:
        raise ValueError(
            f"expected devices with the same ids, found none in common: {_fleet(a)} in {a.folder}, "
            f"{_fleet(b)} in {b.folder}; name the groups alike"
        )
    return Pair(a, b, [mine for mine, _ in rows], [other for _, other in rows])


def _fleet(side: Side) -> str:
    ids = [row.device for row in side.devices]
    return f"{len(ids)} devices from {ids[0]} to {ids[-1]}" if ids else "no device"
