"""Runs that can be looked at in the console: what a run's folder says, and how far a run that goes on has come.

Decides which folders these are, and whether what is there is still what was run. Leaves out running it again (take.py).

Rules: a run is looked at by running it again, so it must be one that repeats: in virtual time, of a scenario that has not
changed. Another version of the program may make another run of it: that is told (`Run.changed`), and the digest at its
end settles it.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from devicesdk.wire.timebase import SECOND
from devicesim.rehearse import open_scenario
from devicesim.report.record import Band, CheckRow, Venue
from devicesim.rundir import RUNNING_FILE, code_digest
from devicesim.scenario import ScenarioError
from devicesim.scenario.schema import Scenario
from devicesim.scenario.texts import digest_of
from devicesim.stock import read_texts, stock_for
from devicesim.world.assemble import Stock
from devicesim.world.trace import ROW_INTS

READ_BYTES: Final = 1 << 20
HINT: Final = "make one with `fleetdrill run SCENARIO`"


class Kept(msgspec.Struct, kw_only=True):
    """What is read of ``record.json``."""

    scenario: str
    seed: int
    verdict: str
    virtual_s: float
    devices: int = 0
    trace_digest: str = ""
    scenario_digest: str = ""
    venue: Venue = Venue()
    checks: list[CheckRow] = []
    bands: list[Band] = []


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what it takes to run it again, and what came of it."""

    folder: Path
    file: Path
    scenario: Scenario
    stock: Stock
    seed: int
    overrides: tuple[str, ...]
    end_ns: int
    """Where it ended, or will."""
    kept: Kept | None
    """None: it has not ended."""
    changed: str
    """What is not as it was when the run was made; empty: nothing."""

    @property
    def start_ms(self) -> int:
        """UTC at its first instant."""
        return self.scenario.clock.start_unix_ns // 1_000_000


def open_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        FileNotFoundError: it is none, or its scenario is not there.
        ValueError: it does not repeat, or its scenario has changed.
        ScenarioError: its scenario is not valid any more.
    """
    kept = read_kept(folder)
    said = _manifest(folder, RUNNING_FILE if kept is None else "manifest.json")
    if kept is not None and kept.venue.mode != "virtual":
        raise ValueError(
            f"expected a run in virtual time in {folder}, found one of the mode {kept.venue.mode}, which does not "
            f"repeat: look at {folder / 'report.html'}"
        )
    file = Path(said["scenario"])
    if not file.is_file():
        raise FileNotFoundError(
            f"expected the scenario {file} of {folder}, found none: run this where the run was made"
        )
    expected = said["scenario_digest"] if kept is None else kept.scenario_digest
    if _digest(file) != expected:
        raise ValueError(
            f"expected {file} as it was when {folder} was made, found that it (or one that it extends) has "
            "changed: make the run anew with `fleetdrill run`"
        )
    overrides = tuple(said["overrides"])
    scenario = open_scenario(file, overrides)
    until = said.get("until_ns")
    end = scenario.clock.duration_ns if until is None else min(until, scenario.clock.duration_ns)
    return Run(
        folder=folder,
        file=file,
        scenario=scenario,
        stock=stock_for(scenario, file),
        seed=int(said["seed"]),
        overrides=overrides,
        end_ns=end if kept is None else round(kept.virtual_s * SECOND),
        kept=kept,
        changed=_changed(said) if kept is not None else "",
    )


def read_kept(folder: Path) -> Kept | None:
    """The record of a run; None: it has not ended.

    Raises:
        FileNotFoundError: the folder is not that of a run.
        ValueError: the record cannot be read.
    """
    path = folder / "record.json"
    if path.is_file():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Kept)
        except msgspec.MsgspecError as error:
            raise ValueError(
                f"expected the record of a run in {path}, found {error}: make the run anew"
            ) from error
    if not (folder / RUNNING_FILE).is_file():
        raise FileNotFoundError(
            f"expected a run in {folder}, found neither record.json nor {RUNNING_FILE}; {HINT}"
        )
    return None


def _manifest(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"expected a run in {folder}, found no {name}; {HINT}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _changed(manifest: dict[str, Any]) -> str:
    same = manifest.get("code") == code_digest()
    return "" if same else "the program has changed since"


def _digest(file: Path) -> str:
    try:
        return digest_of(*read_texts(file))
    except (ScenarioError, UnicodeDecodeError):
        return ""


class Growth:
    """How far a run has come that goes on: the instant of the last row that is in its ``trace.bin``.

    Args:
        run: which.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._unpacker = zlib.decompressobj()
        self._rest = b""
        self._read = 0
        self.reach_ns = 0 if run.kept is None else run.end_ns
        self.kept = run.kept
        self.alive = True
        """Whether the process that makes the run is there still."""

    def look(self) -> None:
        """Read what is new; bounded work, so that a long trace takes several looks."""
        if self.kept is not None:
            return
        folder = self._run.folder
        if (folder / "record.json").is_file() and not (folder / RUNNING_FILE).is_file():
            self.kept = read_kept(folder)
            self.reach_ns = self._run.end_ns
            return
        self.alive = _lives(folder)
        trace = folder / "trace.bin"
        if not trace.is_file():
            return
        with trace.open("rb") as file:
            file.seek(self._read)
            packed = file.read(READ_BYTES)
        self._read += len(packed)
        data = self._rest + self._unpacker.decompress(packed)
        whole = len(data) - len(data) % (8 * ROW_INTS)
        self._rest = data[whole:]
        if whole:
            rows = np.frombuffer(data[:whole], dtype=np.int64).reshape(-1, ROW_INTS)
            self.reach_ns = min(int(rows[-1, 0]), self._run.end_ns)


def _lives(folder: Path) -> bool:
    """Whether the process that announced a run is there."""
    try:
        pid = int(_manifest(folder, RUNNING_FILE)["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return Path(f"/proc/{pid}").exists() or not Path("/proc/self").exists()
