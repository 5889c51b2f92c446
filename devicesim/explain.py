"""Explain failed checks: what was expected, when it went wrong, and what led to it, in ten lines.

Decides when a run is worth running again with its causes known (`devicesim.world.causes`), and how what
that finds becomes the ten lines of a check. Leaves out the finding itself (`world/causes/inquiry.py`) and
the words of single moments (`report/causes.py`).

Rules: a check that failed always has an explanation: without a second run it is made of what the recorder
kept. Whether there is a second run depends on the run, never on the machine, so that the same run has the
same record: at most `EVENTS_MAX` events to repeat, in virtual time only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.wire.timebase import MS, SECOND, to_seconds
from devicesim.report.causes import Names, actor_names, instant, lines, sentence, told
from devicesim.report.figures import count, plural
from devicesim.report.record import (
    EXPLANATION_LINES_MAX,
    CheckRow,
    Lane,
    LaneMark,
    RunRecord,
)
from devicesim.scenario.document import Document, UnreadableError, read_document
from devicesim.scenario.schema import Scenario
from devicesim.world.assemble import Stock, assemble
from devicesim.world.causes.book import Moment
from devicesim.world.causes.eyes import CausalStage
from devicesim.world.causes.inquiry import Finding, InForce, Inquiry, Question
from devicesim.world.causes.kernel import CausalKernel
from devicesim.world.drill import Drill

EVENTS_MAX: Final = 500_000
"""Events that are repeated without being asked to: less than half a minute on one core."""
CULPRITS_SHOWN: Final = 3
IN_FORCE_SHOWN: Final = 2
OURS: Final = ("gateway", "broker")


class Again(msgspec.Struct, frozen=True):
    """What it takes to run a run again."""

    scenario: Scenario
    file: Path
    stock: Stock
    seed: int

    def build(self, kernel: CausalKernel, stage: CausalStage) -> Drill:
        """Make its drill."""
        return Drill(
            assemble(self.scenario, self.stock, seed=self.seed, kernel=kernel, stage=stage)
        )


def questions_of(record: RunRecord) -> list[Question]:
    """What there is to find out about a run; checks stand in the record in the order of the drill."""
    return [
        Question(place, _instant_of(row, record), row.culprits)
        for place, row in enumerate(record.checks)
        if row.held is False and row.kind != "sometimes"
    ]


def worth_it(record: RunRecord) -> bool:
    """Whether a run is run again without being asked to."""
    asked = questions_of(record)
    if not asked or record.venue.mode != "virtual":
        return False
    share = max(one.at_ns for one in asked) / max(1.0, record.virtual_s * SECOND)
    return record.events * share <= EVENTS_MAX


def explain(
    record: RunRecord, again: Again, pulse: Callable[[int], None] | None = None
) -> RunRecord:
    """Run again and fill in the explanations of the checks that failed.

    Args:
        record: of the run, which has ended.
        again: the same run.
        pulse: called with the virtual instant now and then.

    Raises:
        RuntimeError: the second run was another one: determinism is broken, or the code has changed.
    """
    asked = questions_of(record)
    if not asked:
        return record
    inquiry = Inquiry(again.build, asked)
    end = round(record.virtual_s * SECOND)
    until = min(end, max(one.at_ns for one in asked) + MS)
    digest = inquiry.run(until, pulse)
    if until == end and digest != record.trace_digest:
        raise RuntimeError(
            f"expected the run again, with trace {record.trace_digest}, found {digest}: is the code the "
            "same? make the run anew with `fleetdrill run`"
        )
    names = names_of(again, [host.device for host in inquiry.world.hosts])
    rows = list(record.checks)
    for question, found in zip(asked, inquiry.findings(), strict=True):
        if found is not None:
            rows[question.place] = _explained(rows[question.place], found, names, record)
    return msgspec.structs.replace(record, checks=rows)


def names_of(again: Again, devices: list[str]) -> Names:
    """The words for one run: devices by index, actions and plans with their lines in the file."""
    try:
        document: Document | None = read_document(again.file.read_text())[0]
    except (OSError, UnreadableError):
        document = None
    scenario = again.scenario

    def where(section: str, place: int) -> str:
        line = document.place((section, place))[0] if document is not None else 0
        return f" ({again.file.name}:{line})" if line else ""

    def action(key: str, at_ns: int) -> str:
        mine = [(n, one) for n, one in enumerate(scenario.timeline) if one.key == key]
        if not mine:
            return key
        place, one = next((pair for pair in mine if pair[1].at_ns == at_ns), mine[0])
        name = one.verb if one.key == one.verb else f"{one.key} ({one.verb})"
        return name + where("timeline", place)

    def plan(name: str) -> str:
        for section in ("rollouts", "experiments"):
            ids = [one.id for one in getattr(scenario, section)]
            if name in ids:
                return where(section, ids.index(name))
        return ""

    return Names(actor_names(devices), action, plan)


def _instant_of(row: CheckRow, record: RunRecord) -> int:
    """When a check was judged, ns; it may have been wrong for longer."""
    at_s = record.virtual_s if row.at_s is None else row.at_s
    return round(at_s * SECOND)


# -- ten lines ------------------------------------------------------------------------------------


def _explained(row: CheckRow, found: Finding, names: Names, record: RunRecord) -> CheckRow:
    """A row with its explanation; it also knows more exactly since when it was broken."""
    known = row.first_bad_ns
    first_ns = found.first_ns if known is None else min(known, found.first_ns)
    head = [_expected(row), _when(row, found, first_ns, record)]
    tail = _in_force(found.in_force, names)
    story = told(found.chain, names)
    room = EXPLANATION_LINES_MAX - len(head) - len(tail)
    body = lines(story, room) if story else ["What led to it has left no trace of its own."]
    return msgspec.structs.replace(
        row,
        first_bad_ns=first_ns,
        culprits=found.culprits,
        explanation=[*head, *body, *tail],
        lanes=[_lane(name, moments, names) for name, moments in found.lanes.items()],
    )


def _expected(row: CheckRow) -> str:
    """The first failure in a sentence."""
    text = row.story or "Expected it to hold, found that it did not"
    return text[0].upper() + text[1:] if row.story.startswith("expected") else text


def _when(row: CheckRow, found: Finding, first_ns: int, record: RunRecord) -> str:
    """Since when, and who."""
    judged = _instant_of(row, record)
    text = f"First bad at {instant(first_ns)}"
    if judged - first_ns >= SECOND:
        text += f", known at {instant(judged)}"
    who = _who(row, found)
    return f"{text}{who}."


def _who(row: CheckRow, found: Finding) -> str:
    culprits = found.culprits
    if not culprits:
        return ""
    shown = ", ".join(culprits[:CULPRITS_SHOWN])
    more = max(row.blamed, len(culprits)) - min(len(culprits), CULPRITS_SHOWN)
    text = f", {'at the' if culprits[0] in OURS else 'on'} {shown}" + (
        f" and {count(more)} more" if more > 0 else ""
    )
    if found.looked > 1 and found.subject:
        same = (
            "all"
            if found.alike == found.looked
            else f"{count(found.alike)} of {count(found.looked)}"
        )
        text += f"; {same} looked at went the way of {found.subject}"
    return text


def _in_force(faults: list[InForce], names: Names) -> list[str]:
    if not faults:
        return []
    told_of = [
        f"{names.action(one.key, one.since_ns)} since {instant(one.since_ns)}"
        + (f" on {plural(one.devices, 'device')}" if one.devices else "")
        for one in faults[-IN_FORCE_SHOWN:]
    ]
    return [f"In force then: {'; '.join(told_of)}."]


def _lane(name: str, moments: list[Moment], names: Names) -> Lane:
    marks = [LaneMark(to_seconds(one.at_ns), one.kind, sentence(one, names)) for one in moments]
    return Lane(name, marks)
