"""Rehearsals of rollouts: asked for, run one at a time beside the gateway, written down, and asked after before a rollout
may begin.

Decides what a rehearsal is made of (the registry's shape in the moment it begins, the plan, the bundles' digests), and
that a plan which must be rehearsed is. Leaves out the process (gateway/adapters/rehearsing.py), the book
(gateway/core/rehearsals/book.py) and who may ask (office.py).

Rules: a verdict is durable, together with an entry of the audit log, before anybody is told; whether a plan was rehearsed
is looked at in the very turn of the mutation, by the plan's and the bundle's digests, so that neither can change
between the question and the rollout; a registry may have changed since, and whoever looks is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.adapters.rehearsing import RehearsalError, Rehearsing
from gateway.config import RehearsalSection
from gateway.core.access.tokens import AccessError, Asker
from gateway.core.audit.journal import Entry
from gateway.core.control.shape import Shape, utc_text
from gateway.core.effects import Persist
from gateway.core.gateway import Gateway
from gateway.core.rehearsals.book import OPEN, REHEARSAL, RUNS, Book, BookFullError, RehearsalRow
from gateway.core.rehearsals.job import Job, Named, Step, Verdict, cut, plan_digest
from gateway.core.stimuli import RolloutPlan
from gateway.runtime.askable import Askable
from gateway.runtime.ledger import Ledger, entry_of
from gateway.runtime.life import BusyError, Guard, GuardError, NotRunningError
from gateway.runtime.logs import say
from gateway.runtime.operator import rollout_plan
from gateway.runtime.rehearsal_views import RehearsalsTold, head_of, told_of
from gateway.runtime.verbs import (
    CancelRehearsal,
    CreateRollout,
    ListRehearsals,
    Mutation,
    RehearsePlan,
    RehearseRollout,
    ShowRehearsal,
    ShowShape,
    VerbError,
)

T = TypeVar("T")

OURSELVES: Final = "gateway"
ENDED: Final = "rehearsal.ended"
OTHERS_MAX: Final = 8
"""Bundles that run now, the most frequent first; devices with others are rehearsed with the first."""
FILES_KEPT_MAX: Final = 20
"""Rehearsals whose files, reports among them, are kept."""
BUSY_S: Final = 0.2
"""After which a gateway that was too busy to write down how a rehearsal goes is asked again."""
NO_PLACE: Final = "expected the simulator beside the gateway, found none: pip install 'fleetdrill[sim]', or name a command in [rehearsal]"


class Rehearsals:
    """The rehearsals of a gateway.

    Args:
        runtime: whose registry is rehearsed.
        ledger: makes rows durable.
        rules: whether rollouts must be rehearsed, and how.
        rehearsing: runs them; None: there is no place for it.
    """

    def __init__(
        self,
        runtime: Askable,
        ledger: Ledger,
        rules: RehearsalSection,
        rehearsing: Rehearsing | None,
    ) -> None:
        self._runtime, self._ledger = runtime, ledger
        self.rules, self._rehearsing = rules, rehearsing
        self.book = Book()
        self._wake = asyncio.Event()
        self.step = Step()
        """How far the one that runs is."""
        self._running: tuple[int, asyncio.Task[None]] | None = None

    async def restore(self) -> None:
        """Take what is durable; what was under way is lost."""
        self.book = Book()
        stored = await self._ledger.all_of(REHEARSAL)
        changed = self.book.restore(stored, self._ledger.wall_ms())
        if changed:
            await self._ledger.write(lambda _: changed)
        self._wake.set()

    @property
    def able(self) -> bool:
        """Whether anything can be rehearsed here."""
        return self.rules.enabled and self._rehearsing is not None and self._rehearsing.able

    # -- asking -----------------------------------------------------------------------------------

    async def ask(
        self,
        asker: Asker,
        verb: RehearsePlan | RehearseRollout,
        remembered: Callable[[dict[str, Any], int], list[Persist]] = lambda result, at: [],  # noqa: ARG005
    ) -> dict[str, Any]:
        """Put a rehearsal down; returns its number.

        Args:
            asker: who asks.
            verb: what for.
            remembered: rows to make durable with it, of the answer and the instant.

        Raises:
            VerbError: it cannot be rehearsed.
        """
        if not self.able:
            raise VerbError("refused", NO_PLACE)
        plan = await self._plan(verb)
        bundle, known = await self._read(lambda core: _looked(core, plan))
        if bundle is None:
            raise VerbError(
                "refused", f"expected a registered bundle, found {plan.bundle}: publish it first"
            )
        row = RehearsalRow(
            0, asker.name, self._ledger.wall_ms(), plan.id, plan.bundle,
            msgspec.json.encode(plan), plan_digest(plan), bundle, _seeds(verb.seeds or self.rules.seeds), known,
        )  # fmt: skip
        told: dict[str, Any] = {}

        def work(at: int) -> list[Persist]:
            try:
                kept, rows = self.book.ask(row)
            except BookFullError as error:
                raise AccessError("busy", str(error)) from None
            said = (f"Rehearsal {kept.number} of {plan.id} waits.",)
            told.update(number=kept.number, said=list(said))
            return [
                *rows,
                *self._ledger.journal.write(entry_of(asker, verb, "done", said), at),
                *remembered(told, at),
            ]

        await self._ledger.write(work)
        self._wake.set()
        return told

    async def cancel(
        self,
        asker: Asker,
        verb: CancelRehearsal,
        remembered: Callable[[dict[str, Any], int], list[Persist]] = lambda result, at: [],  # noqa: ARG005
    ) -> dict[str, Any]:
        """End one that waits or runs; when this returns, nothing of it runs any more. Arguments as of `ask`.

        Raises:
            VerbError: there is none, or it has ended.
        """
        told: dict[str, Any] = {}

        def work(at: int) -> list[Persist]:
            row = self.book.get(verb.number)
            if row is None:
                raise AccessError("unknown", f"expected a rehearsal's number, found {verb.number}")
            if row.state not in OPEN:
                raise AccessError(
                    "refused",
                    f"expected a rehearsal that waits or runs, found {row.number}, which has ended: {row.state}",
                )
            why = cut(f"cancelled by {asker.name}{': ' if verb.why else ''}{verb.why}")
            said = (f"Rehearsal {row.number} of {row.rollout} is cancelled.",)
            told["said"] = list(said)
            if (task := self._task_of(row.number)) is not None:
                task.cancel()  # in this turn: whoever asked may go away before the next
            entry = msgspec.structs.replace(
                entry_of(asker, verb, "done", said), subject=row.rollout
            )
            return [
                *self.book.cancel(row.number, at, why),
                *self._ledger.journal.write(entry, at),
                *remembered(told, at),
            ]

        await self._ledger.write(work)
        if (task := self._task_of(verb.number)) is not None:
            await asyncio.wait((task,))
        return told

    def _task_of(self, number: int) -> asyncio.Task[None] | None:
        return self._running[1] if self._running and self._running[0] == number else None

    async def _plan(self, verb: RehearsePlan | RehearseRollout) -> RolloutPlan:
        """The plan that is meant."""
        if isinstance(verb, RehearsePlan):
            try:
                plan = rollout_plan(verb.plan)
            except ValueError as error:
                raise VerbError("invalid", str(error)) from error
            at = self._runtime.wall_ns()
            refusal = await self._read(lambda core: core.preview(plan, at, "", 1).refusal)
            if refusal:
                raise VerbError("refused", refusal)
            return _offered(plan)
        name = verb.rollout
        found = await self._read(lambda core: core.control.find_plan(name))
        if found is None:
            raise VerbError("unknown", f"expected the id of a rollout, found {name!r}")
        return _offered(found)

    # -- the gate ---------------------------------------------------------------------------------

    def required(self, verb: Mutation) -> bool:
        """Whether this must have been rehearsed. Not what the factory is said to have shipped: it is offered to nobody,
        and under the rule nobody is sent back to it who did not say that it ran there (`GatewayConfig.said_only`)."""
        if not isinstance(verb, CreateRollout) or verb.initial:
            return False
        return self.rules.gate == "required" or verb.rehearsal == "required"

    def overridden(self, verb: Mutation) -> bool:
        """Whether somebody asks to do without, which a second person must approve."""
        return self.required(verb) and isinstance(verb, CreateRollout) and bool(verb.unrehearsed)

    def guarded(self, verb: Mutation, guard: Guard | None) -> Guard | None:
        """`guard`, and that a rollout which must have been rehearsed was."""
        if not self.required(verb) or self.overridden(verb):
            return guard
        assert isinstance(verb, CreateRollout)
        try:
            plan = rollout_plan(verb)
        except ValueError:
            return guard  # refused in its own words
        good_ms = int(self.rules.good_s_max * 1000)

        def both(core: Gateway) -> str:
            bundle = core.control.bundles.get(plan.bundle)
            digest = b"" if bundle is None else bundle.digest
            found = self.book.refusal(
                plan_digest(plan), digest, self._ledger.wall_ms(), good_ms, self.rules.seeds
            )
            if found:
                raise GuardError(
                    f"expected a rehearsal of exactly this plan and bundle that held, {found}; rehearse it, or say "
                    "in `unrehearsed` why not, and have somebody else approve",
                    "refused",
                )
            return "" if guard is None else guard(core)

        return both

    # -- running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run what waits, one after the other, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (row := self.book.first_waiting) is not None:
                try:
                    await self._one(row.number)
                except VerbError as error:  # the runtime has ended: the next start tells it lost
                    say(logging.WARNING, "rehearsal not ended", number=row.number, why=str(error))
                    return

    async def _one(self, number: int) -> None:
        rehearsing = self._rehearsing
        if rehearsing is None:
            await self._written(lambda at: self.book.fail(number, at, NO_PLACE))
            return
        self.step = Step(doing="begins")
        await self._written(lambda at: self.book.begin(number, at))
        row = self.book.get(number)
        if row is None or row.state != RUNS:
            return  # cancelled in the last moment
        say(logging.INFO, "rehearsal begins", number=number)
        task = asyncio.get_running_loop().create_task(self._rehearse(number, rehearsing))
        self._running = number, task
        try:
            await asyncio.wait((task,))
        finally:
            if task.cancel():  # it is us who shall end
                await asyncio.wait((task,))
            self._running = None
        if not task.cancelled():
            task.result()
        newest = self.book.begun(FILES_KEPT_MAX)
        with suppress(OSError):  # the next one tries again
            await asyncio.to_thread(rehearsing.forget, lambda n: n in newest)

    async def _rehearse(self, number: int, rehearsing: Rehearsing) -> None:
        try:
            verdict = await rehearsing.run(await self._job(number, rehearsing), self._hear)
        except (RehearsalError, VerbError) as error:
            await self._end(number, None, cut(str(error)))
        except Exception as error:  # noqa: BLE001 - one plan must not end the rehearsals of all
            say(
                logging.ERROR, "a rehearsal failed in the gateway", number=number, error=repr(error)
            )
            await self._end(number, None, cut(f"the gateway failed at this: {error!r}"))
        else:
            await self._end(number, verdict, verdict.why)

    async def _written(self, work: Callable[[int], list[Persist]]) -> None:
        await _patiently(lambda: self._ledger.write(work))

    async def _seen(self, look: Callable[[Gateway], T]) -> T:
        return await _patiently(lambda: self._read(look))

    async def _read(self, look: Callable[[Gateway], T]) -> T:
        """Ask the core; raises `VerbError` where it does not answer."""
        try:
            return await self._runtime.read(look)
        except BusyError as error:
            raise VerbError("busy", str(error)) from error
        except NotRunningError as error:
            raise VerbError("stopped", str(error)) from error

    def _hear(self, step: Step) -> None:
        self.step = step

    async def _end(self, number: int, verdict: Verdict | None, why: str) -> None:
        row = self.book.get(number)
        assert row is not None, f"rehearsal {number} is not in the book"
        outcome = "broken" if verdict is None else verdict.outcome

        def work(at: int) -> list[Persist]:
            rows = (
                self.book.fail(number, at, why)
                if verdict is None
                else self.book.end(number, verdict, at)
            )
            if not rows:
                return []  # cancelled meanwhile, and written down
            entry = Entry(
                actor=OURSELVES, role=OURSELVES, verb=ENDED, subject=row.rollout,
                arguments=msgspec.json.encode({"number": number, "plan": row.plan_digest.hex(), "bundle": row.bundle_digest.hex()}),
                outcome=outcome, said=(f"Rehearsal {number}: {why}",),
            )  # fmt: skip
            return [*rows, *self._ledger.journal.write(entry, at)]

        await self._written(work)
        say(logging.INFO, "rehearsal ended", number=number, outcome=outcome, why=why)

    async def _job(self, number: int, rehearsing: Rehearsing) -> Job:
        row = self.book.get(number)
        assert row is not None, f"rehearsal {number} is not in the book"
        plan = msgspec.json.decode(row.plan, type=RolloutPlan)
        at = self._runtime.wall_ns()
        shape, others = await self._seen(lambda core: _shaped(core, plan, at))
        zone = "UTC" if plan.pace is None else plan.pace.zone
        offset_s = await self._seen(lambda core: core.control.zones.offset_s(zone, at // SECOND))
        rules = self.rules
        return Job(
            number=number, plan=plan, candidate=Named(row.bundle, row.bundle_digest.hex()), others=others,
            shape=shape, seeds=row.seeds, zone_offset=utc_text(offset_s or 0), blobs=str(rehearsing.blobs),
            folder=str(rehearsing.place(number) / "files"), devices_min=rules.devices_min,
            devices_max=max(rules.devices_min, rules.devices_max),
        )  # fmt: skip

    # -- looking ----------------------------------------------------------------------------------

    async def see(self, verb: ListRehearsals | ShowRehearsal | ShowShape) -> Any:
        """Answer a question, as values.

        Raises:
            VerbError: there is no such rehearsal.
        """
        match verb:
            case ListRehearsals():
                rows = [r for r in reversed(self.book.rows()) if verb.rollout in ("", r.rollout)]
                heads = [head_of(row, self.step) for row in rows]
                return RehearsalsTold(self.rules.gate, self.able, heads)
            case ShowRehearsal():
                row = self.book.get(verb.number)
                if row is None:
                    raise VerbError(
                        "unknown", f"expected a rehearsal's number, found {verb.number}"
                    )
                known, plan = await self._read(
                    lambda core: (
                        core.control.known_devices(),
                        core.control.find_plan(row.rollout),
                    )
                )
                another = plan is not None and plan_digest(plan) != row.plan_digest
                return told_of(row, self.step, known, another=another)
            case ShowShape():
                at = self._runtime.wall_ns()
                return await self._read(lambda core: core.control.shape(None, at))

    async def look(self, verb: ListRehearsals | ShowRehearsal | ShowShape) -> Any:
        """As `see`; what can be written as JSON."""
        return msgspec.json.decode(msgspec.json.encode(await self.see(verb)))

    def report(self, number: int, seed: int) -> Any:
        """Path of the report of one seed.

        Raises:
            VerbError: there is none.
        """
        row = self.book.get(number)
        if row is not None and self._rehearsing is not None and seed in row.seeds:
            path = self._rehearsing.place(number) / "files" / f"seed-{seed}" / "report.html"
            if path.is_file():
                return path
        raise VerbError(
            "unknown", f"expected a report of rehearsal {number} with seed {seed}, found none kept"
        )


def _offered(plan: RolloutPlan) -> RolloutPlan:
    """The plan, if there is anything to rehearse.

    Raises:
        VerbError: it is factory state.
    """
    if plan.initial:
        raise VerbError(
            "refused",
            f"expected a plan that offers something, found that {plan.id} is factory state: it is offered to nobody, "
            "and needs no rehearsal",
        )
    return plan


def _looked(core: Gateway, plan: RolloutPlan) -> tuple[bytes | None, int]:
    bundle = core.control.bundles.get(plan.bundle)
    return None if bundle is None else bundle.digest, core.control.known_devices()


def _shaped(core: Gateway, plan: RolloutPlan, at: int) -> tuple[Shape, tuple[Named, ...]]:
    """The shape, and the bundles that run in it."""
    shape = core.control.shape(plan, at)
    counts: dict[str, int] = {}
    for group in shape.groups:
        counts[group.running] = counts.get(group.running, 0) + group.devices
    known = core.control.bundles
    names = sorted((n for n in counts if n in known and n != plan.bundle), key=lambda n: -counts[n])
    return shape, tuple(Named(n, known[n].digest.hex()) for n in names[:OTHERS_MAX])


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the gateway is not busy: nobody else will say how a rehearsal ended."""
    while True:
        try:
            return await ask()
        except VerbError as error:
            if error.code != "busy":
                raise
        await asyncio.sleep(BUSY_S)


def _seeds(count: int) -> tuple[int, ...]:
    return tuple(range(1, count + 1))
