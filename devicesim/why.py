"""Why a run failed, from its folder: the explanation of a check, and when a culprit went wrong.

Decides which check is meant and whether the run has to be run again to explain it (it was too large to be
explained at once, or somebody said ``--no-explain``). Leaves out the explanation (`devicesim.explain`) and the
stories of single devices (`devicesim.retell`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from devicesim.explain import Again, explain
from devicesim.rehearse import open_scenario
from devicesim.report.record import CheckRow, RunRecord, Venue, failed_first
from devicesim.rundir import code_digest
from devicesim.scenario import ScenarioError
from devicesim.scenario.texts import digest_of
from devicesim.stock import read_texts, stock_for


class Kept(msgspec.Struct):
    """What is read of a run's ``record.json``."""

    scenario: str
    seed: int
    checks: list[CheckRow]
    trace_digest: str = ""
    scenario_digest: str = ""
    virtual_s: float = 0.0
    events: int = 0
    venue: Venue = Venue()

    @property
    def failed(self) -> list[CheckRow]:
        """The checks that failed, in reading order."""
        return [row for row in failed_first(self.checks) if row.held is False]


def read_kept(folder: Path) -> Kept:
    """Read what is kept of a run.

    Raises:
        FileNotFoundError: not a run; says how to make one.
    """
    path = folder / "record.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a run in {folder}, found no record.json; make one with `fleetdrill run SCENARIO`"
        )
    return msgspec.json.decode(path.read_bytes(), type=Kept)


def why(
    folder: Path,
    check: str | None = None,
    *,
    again: bool = True,
    pulse: Callable[[int], None] | None = None,
) -> list[str]:
    """Explain one failed check, the first in reading order unless another is named.

    Args:
        folder: of the run.
        check: its name as the report has it, or the beginning of it.
        again: run it again if that is what it takes.
        pulse: called with the virtual instant now and then while it runs again.

    Raises:
        FileNotFoundError: not a run.
        ValueError: no such check has failed.
    """
    kept = read_kept(folder)
    if not kept.failed and check is None:
        return [f"All checks of {kept.scenario} held: there is nothing to explain."]
    row = _named(kept, check)
    notes: list[str] = []
    if again and not row.lanes and row.kind != "sometimes" and kept.venue.mode == "virtual":
        row, notes = _again(folder, kept, row, pulse)
    others = [one.name for one in kept.failed if one.name != row.name]
    rest = [f"Also failed: {'; '.join(others)} (`--check NAME` explains one)."] if others else []
    return [f"{row.name} ({row.kind}) did not hold.", *row.explanation, *notes, *rest]


def first_bad(folder: Path, culprit: str) -> int | None:
    """The first instant (ns) at which a check failed by this culprit's doing; None: it is none."""
    if not (folder / "record.json").is_file():
        return None
    mine = [row for row in read_kept(folder).failed if culprit in row.culprits]
    return min((row.first_bad_ns for row in mine if row.first_bad_ns is not None), default=None)


def _named(kept: Kept, check: str | None) -> CheckRow:
    if check is None:
        return kept.failed[0]
    wanted = check.replace(" ", "_")
    for row in kept.failed:
        if row.name.replace(" ", "_").startswith(wanted):
            return row
    names = [row.name for row in kept.failed]
    near = get_close_matches(check, names, n=1)
    hint = (
        f"; did you mean {near[0]}?" if near else f"; those that did: {'; '.join(names) or 'none'}"
    )
    raise ValueError(f"expected a check that failed, found {check!r}{hint}")


def _again(
    folder: Path, kept: Kept, row: CheckRow, pulse: Callable[[int], None] | None
) -> tuple[CheckRow, list[str]]:
    """Run again, if it is the same run still; else say why its causes stay unknown."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    file = Path(manifest["scenario"])
    changed = _changed(kept, manifest, file)
    if changed:
        return row, [f"What led to it is not known: {changed} Make the run anew to learn it."]
    scenario = open_scenario(file, tuple(manifest["overrides"]))
    record = RunRecord(
        scenario=kept.scenario, seed=kept.seed, verdict="failed", trace_digest=kept.trace_digest,
        virtual_s=kept.virtual_s, events=kept.events, checks=kept.checks,
    )  # fmt: skip
    told = explain(record, Again(scenario, file, stock_for(scenario, file), kept.seed), pulse)
    found = next(one for one in told.checks if (one.name, one.kind) == (row.name, row.kind))
    return found, []


def _changed(kept: Kept, manifest: dict[str, Any], file: Path) -> str:
    """What is not as it was when the run was made; empty: nothing."""
    if not file.is_file():
        return f"its scenario {file} is not there any more."
    try:
        digest = digest_of(*read_texts(file))
    except (ScenarioError, UnicodeDecodeError):
        digest = ""
    if digest != kept.scenario_digest:
        return f"its scenario {file}, or one that it extends, has changed since."
    if manifest.get("code") != code_digest():
        return "the program has changed since."
    return ""
