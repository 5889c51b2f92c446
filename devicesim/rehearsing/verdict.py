"""What several runs of one rehearsal say together.

Decides when a rehearsal held, and which sentences tell why it did not. Leaves out running (work.py).

Rules: it held when every seed held every check; a rollout that was not through when its time was up did not.
"""

from __future__ import annotations

from typing import Final

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


def verdict_of(records: list[RunRecord], assumptions: tuple[str, ...]) -> Verdict:
    """The verdict of all seeds."""
    runs = tuple(run_told(record) for record in records[:RUNS_MAX])
    failed = [record for record in records if record.verdict != "passed"]
    devices = records[0].devices
    if not failed:
        why = f"held in {plural(len(runs), 'run')} of {devices} virtual devices"
        return Verdict(outcome=HELD, why=cut(why), runs=runs, assumptions=assumptions)
    worst = failed[0]
    why = f"{len(failed)} of {len(runs)} runs failed; with seed {worst.seed}, {_reason(worst)}"
    return Verdict(
        outcome=FAILED, why=cut(why), story=_story(worst), runs=runs, assumptions=assumptions
    )


def run_told(record: RunRecord) -> RunTold:
    """One seed, for a verdict."""
    rollout = next((one for one in record.rollouts if one.id == ROLLOUT), None)
    failed = [check for check in failed_first(record.checks) if check.held is False]
    return RunTold(
        seed=record.seed,
        held=record.verdict == "passed",
        digest=record.trace_digest,
        state=rollout.state if rollout is not None else "never began",
        why=cut(rollout.why) if rollout is not None else "",
        exposed=sum(wave.exposed for wave in rollout.waves) if rollout is not None else 0,
        devices=record.devices,
        virtual_s=record.virtual_s,
        cpu_s=round(record.cpu_s, 3),
        failed=tuple(_check(check) for check in failed[:CHECKS_MAX]),
        report=f"seed-{record.seed}/{REPORT}",
    )


def _check(check: CheckRow) -> CheckTold:
    return CheckTold(cut(check.name), check.kind, cut(check.story))


def _reason(record: RunRecord) -> str:
    """The shortest true sentence: what stopped the rollout, else the first check that failed."""
    rollout = next((one for one in record.rollouts if one.id == ROLLOUT), None)
    if rollout is None:
        return "the rollout never began"
    if rollout.state == "halted":
        exposed = sum(wave.exposed for wave in rollout.waves)
        return f"the rollout was halted after {plural(exposed, 'device')}: {rollout.why}"
    if rollout.state != "completed":
        return f"the rollout was {rollout.state} when its time was up: {rollout.why or 'no reason'}"
    found = first_failure(record.checks)
    return f"{found.name}: {found.story}" if found is not None else "a check failed"


def _story(record: RunRecord) -> tuple[str, ...]:
    found = first_failure(record.checks)
    told = ten_lines(record)
    if found is not None and found.explanation:
        told = [told[0], *found.explanation]
    return tuple(cut(line) for line in told[:STORY_LINES_MAX])
