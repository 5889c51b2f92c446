"""A dry run: what a plan would do now, device by device, without creating anything.

Decides who would come in which wave, who would wait and for what, and who is left out and why. Leaves out what comes of
it: that takes a rehearsal.

Rules: it goes by the same order, windows and budgets as a rollout does, so that a plan created in the same instant
offers exactly what was said; nothing is changed; all devices are looked at, as creating the rollout would.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.control import strata
from gateway.core.control.catalog import Catalog
from gateway.core.control.members import Members, Rollout
from gateway.core.control.planning import covers, selects
from gateway.core.control.rollouts import Rollouts
from gateway.core.control.twins import Twin, Twins
from gateway.core.rows import Phase, RolloutRow
from gateway.core.stimuli import RolloutPlan

NO_WAVE: Final = -1
AT_ONCE: Final = "at once"


class WavePreview(msgspec.Struct, frozen=True):
    """One wave that would have devices in it."""

    index: int
    """Into the plan's shares."""
    share: float
    size: int
    approval: bool
    """Whether it would wait for somebody to approve."""
    at_once: int = 0
    """Devices that would be offered it in the first moment; only the first wave has any."""
    waiting: dict[str, int] = {}
    """Devices of the first wave that would wait, by what for: window, zone or budget."""


class DevicePreview(msgspec.Struct, frozen=True):
    """One device."""

    id: str
    wave: int
    """Index into the plan's shares; -1: left out."""
    why: str
    """Why it is left out or would wait; of later waves nothing, because nobody knows yet."""


class Preview(msgspec.Struct, frozen=True):
    """What a plan would do now."""

    refusal: str
    """Why it would be refused, or would wait for its bundle; empty: it would run."""
    starts_at_ns: int
    """UTC."""
    ends: tuple[str, ...]
    """Rollouts that it would supersede."""
    waves: tuple[WavePreview, ...]
    left_out: dict[str, int]
    """Devices that it is not for, by the reason."""
    devices: tuple[DevicePreview, ...]
    """A page of all devices, in the order of their ids."""
    next: str | None
    """The id after which the next page begins; None: this is the last one."""


class Previews:
    """Looks at plans."""

    __slots__ = ("_catalog", "_members", "_rollouts", "_twins")

    def __init__(
        self, twins: Twins, catalog: Catalog, members: Members, rollouts: Rollouts
    ) -> None:
        self._twins, self._catalog = twins, catalog
        self._members, self._rollouts = members, rollouts

    def of(self, plan: RolloutPlan, at: int, after: str = "", limit: int = 100) -> Preview:
        """What a plan would do if it were created at an instant (UTC, ns).

        Args:
            plan: of a rollout.
            at: the instant.
            after: of the devices, only those with a later id.
            limit: so many devices at most.
        """
        starts_ns = at if plan.pace is None else max(at, plan.pace.start_at_ns)
        refusal = self._rollouts.refusal(plan)
        bundle = self._catalog.by_name.get(plan.bundle)
        if not refusal and bundle is None:
            refusal = self._catalog.unpublished(plan.bundle)
        if refusal:
            return Preview(refusal, starts_ns, (), (), {}, (), None)
        row = RolloutRow(
            plan, 1 + self._newest(), Phase.WAITING, "", bundle.digest if bundle else b""
        )
        rollout = Rollout(row, {})
        rollout.bundle = bundle
        found, waves = self._waves(rollout, starts_ns)
        left_out: dict[str, int] = {}
        for name, twin in self._twins.by_name.items():
            if name not in found:
                found[name] = DevicePreview(name, NO_WAVE, self._why_not(rollout, twin))
                kind = found[name].why
                left_out[kind] = left_out.get(kind, 0) + 1
        names = sorted(name for name in found if name > after)
        page = tuple(found[name] for name in names[:limit])
        ends = tuple(r.name for r in self._members.by_name.values() if self._ends(plan, r))
        more = page[-1].id if len(names) > limit else None
        refusal = "" if waves else "no enrolled device is selected and fits"
        return Preview(refusal, starts_ns, ends, waves, left_out, page, more)

    def _newest(self) -> int:
        return max((r.row.ordinal for r in self._members.by_name.values()), default=0)

    def _ends(self, plan: RolloutPlan, other: Rollout) -> bool:
        return not other.row.phase.ended and covers(plan, other.plan)

    def _waves(
        self, rollout: Rollout, at: int
    ) -> tuple[dict[str, DevicePreview], tuple[WavePreview, ...]]:
        plan, pace = rollout.plan, rollout.plan.pace
        _, order = self._rollouts.population.order(rollout)
        found: dict[str, DevicePreview] = {}
        waves: list[WavePreview] = []
        for index, share in enumerate(plan.waves):
            size = strata.cap(share, len(order)) - len(found) if order else 0
            if size <= 0:
                continue
            names = order[len(found) : len(found) + size]
            first = not waves
            approval = pace is not None and index in pace.approvals
            wave = WavePreview(index, share, size, approval)
            if first:
                mine, waiting = self._first(rollout, index, names, at)
                found.update(mine)
                wave = WavePreview(
                    index, share, size, approval, size - sum(waiting.values()), waiting
                )
            else:
                found.update({name: DevicePreview(name, index, "") for name in names})
            waves.append(wave)
        return found, tuple(waves)

    def _first(
        self, rollout: Rollout, index: int, names: list[str], at: int
    ) -> tuple[dict[str, DevicePreview], dict[str, int]]:
        """The first wave: who would be offered it at once, and what the others would wait for."""
        pace = rollout.plan.pace
        if pace is None:
            return {name: DevicePreview(name, index, AT_ONCE) for name in names}, {}
        look = self._rollouts.pacing.look(pace, at)
        found: dict[str, DevicePreview] = {}
        waiting: dict[str, int] = {}
        for name in names:
            twin = self._twins.by_name[name]
            verdict = look.verdict(twin)
            if verdict.kind:
                waiting[verdict.kind] = waiting.get(verdict.kind, 0) + 1
            else:
                look.take(twin)
            found[name] = DevicePreview(name, index, verdict.why or AT_ONCE)
        return found, waiting

    def _why_not(self, rollout: Rollout, twin: Twin) -> str:
        """Why a device is no member."""
        if not twin.device.enrolled:
            return "it is not enrolled"
        if not selects(rollout.plan, twin):
            labels = twin.device.labels
            for key, value in rollout.plan.selector:
                if labels.get(key) != value:
                    return f"its label {key} is not {value}"
        if rollout.row.manifest in twin.device.quarantine:
            return "the bundle is in quarantine for it"
        return "no variant fits its hardware or its runtime"
