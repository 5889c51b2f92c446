"""What a sweep has exercised: in how many of its runs each hardship occurred.

Decides how the rows of `sometimes` checks over many records become one table. Leaves out running them
(a sweep) and showing it (whoever asks).

Rules: a run counts for what it looked for and for nothing else, so that a word that only some scenarios
ask for has its own total; a run in which something was not seen is no failure here: a *sweep* has
exercised it when one run has. What nobody looked for is listed, because nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from devicesim.report.record import CheckRow, RunRecord
from devicesim.scenario.checks import SOMETIMES

SEEDS_SHOWN_MAX: Final = 8


class Glimpse(msgspec.Struct, frozen=True):
    """The part of a record that coverage is about; decodes from ``record.json`` and ``verdict.json``."""

    scenario: str
    seed: int
    checks: list[CheckRow] = msgspec.field(default_factory=list)


class Exercised(msgspec.Struct, frozen=True):
    """One hardship over a sweep.

    `seen` of `runs` that looked for it saw it, `times` in all. `seeds` are the first few that saw
    it, `without` the first few that did not; `first_s` is the earliest instant in any run.
    """

    name: str
    runs: int
    seen: int
    times: int
    seeds: list[int]
    without: list[int]
    first_s: float | None = None

    @property
    def share(self) -> float:
        """Part of the runs that saw it, 0 to 1."""
        return self.seen / self.runs if self.runs else 0.0


class Coverage(msgspec.Struct, frozen=True):
    """What a sweep has exercised: rarest first, so that what is missing is read first."""

    runs: int
    rows: list[Exercised]
    never: list[str]
    """Looked for, and in no run seen."""
    unasked: list[str]
    """Words of the language that no run looked for."""

    @property
    def complete(self) -> bool:
        """Whether everything that was looked for was seen at least once."""
        return not self.never


def read_glimpse(text: bytes | str) -> Glimpse:
    """Read a run's ``record.json`` as far as coverage needs it.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(text, type=Glimpse)


def coverage(
    records: Iterable[RunRecord | Glimpse], vocabulary: Collection[str] = tuple(SOMETIMES)
) -> Coverage:
    """Say which hardships occurred in how many runs.

    Args:
        records: of many seeds, of one scenario or several; read once.
        vocabulary: words that one could have looked for.
    """
    runs = 0
    found: dict[str, list[tuple[int, CheckRow]]] = {}
    for record in records:
        runs += 1
        for check in record.checks:
            if check.kind == "sometimes":
                found.setdefault(check.name, []).append((record.seed, check))
    rows = [_exercised(name, sightings) for name, sightings in found.items()]
    rows.sort(key=lambda row: (row.share, row.seen, row.name))
    return Coverage(
        runs=runs,
        rows=rows,
        never=[row.name for row in rows if not row.seen],
        unasked=[word for word in vocabulary if word not in found],
    )


def _exercised(name: str, sightings: list[tuple[int, CheckRow]]) -> Exercised:
    seen = [(seed, check) for seed, check in sightings if check.held]
    instants = [check.at_s for _, check in seen if check.at_s is not None]
    return Exercised(
        name=name,
        runs=len(sightings),
        seen=len(seen),
        times=sum(check.count for _, check in seen),
        seeds=[seed for seed, _ in seen[:SEEDS_SHOWN_MAX]],
        without=[seed for seed, check in sightings if not check.held][:SEEDS_SHOWN_MAX],
        first_s=min(instants, default=None),
    )


def lines(made: Coverage) -> list[str]:
    """Spell it for a terminal, one hardship a line, aligned; rarest first."""
    width = max([len(row.name) for row in made.rows], default=0)
    told = [
        f"{row.name.replace('_', ' '):<{width}}  {row.seen:>5} of {row.runs} runs  {_whose(row)}"
        for row in made.rows
    ]
    if made.unasked:
        told.append(f"nobody looked for: {', '.join(w.replace('_', ' ') for w in made.unasked)}")
    return [line.rstrip() for line in told]


def _whose(row: Exercised) -> str:
    if not row.seen:
        return "never exercised"
    if row.seen == row.runs:
        return ""
    named = ", ".join(str(seed) for seed in row.seeds[:3])
    return f"seed {named}" + (" and more" if row.seen > 3 else "")
