"""The gateway core: machines that share nothing, and the router between them.

Decides which machine hears what. Leaves out everything else: control (twins, rollouts, flags),
transfers (chunks), collect (telemetry), offload (asks), experiments and, where they are wanted, alarms each
decide for themselves, and the host performs effects. What alarms look at is gathered in conditions.py.

Rules: what the machines say to each other is carried within the batch in which it was said, so a
batch is complete when `handle` returns; a batch's rows must be durable before its other effects are
performed and before the inbound message is acknowledged; of telemetry, before a group of messages is
acknowledged the rows of `checkpoint` must be durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from devicesdk.bundle.trust import Signer
from devicesdk.wire import topics
from devicesdk.wire.hardship import CALM, Hardship
from gateway.core import internal, rows
from gateway.core.alarms import rows as alarms_rows
from gateway.core.alarms.alarms import Alarms
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.views import AlarmView
from gateway.core.collect import rows as collect_rows
from gateway.core.collect.collect import Collect
from gateway.core.collect.debugged import DebugWindowView
from gateway.core.collect.limits import CollectLimits
from gateway.core.conditions import conditions
from gateway.core.control import views
from gateway.core.control.control import Control
from gateway.core.control.debugging import DebugView
from gateway.core.control.preview import Preview
from gateway.core.control.trust import RoleSigners
from gateway.core.effects import AnyEffect, Persist
from gateway.core.experiments import rows as experiments_rows
from gateway.core.experiments.experiments import Experiments, ExperimentView
from gateway.core.experiments.limits import ExperimentLimits
from gateway.core.limits import ControlLimits
from gateway.core.offload.limits import OffloadLimits
from gateway.core.offload.offload import Offload
from gateway.core.sites import RESTORE_REVERSED
from gateway.core.stimuli import (
    AcknowledgeAlarm,
    AlarmDelivered,
    AnyStimulus,
    Arrived,
    BrokerDown,
    BrokerUp,
    DeadlineReached,
    Inferred,
    Observed,
    PubAcked,
    RolloutPlan,
    SilenceAlarm,
    Started,
    SteerExperiment,
)
from gateway.core.transfers import rows as transfers_rows
from gateway.core.transfers.limits import TransferLimits
from gateway.core.transfers.transfers import Transfers
from gateway.core.zones import Zones

TABLES: Final[dict[str, type[Any]]] = {
    **rows.TABLES,
    **transfers_rows.TABLES,
    **collect_rows.TABLES,
    **experiments_rows.TABLES,
    **alarms_rows.TABLES,
}
"""Table name to the type of its rows, of all machines; `rows.encode` and `rows.decode` read them."""

_EVERYBODY: Final = (Started, BrokerUp, BrokerDown, DeadlineReached)
_ALARMS: Final = (Observed, AcknowledgeAlarm, SilenceAlarm, AlarmDelivered)


class GatewayConfig(msgspec.Struct, frozen=True):
    """How a gateway is set up. The topic root here replaces that in each machine's limits."""

    root: str = topics.ROOT_DEFAULT
    control: ControlLimits = ControlLimits()
    transfers: TransferLimits = TransferLimits()
    collect: CollectLimits = CollectLimits()
    offload: OffloadLimits = OffloadLimits()
    experiments: ExperimentLimits = ExperimentLimits()
    alarms: AlarmLimits | None = None
    """None: nothing is an alarm."""
    said_only: bool = False
    """Whether a halted or aborted rollout sends devices back only to what they themselves said they ran, and never to
    factory state that somebody declared: so where rollouts must be rehearsed, which factory state need not be."""


