"""What several runs of one rehearsal say together.

Decides when a rehearsal held, and which sentences tell why it did not. Leaves out running (work.py).

Rules: it held when every seed held every check, and read as well as what it replaces (truth.py); a rollout that was not through when its time was up did not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesim.rehearsing.compose import ROLLOUT
from devicesim.report.figures import plural
from devicesim.report.record import CheckRow, RunRecord, failed_first, first_failure
from devicesim.report.ten_lines import ten_lines
from gateway.core.rehearsals.job import (
    CHECKS_MAX,
    FAILED,
    HELD,
    RUNS_MAX,
    STORY_LINES_MAX,
    CheckTold,
    RunTold,
    Verdict,
    cut,
)

REPORT: Final = "report.html"


class Ran(msgspec.Struct, frozen=True):
    """One seed: its record, and what its record does not know."""

    record: RunRecord
    worse: CheckTold | None = None
    """What is wrong with the candidate's readings."""

    @property
    def held(self) -> bool:
        """Whether everything held."""
        return self.record.verdict == "passed" and self.worse is None


def verdict_of(ran: list[Ran], assumptions: tuple[str, ...]) -> Verdict:
    """The verdict of all seeds."""
    runs = tuple(run_told(one) for one in ran[:RUNS_MAX])
    failed = [one for one in ran if not one.held]
    devices = ran[0].record.devices
    if not failed:
        why = f"held in {plural(len(runs), 'run')} of {devices} virtual devices"
        return Verdict(outcome=HELD, why=cut(why), runs=runs, assumptions=assumptions)
    worst = failed[0]
    why = (
        f"{len(failed)} of {len(runs)} runs failed; with seed {worst.record.seed}, {_reason(worst)}"
    )
    return Verdict(
        outcome=FAILED, why=cut(why), story=_story(worst), runs=runs, assumptions=assumptions
    )


def run_told(ran: Ran) -> RunTold:
    """One seed, for a verdict."""
    record = ran.record
    rollout = next((one for one in record.rollouts if one.id == ROLLOUT), None)
    failed = [_check(check) for check in failed_first(record.checks) if check.held is False]
    if ran.worse is not None:
        failed.insert(0, ran.worse)
    return RunTold(
        seed=record.seed,
        held=ran.held,
        digest=record.trace_digest,
        state=rollout.state if rollout is not None else "never began",
        why=cut(rollout.why) if rollout is not None else "",
        exposed=sum(wave.exposed for wave in rollout.waves) if rollout is not None else 0,
        devices=record.devices,
        virtual_s=record.virtual_s,
        cpu_s=round(record.cpu_s, 3),
        failed=tuple(failed[:CHECKS_MAX]),
        report=f"seed-{record.seed}/{REPORT}",
    )


def _check(check: CheckRow) -> CheckTold:
    return CheckTold(cut(check.name), check.kind, cut(check.story))


def _reason(ran: Ran) -> str:
    """The shortest true sentence: what stopped the rollout, else the first check that failed."""
    record = ran.record
    rollout = next((one for one in record.rollouts if one.id == ROLLOUT), None)
    if rollout is None:
        return "the rollout never began"
    if rollout.state == "halted":
        exposed = sum(wave.exposed for wave in rollout.waves)
        return f"the rollout was halted after {plural(exposed, 'device')}: {rollout.why}"
    if rollout.state != "completed":
        return f"the rollout was {rollout.state} when its time was up: {rollout.why or 'no reason'}"
    if ran.worse is not None:
        return ran.worse.story
    found = first_failure(record.checks)
    return f"{found.name}: {found.story}" if found is not None else "a check failed"


def _story(ran: Ran) -> tuple[str, ...]:
    record = ran.record
    found = first_failure(record.checks)
    told = ten_lines(record)
    if found is None and ran.worse is not None:
        told = [
            "Failed: all checks of the run held, and its readings are wrong.",
            ran.worse.story,
            "Its kit passed and no gate saw it: only a rehearsal knows what the devices were shown.",
        ]
    if found is not None and found.explanation:
        told = [told[0], *found.explanation]
    return tuple(cut(line) for line in told[:STORY_LINES_MAX])
