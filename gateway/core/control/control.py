"""The control machine: twins, catalog, rollouts, flags and kills of one tenant, under one leader.

Decides which part hears a stimulus, and what is said again after a gap. Leaves out every policy, which
lives in its part, and serving chunks and telemetry, which are machines of their own.

Theory of operation. The parts share one batch per stimulus: effects and messages to the other
machines in order. After the part that was concerned, the gates and quorums of the rollouts whose books
changed are looked at, then the changed books are made durable, all in the same batch. `restore` takes
rows back and says everything that still holds to the other machines; what was decided and not yet
acknowledged by the broker goes out with `BrokerUp`.

Rules: instants inside are UTC nanoseconds (`Started` tells the offset, which is 0 before it), because
rows outlive the origin of `now`; the broker counts as away until `BrokerUp`; after a gap in which
messages may have been lost (a restart, a session lost) devices are asked page by page.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import Event, Have, Link
from devicesdk.wire.timebase import MS
from devicesdk.wire.topics import check_device_id
from gateway.core import notes, rows, stimuli
from gateway.core.control import stagings, views
from gateway.core.control.catalog import Bundle, Catalog
from gateway.core.control.debugging import Debugging, DebugView
from gateway.core.control.deltas import Deltas
from gateway.core.control.flags import Flags
from gateway.core.control.members import Members
from gateway.core.control.offers import Offers
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.control.preview import Preview, Previews
from gateway.core.control.progress import Progress
from gateway.core.control.queries import Queries
from gateway.core.control.rollouts import Rollouts
from gateway.core.control.shape import Shape, shape_of
from gateway.core.control.steering import Steering
from gateway.core.control.trust import RoleSigners, Trust
from gateway.core.control.twins import Twin, Twins
from gateway.core.effects import Note
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.internal import (
    ALARM_KIND,
    AlarmTold,
    DeviceLabelled,
    ExperimentBegins,
    FlagWanted,
    Internal,
    Judged,
    Paused,
    StagingOver,
)
from gateway.core.limits import ControlLimits
from gateway.core.rows import Brake, KillRow, Phase, RoleRow, RolloutRow, SegmentRow
from gateway.core.stimuli import RolloutPlan, Stimulus
from gateway.core.zones import FixedZones, Zones


class Control:
    """The control machine.

    Args:
        limits: bounds.
        director: signs wants.
        flags_signer: signs flag snapshots and kill lists.
        roles: make snapshots and timestamps; None: devices go by keys alone.
        zones: know wall clocks; None: those at a fixed distance from UTC only.
        said_only: whether devices are sent back only to what they themselves said they ran.
    """

    def __init__(
        self,
        limits: ControlLimits,
        director: Signer,
        flags_signer: Signer,
        roles: RoleSigners | None = None,
        zones: Zones | None = None,
        *,
        said_only: bool = False,
    ) -> None:
        self._limits = limits
        self._outbox = Outbox(limits.outbox_in_flight_max)
        self._twins = Twins(limits)
        self._catalog = Catalog(limits)
        self._trust = Trust(limits, self._outbox, roles)
        self._members = Members()
        self._flags = Flags(limits, self._outbox, flags_signer)
        self._queries = Queries(limits, self._twins, self._outbox)
        self._debugging = Debugging(limits, self._twins, self._outbox, director)
        self._deltas = Deltas(limits, self._catalog, self._twins)
        self._offers = Offers(
            limits, self._catalog, self._members, self._outbox, director, self._deltas, said_only=said_only,
        )  # fmt: skip
        self._rollouts = Rollouts(
            limits, self._twins, self._catalog, self._members, self._offers, zones or FixedZones()
        )
        self._zones = zones or FixedZones()
        self._previews = Previews(self._twins, self._catalog, self._members, self._rollouts)
        self._steering = Steering(limits, self._members, self._rollouts)
        self._progress = Progress(limits, self._twins, self._members, self._offers)
        self._republish: deque[str] = deque()
        self._offset_ns = 0
        """UTC minus `now`."""
        self._at = 0
        self._up = self._was_up = False
        self._blind = False
        """Whether an earlier process knew devices that may have spoken since."""
        self._bad_messages = 0

    # -- the machine ---------------------------------------------------------------------------

    def handle(self, stimulus: Stimulus | Internal, now: int) -> Batch:
        """Take one stimulus, or a judgement of the collect machine."""
        self._at = at = now + self._offset_ns
        out: Batch = []
        if type(stimulus) is stimuli.Arrived:
            self._arrived(stimulus, at, out)
        elif type(stimulus) is stimuli.PubAcked:
            self._outbox.acked(stimulus.token, out)
        else:
            self._hear(stimulus, now, out)
        if self._members.changed():
            self._rollouts.review(self._at, out)
            self._members.flush(out)
        if self._offers.open_since:
            self._offers.open_since = False
            self._queries.watch(self._at)
        return out

    def deadline(self) -> tuple[int, str] | None:
        """When something is due here next."""
        at, offset = self._at, self._offset_ns
        if self._republish and self._up:
            return at - offset, "control: next page of open wants"
        rollouts, queries = self._rollouts.due(at), self._queries.due() if self._up else None
        for other in (self._trust.due, self._debugging.due()):
            if other is not None and (rollouts is None or other[0] < rollouts[0]):
                rollouts = other
        if rollouts is None:
            nearest = queries
        elif queries is None or rollouts[0] <= queries[0]:
            nearest = rollouts
        else:
            nearest = queries
        return None if nearest is None else (nearest[0] - offset, "control: " + nearest[1])

    def restore(self, stored: Iterable[tuple[str, str, Any]], now: int) -> Batch:
        """Take durable rows into a new machine; returns what the other machines must know again."""
        self._at = now
        for table, key, row in stored:
            self._restore_row(table, key, row)
        self._blind = bool(self._twins.by_name)
        self._rollouts.restored(now)
        return self._everything_that_holds()

    def validate(self) -> None:
        """Check the whole state; for tests and for the world's checks.

        Raises:
            AssertionError: something that must always hold does not.
        """
        self._outbox.validate()
        self._twins.validate()
        self._flags.validate()
        self._members.validate(self._twins.by_name)
        self._debugging.validate()

    # -- for people ----------------------------------------------------------------------------

    def overview(self) -> views.Overview:
        """The fleet at a glance. Reads everything: for reports, not for each message."""
        twins = self._twins.by_name.values()
        return views.Overview(
            devices=len(twins),
            enrolled=sum(twin.device.enrolled for twin in twins),
            online=sum(twin.presence.online for twin in twins),
            updating=sum(twin.wants_open() for twin in twins),
            in_sync=views.in_sync(self._twins),
            versions=views.versions(self._twins, self._catalog),
            kill_version=self._flags.kills.version,
            flags_revs={name: row.rev for name, row in sorted(self._flags.segments.items())},
            outbox_rows=self._outbox.rows_count,
            outbox_in_flight=self._outbox.in_flight,
            queries_waiting=self._queries.waiting,
            bad_messages=self._bad_messages,
        )

    def rollout_views(self) -> list[views.RolloutView]:
        """All rollouts with their waves, oldest first; without those of factory state."""
        return views.rollout_views(self._members, self._offset_ns)

    def preview(self, plan: RolloutPlan, at: int, after: str, limit: int) -> Preview:
        """What a plan would do at an instant (UTC, ns). Reads everything, as creating it would."""
        return self._previews.of(plan, at, after, limit)

    def shape(self, plan: RolloutPlan | None, at: int) -> Shape:
        """The fleet as counts at an instant (UTC, ns). Reads everything."""
        return shape_of(self._twins, self._catalog, self._zones, plan, at)

    def known_devices(self) -> int:
        """How many devices there are, enrolled or not."""
        return len(self._twins.by_name)

    @property
    def zones(self) -> Zones:
        """Know wall clocks."""
        return self._zones

    def find_plan(self, rollout: str) -> stimuli.RolloutPlan | None:
        """What was asked for; None of a rollout that is not known."""
        found = self._members.by_name.get(rollout)
        return None if found is None else found.plan

    def debug_views(self) -> list[DebugView]:
        """Grants of debug mode, oldest first."""
        return self._debugging.views()

    def twin(self, device: str) -> Twin | None:
        """One device's twin; for reading: its rows are replaced, never changed."""
        return self._twins.by_name.get(device)

    @property
    def changes(self) -> int:
        """How often a row of any twin was replaced."""
        return self._twins.changes + self._members.changes

    def devices_after(self, after: str, limit: int) -> list[str]:
        """Up to `limit` ids of known devices that sort after `after`, in order."""
        names = self._twins.sorted_names()
        first = bisect_right(names, after)
        return names[first : first + limit]

    def rollout_rows(self) -> list[RolloutRow]:
        """All rollouts; for reading."""
        return [rollout.row for rollout in self._members.by_name.values()]

    def presences(self) -> tuple[int, int]:
        """How many devices were ever online, and how many are."""
        known = [twin.presence for twin in self._twins.by_name.values() if twin.presence.boot_id]
        return len(known), sum(presence.online for presence in known)

    @property
    def outbox_rows(self) -> int:
        """Retained payloads that the broker has not taken yet."""
        return self._outbox.rows_count

    @property
    def roles(self) -> Mapping[str, RoleRow]:
        """Metadata of the TUF roles, as `gateway.core.control.trust` keys them; for reading."""
        return self._trust.rows

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """Registered bundles by name; for reading."""
        return self._catalog.by_name

    @property
    def segments(self) -> Mapping[str, SegmentRow]:
        """Flags by segment; for reading."""
        return self._flags.segments

    @property
    def kills(self) -> KillRow:
        """The kill list."""
        return self._flags.kills

    def plan_of(self, rollout: str) -> stimuli.RolloutPlan:
        """What was asked for; the rollout is known."""
        return self._members.by_name[rollout].plan

    @property
    def offset_ns(self) -> int:
        """UTC minus `now`."""
        return self._offset_ns

    def twin_view(self, device: str) -> views.TwinView | None:
        """One device as the gateway sees it."""
        twin = self._twins.by_name.get(device)
        return None if twin is None else views.twin_view(twin)

    # -- hearing -------------------------------------------------------------------------------

    def _arrived(self, stimulus: stimuli.Arrived, at: int, out: Batch) -> None:
        twin = self._twins.seen(stimulus.device, out)
        if twin is None:
            return
        kind = stimulus.kind
        try:
            if kind == topics.LINK:
                self._twins.link(twin, codec.decode(Link, stimulus.payload), out)
                self._debugging.heard(twin.name, at, out)
            elif kind == topics.HAVE:
                twin.heard_ns = at
                have, live = codec.decode(Have, stimulus.payload), not stimulus.retained
                self._progress.have(twin, have, at, out, live=live)
                self._debugging.heard(twin.name, at, out)
            elif kind == topics.EV:
                twin.heard_ns = at
                event = codec.decode(Event, stimulus.payload)
                if event.kind == "debug":
                    self._debugging.event(twin.name, event, at, out)
                else:
                    self._progress.event(twin, event, out)
        except BadMessage:
            self._bad_messages += 1
            out.append(Note(notes.BAD_MESSAGE, stimulus.device, self._bad_messages))

    def _hear(self, stimulus: Stimulus | Internal, now: int, out: Batch) -> None:
        match stimulus:
            case stimuli.DeadlineReached():
                self._run_due(out)
            case stimuli.Started(wall_ms=wall_ms):
                self._started(wall_ms * MS - now, now, out)
            case stimuli.BrokerUp(session_present=session_present):
                self._broker_up(session_present, out)
            case stimuli.BrokerDown():
                self._broker_down()
            case stimuli.RegisterRole(data=data):
                if self._trust.register(data, self._at, out):
                    self._say_anew(out)
            case Judged():
                self._rollouts.judged(stimulus, self._at, out)
            case _:
                self._asked(stimulus, self._at, out)

    def _asked(self, stimulus: Stimulus | Internal, at: int, out: Batch) -> None:
        """Take what an operator or the registry asks for."""
        match stimulus:
            case stimuli.Enroll(device=device, labels=labels):
                check_device_id(device)
                twin = self._twins.enroll(device, labels, out)
                if twin is not None:
                    self._rollouts.enrolled(twin, out)
            case stimuli.RegisterBundle():
                self._register(stimulus, at, out)
            case stimuli.RegisterDelta():
                self._deltas.register(stimulus, out)
            case stimuli.CreateRollout(plan=plan):
                self._rollouts.create(plan, at, out)
            case stimuli.SteerRollout() | stimuli.DecideWave():
                self._steering.hear(stimulus, at, out)
            case stimuli.SetFlag():
                self._flags.set(stimulus, out)
            case stimuli.Kill():
                self._flags.kill(stimulus, out)
            case stimuli.GrantDebug() | stimuli.RevokeDebug():
                self._debugging.asked(stimulus, at, out)
            case _:
                self._experiment(stimulus, at, out)

    def _experiment(self, stimulus: Stimulus | Internal, at: int, out: Batch) -> None:
        """Take what an experiment asks for; anything else is not for us."""
        match stimulus:
            case stimuli.CreateExperiment(plan=experiment):
                self._begin_experiment(experiment, at, out)
            case FlagWanted(segment=segment, flag=flag, definition=definition):
                self._flags.set(stimuli.SetFlag(segment, flag, definition), out)
            case AlarmTold(topic=topic, payload=payload):
                self._outbox.put(topic, ALARM_KIND, payload, out)
            case StagingOver(experiment=name, why=why):
                self._rollouts.staging_over(name, why, at, out)
            case _:
                pass

    def _register(self, bundle: stimuli.RegisterBundle, at: int, out: Batch) -> None:
        """Take a bundle in, unless no device would take it from us."""
        known = bundle.digest in self._catalog.by_digest
        if not known and not self._trust.lists(bundle.digest, bundle.envelope_bytes):
            said = f"{bundle.manifest.name}: the targets do not list it; sign targets that do first"
            out.append(Note(notes.BUNDLE_REFUSED, said))
        elif self._catalog.register(bundle, out) is not None:
            self._rollouts.bundle_registered(at, out)

    def _say_anew(self, out: Batch) -> None:
        """A root came, and with it perhaps new keys: what was signed before may count for nothing."""
        self._flags.republish(out)
        twins = self._twins.by_name
        self._republish = deque(name for name, twin in twins.items() if twin.wants_open())

    def _begin_experiment(self, plan: ExperimentPlan, at: int, out: Batch) -> None:
        """Stage the candidate, and let the experiments machine take over."""
        names = self._catalog.by_name
        why = stagings.refusal(plan, names, self._members.by_name)
        if why:
            out.append(Note(notes.EXPERIMENT_REFUSED, f"{plan.id}: {why}"))
            return
        candidate, production = names[plan.bundle].digest, names[plan.production].digest
        self._rollouts.create(stagings.staging(plan), at, out)
        out.append(ExperimentBegins(plan, candidate, production))

    def _started(self, offset_ns: int, now: int, out: Batch) -> None:
        self._offset_ns = offset_ns
        self._at = now + offset_ns
        self._trust.started(self._at, out)
        self._rollouts.restored(self._at)
        if any(twin.wants_open() for twin in self._twins.by_name.values()):
            self._queries.watch(self._at)

    def _run_due(self, out: Batch) -> None:
        at = self._at
        if self._up:
            if self._republish:
                self._republish_page(out)
            self._queries.run(at, out)
        self._rollouts.run(at, out)
        self._trust.run(at, out)
        self._debugging.run(at, out)

    # -- the broker ----------------------------------------------------------------------------

    def _broker_up(self, session_present: bool, out: Batch) -> None:  # noqa: FBT001 - the stimulus' only fact
        twins = self._twins.by_name
        open_wants = [name for name, twin in twins.items() if twin.wants_open()]
        # A broker may come back with an older state, our session in it: it saves less often than it
        # acknowledges. Kill list and flags are few and said again each time (before `up`, which puts
        # kills first); a want that is missing shows in its device's report.
        self._trust.keep_all(out)
        self._trust.publish(out)
        self._flags.republish(out)
        if not session_present:
            self._republish = deque(open_wants)
        self._up = True
        self._outbox.up(out)
        self._debugging.say_again(self._at, out)
        if self._blind or (self._was_up and not session_present):
            self._queries.ask(twins, self._at)
        elif self._was_up:
            # The broker queued for us, up to a limit past which it drops silently; and killed, it forgot
            # reports that it had acknowledged: their devices will not say them again unasked.
            unconfirmed = self._flags.unconfirmed(twins.values())
            self._queries.ask([*open_wants, *unconfirmed], self._at)
        self._was_up, self._blind = True, False

    def _broker_down(self) -> None:
        self._up = False
        self._outbox.down()
        self._queries.forget()

    def _republish_page(self, out: Batch) -> None:
        count = 0
        while self._republish and count < self._limits.page_devices:
            twin = self._twins.by_name[self._republish.popleft()]
            if twin.wants_open():
                self._offers.republish(twin, out)
                count += 1
        out.append(Note(notes.REPUBLISH, "", count, len(self._republish)))

    # -- after a restart -----------------------------------------------------------------------

    def _restore_row(self, table: str, key: str, row: Any) -> None:
        match table:
            case rows.DEVICE | rows.DESIRED | rows.REPORTED | rows.PRESENCE:
                self._twins.restore(table, key, row)
            case rows.BUNDLE:
                self._catalog.restore(key, row)
            case rows.DELTA:
                self._deltas.restore(row)
            case rows.ROLLOUT:
                self._members.add(row)
            case rows.SEGMENT:
                self._flags.segments[key] = row
            case rows.KILL:
                self._flags.kills = row
            case rows.DEBUG:
                self._debugging.restore(key, row)
            case rows.ROLE:
                self._trust.restore(key, row)
            case rows.OUTBOX:
                self._outbox.restore(key, row)
            case _:
                pass

    def _everything_that_holds(self) -> Batch:
        out: Batch = []
        self._trust.restored(out)
        for bundle in self._catalog.by_digest.values():
            self._catalog.announce(bundle, out)
        self._deltas.announce(out)
        self._debugging.announce(out)
        for name, twin in self._twins.by_name.items():
            if twin.device.enrolled:
                out.append(DeviceLabelled(name, twin.device.labels))
        for rollout in self._members.by_name.values():
            if rollout.row.phase in (Phase.RUNNING, Phase.PAUSED):
                self._rollouts.watch(rollout, out)
        for twin in self._twins.by_name.values():
            if twin.wants_open() and twin.desired is not None and not twin.desired.hold:
                self._offers.grant(twin, out)
        for rollout in self._members.by_name.values():
            if rollout.row.phase is Phase.PAUSED or rollout.row.brake is not Brake.NONE:
                out.append(Paused(rollout.name, paused=True))
        return out