class Gateway:
    """The gateway core of one tenant.

    Args:
        config: topic root and limits.
        director: signs each device's want.
        flags_signer: signs flag snapshots and kill lists.
        roles: make the snapshot and timestamp roles; None: devices go by keys alone.
        hardship: asked at the places of `gateway.core.sites`.
        zones: know the wall clocks of maintenance windows; None: those at a fixed distance from UTC only.
    """

    __slots__ = (
        "_alarm_limits", "_alarms", "_collect", "_control", "_due", "_due_known", "_experiments", "_hardship", "_offload", "_transfers",
    )  # fmt: skip

    def __init__(
        self,
        config: GatewayConfig,
        director: Signer,
        flags_signer: Signer,
        roles: RoleSigners | None = None,
        hardship: Hardship = CALM,
        zones: Zones | None = None,
    ) -> None:
        root = config.root
        self._hardship = hardship
        limits = replace(config.control, root=root)
        self._control = Control(
            limits, director, flags_signer, roles, zones, said_only=config.said_only
        )
        self._transfers = Transfers(replace(config.transfers, root=root), hardship)
        self._collect = Collect(replace(config.collect, root=root))
        self._offload = Offload(replace(config.offload, root=root))
        self._experiments = Experiments(replace(config.experiments, root=root))
        said = config.alarms
        self._alarm_limits = AlarmLimits() if said is None else replace(said, root=root)
        self._alarms = None if said is None else Alarms(self._alarm_limits)
        self._due: tuple[int, str] | None = None
        self._due_known = False
        """Whether `_due` is still what control and transfers wait for: telemetry does not change it."""

    def handle(self, stimulus: AnyStimulus, now: int) -> list[AnyEffect]:
        """Take one stimulus; returns one batch of effects."""
        kind = type(stimulus)
        if type(stimulus) is Arrived:
            if stimulus.kind == topics.TEL:
                said: list[Any] = self._collect.handle(stimulus, now)
                if not said:
                    return said
            elif stimulus.kind == topics.GET:
                said = self._transfers.handle(stimulus, now)
            elif stimulus.kind == topics.ASK:
                said = self._offload.handle(stimulus, now)
            else:
                said = self._control.handle(stimulus, now)
        elif kind in _EVERYBODY:
            said = self._told_all(stimulus, now)
        elif isinstance(stimulus, PubAcked):
            said = self._acked(stimulus, now)
        else:
            said = self._told_one(stimulus, now)
        self._due_known = False
        return self._route(said, now)

    def deadline(self) -> tuple[int, str] | None:
        """The instant at which `DeadlineReached` is wanted, and why; it may have passed already."""
        if not self._due_known:
            mine = _sooner(self._control.deadline(), self._transfers.deadline())
            theirs = _sooner(self._offload.deadline(), self._experiments.deadline())
            self._due = _sooner(mine, theirs)
            if self._alarms is not None:
                self._due = _sooner(self._due, self._alarms.deadline())
            self._due_known = True
        due, theirs = self._due, self._collect.deadline()
        return theirs if due is None or (theirs is not None and theirs[0] < due[0]) else due

    def checkpoint(self, now: int) -> list[AnyEffect]:  # noqa: ARG002 - the five steps all get `now`
        """Rows to make durable before the messages handled so far are acknowledged."""
        return [*self._collect.checkpoint(), *self._experiments.checkpoint()]

    def restore(self, stored: Iterable[tuple[str, str, Any]], now: int) -> None:
        """Take durable rows ``(table, key, row)`` into a new core, before the first stimulus."""
        mine: dict[str, list[tuple[str, str, Any]]] = {
            "control": [],
            "transfers": [],
            "collect": [],
            "experiments": [],
            "alarms": [],
        }
        if self._hardship.fires(RESTORE_REVERSED):
            stored = reversed(list(stored))
        for row in stored:
            machine = row[0].partition(".")[0]
            if machine in mine:
                mine[machine].append(row)
        said: list[Any] = self._transfers.restore(mine["transfers"], now)
        said += self._collect.restore(mine["collect"], now)
        said += self._experiments.restore(mine["experiments"], now)
        said += self._control.restore(mine["control"], now)
        if self._alarms is not None:
            self._alarms.restore(mine["alarms"])
        self._due_known = False
        effects = self._route(said, now)
        assert not effects, f"restoring asked for effects: {effects[:3]}"

    def validate(self) -> None:
        """Check the whole state; for tests and for the world's checks.

        Raises:
            AssertionError: something that must always hold does not.
        """
        self._control.validate()
        self._transfers.validate()
        self._collect.validate()
        self._offload.validate()
        self._experiments.validate()
        if self._alarms is not None:
            self._alarms.validate()

    # -- for people ----------------------------------------------------------------------------

    def overview(self) -> views.Overview:
        """The fleet at a glance."""
        return self._control.overview()

    def rollout_views(self) -> list[views.RolloutView]:
        """All rollouts with their waves, oldest first."""
        return self._control.rollout_views()

    def preview(self, plan: RolloutPlan, at: int, after: str = "", limit: int = 100) -> Preview:
        """What a rollout's plan would do at an instant (UTC, ns), with a page of devices; changes nothing."""
        return self._control.preview(plan, at, after, limit)

    def twin_view(self, device: str) -> views.TwinView | None:
        """One device as the gateway sees it; None when it is not known."""
        return self._control.twin_view(device)

    def debug_views(self) -> list[DebugView]:
        """Grants of debug mode, oldest first."""
        return self._control.debug_views()

    def debug_told(self, device: str) -> list[DebugWindowView]:
        """What a device told in debug mode, in order."""
        return self._collect.debugged.of(device)

    def experiment_views(self) -> list[ExperimentView]:
        """All experiments, oldest first."""
        return self._experiments.views()

    def alarm_views(self) -> list[AlarmView]:
        """All alarms, oldest first; none where nothing is one."""
        return [] if self._alarms is None else self._alarms.views()

    @property
    def alarms(self) -> Alarms | None:
        """The alarms machine, for reading; None where nothing is an alarm."""
        return self._alarms

    @property
    def control(self) -> Control:
        """The control machine, for reading its bundles, flags and kills."""
        return self._control

    @property
    def collect(self) -> Collect:
        """The collect machine, for reading its overview."""
        return self._collect

    @property
    def transfers(self) -> Transfers:
        """The transfers machine, for reading its counters."""
        return self._transfers

    @property
    def offload(self) -> Offload:
        """The offload machine, for reading its counters."""
        return self._offload

    # -- routing -------------------------------------------------------------------------------

    def _told_all(self, stimulus: AnyStimulus, now: int) -> list[Any]:
        """What every machine hears; alarms look when all others have heard it."""
        said: list[Any] = self._control.handle(stimulus, now)
        said += self._transfers.handle(stimulus, now)
        said += self._collect.handle(stimulus, now)
        said += self._offload.handle(stimulus, now)
        said += self._experiments.handle(stimulus, now)
        alarms = self._alarms
        if alarms is not None:
            said += alarms.handle(stimulus, now)
            if type(stimulus) is DeadlineReached and alarms.due(now):
                at = now + self._control.offset_ns
                seen = conditions(self._control, self._collect, self._alarm_limits, at)
                said += alarms.look(seen, now)
        return said

    def _told_one(self, stimulus: AnyStimulus, now: int) -> list[Any]:
        """What one machine hears."""
        if isinstance(stimulus, Inferred):
            return list(self._offload.handle(stimulus, now))
        if isinstance(stimulus, SteerExperiment):
            return list(self._experiments.handle(stimulus, now))
        if isinstance(stimulus, _ALARMS):
            return [] if self._alarms is None else self._alarms.handle(stimulus, now)
        return list(self._control.handle(stimulus, now))

    def _acked(self, stimulus: PubAcked, now: int) -> list[Any]:
        match stimulus.token % internal.TOKEN_STRIDE:
            case internal.TRANSFERS_TOKENS:
                return list(self._transfers.handle(stimulus, now))
            case internal.COLLECT_TOKENS:
                return list(self._collect.handle(stimulus, now))
            case _:
                return self._control.handle(stimulus, now)

    def _route(self, said: list[Any], now: int) -> list[AnyEffect]:
        """Carry messages between the machines until only effects are left."""
        for item in said:
            if isinstance(item, internal.Internal):
                break
        else:
            return said
        effects: list[AnyEffect] = []
        waiting = deque(said)
        while waiting:
            item = waiting.popleft()
            if isinstance(item, internal.ToTransfers):
                waiting.extend(self._transfers.handle(item, now))
            elif isinstance(item, internal.ToCollect):
                waiting.extend(self._collect.handle(item, now))
            elif isinstance(item, internal.ToOffload):
                waiting.extend(self._offload.handle(item, now))
            elif isinstance(item, internal.ToControl):
                waiting.extend(self._control.handle(item, now))
            elif isinstance(item, internal.ToExperiments):
                waiting.extend(self._experiments.handle(item, now))
            else:
                effects.append(item)
        trials = self._experiments
        if trials.unsaved and (trials.urgent or any(type(e) is Persist for e in effects)):
            # Counts of windows and the cursors that tell a repetition apart: both rows or neither.
            effects += self.checkpoint(now)
        return effects


def _sooner(one: tuple[int, str] | None, other: tuple[int, str] | None) -> tuple[int, str] | None:
    """The earlier of two deadlines; the first one on a tie."""
    if one is None or other is None:
        return one or other
    return other if other[0] < one[0] else one
