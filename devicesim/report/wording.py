"""The sentences that the page, the terminal and the test report share.

Decides how a verdict reads in plain words, so that nobody has to know our vocabulary to learn
whether the rehearsal went well and what broke first. Leaves out layout.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from devicesim.report.figures import Clock, count, duration, elapsed, plural
from devicesim.report.record import (
    CHECK_KINDS,
    CheckKind,
    CheckRow,
    RunRecord,
    Venue,
    broke_s,
    first_failure,
)
from devicesim.world.ledger import DropCause

KIND_MEANS: Final[dict[CheckKind, str]] = {
    "always": "at every step",
    "eventually": "in time after an action",
    "sometimes": "exercised at least once",
    "finally": "at the end",
    "slo": "service level",
}
HELD_SHARE_MAX: Final = 0.2
"""Of a run's real time; where a clock stood for longer its durations are not what a device lives through."""
_METRIC: Final = re.compile(r"[a-z]\.[a-z]")
_CAUSES: Final = {cause.value: cause.sentence for cause in DropCause}


class Tally(msgspec.Struct, frozen=True):
    """How many checks of one kind, or of all, came out which way."""

    total: int
    held: int
    failed: int
    open: int


def tally(checks: list[CheckRow]) -> Tally:
    """Count checks by outcome; `open` are those that were not judged or not exercised."""
    held = sum(check.held is True for check in checks)
    failed = sum(check.held is False for check in checks)
    return Tally(len(checks), held, failed, len(checks) - held - failed)


def tally_by_kind(checks: list[CheckRow]) -> dict[CheckKind, Tally]:
    """Count checks for each kind that the run had, in the order in which kinds are explained."""
    rows = {kind: [check for check in checks if check.kind == kind] for kind in CHECK_KINDS}
    return {kind: tally(found) for kind, found in rows.items() if found}


def verdict_line(record: RunRecord) -> str:
    """Say in one line how the rehearsal went."""
    counts = tally(record.checks)
    if record.verdict == "passed":
        if not counts.total:
            return "Passed, but nothing was checked."
        opened = f"; {count(counts.open)} not exercised" if counts.open else ""
        return f"Held: {count(counts.held)} of {plural(counts.total, 'check')}{opened}."
    if not counts.failed:
        return "Failed, though no single check did."
    return f"Failed: {count(counts.failed)} of {plural(counts.total, 'check')} did not hold."


def verdict_detail(record: RunRecord) -> str:
    """Say what the run was, or which check broke first, when, and why."""
    failed = first_failure(record.checks)
    if failed is None:
        return (
            f"{plural(record.devices, 'device')} lived through {duration(record.virtual_s)} "
            f"in {duration(record.wall_s)}."
        )
    clock = Clock(record.clock_start, record.virtual_s)
    earliest = min(map(broke_s, (row for row in record.checks if row.held is False)))
    of = "" if broke_s(failed) <= earliest else " of its own checks"
    when = "at the end of the run"
    if failed.at_s is not None:
        when = f"at {clock.at(failed.at_s)}, {duration(failed.at_s)} into the run"
    return f"First{of} to break: {spaced(failed.name)}, {when}."


def overrides_line(record: RunRecord) -> str:
    """Say what was changed for this run, which title and description know nothing of; empty: nothing."""
    if not record.overrides:
        return ""
    changed = ", ".join(record.overrides)
    return f"Run with {changed}: the words above are those of the whole scenario."


def check_count(check: CheckRow) -> str:
    """Say how often a check was judged or seen; empty when nothing was counted."""
    if not check.count:
        return "not seen" if check.kind == "sometimes" and not check.held else ""
    return f"{'seen' if check.kind == 'sometimes' else 'judged'} {count(check.count)} x"


def check_story(check: CheckRow, clock: Clock) -> str:
    """Tell one check as text: what it is, when it broke, why."""
    outcome = {True: "held", False: "did not hold", None: "was not exercised"}[check.held]
    when = ""
    if check.at_s is not None:
        verb = "first seen" if check.kind == "sometimes" and check.held else "first"
        when = f", {verb} at {clock.at(check.at_s)} ({elapsed(check.at_s)})"
    told = f": {check.story}" if check.story else ""
    return f"{spaced(check.name)} ({check.kind}) {outcome}{when}{told}"


def cause_sentence(cause: str) -> str:
    """Explain a cause of loss; a cause that the ledger does not know explains itself."""
    return _CAUSES.get(cause, "")


def spaced(name: str) -> str:
    """Turn a name of ours into words: ``no_false_success`` reads ``no false success``.

    What a user wrote, an expression over metrics, stays as it is.
    """
    return name if _METRIC.search(name) else name.replace("_", " ")


def venue_sentence(venue: Venue) -> str:
    """`venue_line` as a sentence."""
    line = venue_line(venue)
    return f"{line[0].upper()}{line[1:]}." if line else ""


def venue_line(venue: Venue) -> str:
    """Where a run took place; nothing of virtual time, which is the rule."""
    if venue.mode == "virtual":
        return ""
    pace = f"{venue.speed:g} times the wall clock"
    lag = f", up to {duration(venue.lag_s)} behind" if venue.lag_s >= 1 else ""
    if venue.held_s >= venue.speed:  # a second of somebody's life
        lag += f", held for {duration(venue.held_s)} in all while the machine was late"
    lacks = f"; it lacks {', '.join(venue.lacks)}" if venue.lacks else ""
    late = f"; durations are judged with {duration(venue.tolerance_s)} more"
    if venue.held_share > HELD_SHARE_MAX:
        late += (
            f", on a clock that was held for {100 * venue.held_share:.0f} % of the run's real time: "
            "a slower speed would be honest"
        )
    return f"real time, {pace}{lag}{late}; {venue.broker}{lacks}"
