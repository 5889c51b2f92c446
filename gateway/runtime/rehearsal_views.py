"""Rehearsals as people are told of them.

Decides names, and what is said of one that may not count any more. Leaves out everything that is done.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.rehearsals.book import RUNS, RehearsalRow
from gateway.core.rehearsals.job import Step, Verdict


class RehearsalHead(msgspec.Struct, frozen=True, kw_only=True):
    """One rehearsal in a list. Instants are UTC, ms; 0: not yet."""

    number: int
    rollout: str
    """Id of the plan."""
    bundle: str
    state: str
    """waits, runs, held, failed, refused, lost, broken or cancelled."""
    why: str
    asked_by: str
    asked_ms: int
    began_ms: int
    ended_ms: int
    share: float
    """How much of it is done, about."""
    doing: str


class RehearsalTold(RehearsalHead, frozen=True, kw_only=True):
    """One rehearsal with its verdict."""

    plan: dict[str, Any]
    """What was rehearsed, as the gateway has it."""
    plan_digest: str
    bundle_digest: str
    seeds: tuple[int, ...]
    verdict: Verdict | None
    stale: str
    """What has changed since it was asked for; empty: nothing that is known."""


class RehearsalsTold(msgspec.Struct, frozen=True):
    """Rehearsals that are kept, the newest first."""

    gate: str
    """Whether rollouts must be rehearsed: off, advised or required."""
    able: bool
    """Whether anything can be rehearsed here."""
    rehearsals: list[RehearsalHead]


def head_of(row: RehearsalRow, step: Step) -> RehearsalHead:
    """For a list."""
    return RehearsalHead(**_head(row, step))


def _head(row: RehearsalRow, step: Step) -> dict[str, Any]:
    runs = row.state == RUNS
    same = (
        "number",
        "rollout",
        "bundle",
        "state",
        "why",
        "asked_by",
        "asked_ms",
        "began_ms",
        "ended_ms",
    )
    return {
        **{name: getattr(row, name) for name in same},
        "share": step.share if runs else float(bool(row.ended_ms)),
        "doing": step.doing if runs else "",
    }


def told_of(
    row: RehearsalRow, step: Step, known_devices: int, *, another: bool = False
) -> RehearsalTold:
    """With its verdict.

    Args:
        row: as it is kept.
        step: how far the one that runs is.
        known_devices: how many the registry knows now.
        another: the rollout of that id has another plan than was rehearsed.
    """
    verdict = msgspec.json.decode(row.verdict, type=Verdict) if row.verdict else None
    changed = known_devices - row.known_devices
    stale = []
    if another:
        stale.append("the rollout was created with another plan")
    if changed:
        more = "more" if changed > 0 else "fewer"
        stale.append(f"the registry knows {abs(changed)} devices {more}")
    return RehearsalTold(
        **_head(row, step),
        plan=msgspec.json.decode(row.plan),
        plan_digest=row.plan_digest.hex(),
        bundle_digest=row.bundle_digest.hex(),
        seeds=row.seeds,
        verdict=verdict,
        stale=" and ".join(stale),
    )
