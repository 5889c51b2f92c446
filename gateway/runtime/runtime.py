"""The asyncio shell around the gateway core: it carries stimuli in and performs effects.

The real-time twin of the world's virtual gateway host. Decides durability and order. Leaves out every
decision (the core's), connections (plane.py, hearing.py), effects (performing.py, rounds.py), and how a
process is set up (serve.py).

Theory of operation. Whatever happens lands in the inbox. A *turn* takes what is there, at most
`batch_messages_max`, hands it to the core, makes all rows that the core asked for durable in one commit
on the storage thread, and only then publishes, sends rounds, acknowledges the turn's messages to the
broker (in the order in which they came: acks.py) and answers operators. While a commit runs the loop goes on reading sockets, so the next turn
is as large as the disk is slow: a group commit without a timer. Telemetry alone waits for a timer or
a count, because nobody waits for its acknowledgement, unless others do that came after it; `checkpoint`
makes it durable.

Rules: nothing outward happens before the rows it depends on are durable; a message is acknowledged
after the commit of what follows from it, on the connection it came by or never; questions are
answered between turns, so everything they see is durable; an exception that the core was not
expected to raise ends the runtime, because its state may be inconsistent: the durable rows are not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from devicesdk.aio.clock import Clock, stopwatch
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.timebase import MS
from devicesdk.wire.topics import ASK, GET, PASSING_KINDS, TEL, UPLINK_KINDS, Topics
from gateway.adapters.inference import OnnxModels
from gateway.config import RuntimeLimits
from gateway.core import effects as ask
from gateway.core import rows
from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway
from gateway.ports import Blobs, Counters, Observer, Storage, Tracing, Unobserved, Untraced
from gateway.runtime.backoff import Backoff
from gateway.runtime.hearing import Hearing
from gateway.runtime.inference import Inference
from gateway.runtime.life import (
    Answer,
    Asking,
    BusyError,
    Guard,
    GuardError,
    Life,
    NotRunningError,
    Ports,
    Record,
)
from gateway.runtime.logs import LOGGER, say
from gateway.runtime.performing import Performer
from gateway.runtime.plane import Plane
from gateway.runtime.rounds import Rounds
from gateway.runtime.spans import CURRENT, Asked
from gateway.runtime.tracing import Turn, perform

T = TypeVar("T")

DRAIN_LOOK_S: Final = 0.01
LAST_COMMIT_S_MAX: Final = 5.0
"""How long a graceful stop waits for its last commit, after it has drained."""


class Runtime:
    """Runs one gateway core against a broker.

    Args:
        make: builds a new core, without rows.
        storage: durable rows; used by a thread of the runtime's, closed by whoever made it.
        blobs: chunks.
        clock: time, for the core and for back-off.
        ports: makes the connections.
        topics: the tenant's.
        observer: sees what is performed.
        limits: bounds.
        seed: entropy for the jitter of reconnects.
        heard: is told of each telemetry message, device and payload, before the core judges it.
        tracing: is told of commits and of what follows from them.
    """

    def __init__(
        self,
        make: Callable[[], Gateway],
        storage: Storage,
        blobs: Blobs,
        clock: Clock,
        ports: Ports,
        topics: Topics,
        *,
        observer: Observer | None = None,
        limits: RuntimeLimits | None = None,
        seed: int = 0,
        heard: Callable[[str, bytes], None] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._make, self._storage, self._blobs, self._clock = make, storage, blobs, clock
        self._ports, self.topics = ports, topics
        self._observer: Observer = Unobserved() if observer is None else observer
        self._limits = RuntimeLimits() if limits is None else limits
        self._seed, self._heard = seed, heard
        self._tracing: Tracing = Untraced() if tracing is None else tracing
        self._last = Turn(0, 0)
        self.counters = Counters()
        self.core: Gateway = make()
        self._outbox: set[str] = set()
        self._asked = 0
        self._life: Life | None = None
        self._task: asyncio.Task[None] | None = None
        self._worker = ThreadPoolExecutor(1, "fleetdrill-storage")
        self._hasher = ThreadPoolExecutor(1, "fleetdrill-hasher")
        self._inference = Inference(OnnxModels(), blobs)

    # -- life -----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Between `start` and the end of that life."""
        return self._life is not None and not self._life.over

    @property
    def connected(self) -> bool:
        """Whether both connections are up and subscribed."""
        return self.running and bool(self.counters.connected_now)

    async def start(self) -> None:
        """Restore a core from the durable rows and connect.

        Raises:
            StorageError: a row cannot be read.
            RuntimeError: it is running.
        """
        if self.running:
            raise RuntimeError("expected a runtime that is not running, found one that is")
        await self._settled()
        stored = await self._stored(self._reread)
        now = self._clock.now()
        self.core = self._make()
        self.core.restore(stored, now)
        self._outbox = {key for table, key, _ in stored if table == rows.OUTBOX}
        self.counters.outbox_rows_now = len(self._outbox)
        self.counters.starts += 1
        say(logging.INFO, "started", rows=len(stored), outbox=len(self._outbox))
        life = self._life = self._new_life()
        life.hear(hear.Started(self._clock.wall_ms()))
        self._task = asyncio.get_running_loop().create_task(self._run(life))
        life.control.open()
        life.data.open()

    async def wait(self) -> None:
        """Wait until this life ends.

        Raises:
            Exception: what ended it, if nobody asked for the end.
        """
        task = self._task
        if task is not None:
            await asyncio.wait((task,))
            if not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """End gracefully: wait (bounded) for acknowledgements and rounds, make telemetry durable, say
        goodbye. What did not get out in time is in the outbox or is asked for again."""
        life = self._life
        if life is not None and not life.over:
            life.closing = True
            life.end_rest()
            await self._until(life, lambda: self._drained(life), self._limits.drain_s_max)
            life.group_due = True
            life.wake.set()
            await self._until(life, lambda: not life.group and not life.turning, LAST_COMMIT_S_MAX)
            self._end(life, Plane.close)
            say(logging.INFO, "stopped", outbox=len(self._outbox))
        await self._settled()

    def crash(self) -> None:
        """Drop sockets and memory without a word; may be called by the observer. `start` restores."""
        if self._life is not None and not self._life.over:
            self._end(self._life, Plane.abort)

    def close(self) -> None:
        """End the threads; the runtime cannot be started again."""
        self.crash()
        self._worker.shutdown()
        self._hasher.shutdown()
        self._inference.close()

    def _new_life(self) -> Life:
        life, limits, ports = Life(), self._limits, self._ports
        ears = Hearing(life, self.topics, self.counters, limits, self._clock)
        kept = tuple(
            self.topics.every_device(kind) for kind in UPLINK_KINDS if kind not in PASSING_KINDS
        )
        # Kept for a gateway that is away, chunk requests would be answered when their devices have
        # long asked again: the same bytes twice. An ask is worth nothing later.
        passing = (self.topics.every_device(GET), self.topics.every_device(ASK))
        life.control = Plane(
            "control", ports.control, ports.control_dial(), (), ears, self._clock,
            Backoff(self._seed, "control"), self.counters, limits.suback_s_max,
        )  # fmt: skip
        life.data = Plane(
            "data", ports.data, ports.data_dial(), kept, ears, self._clock,
            Backoff(self._seed, "data"), self.counters, limits.suback_s_max, passing,
        )  # fmt: skip
        life.rounds = Rounds(
            life.data, self._blobs, self.topics, self.counters, limits, self._hasher
        )
        return life

    def _end(self, life: Life, leave: Callable[[Plane], None]) -> None:
        life.end(leave)
        if self._task is not None:
            self._task.cancel()
        counters = self.counters
        counters.inbox_now = counters.unacked_in_now = counters.unacked_out_now = 0
        counters.connected_now = 0

    async def _settled(self) -> None:
        """Wait for the task of an earlier life; what ended it was told by `wait` and the log."""
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait((task,))

    def _drained(self, life: Life) -> bool:
        if life.inbox or life.turning:
            return False
        return not life.told_up or (not life.unacked_out and life.rounds.idle)

    async def _until(self, life: Life, reached: Callable[[], bool], s_max: float) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + s_max
        while not life.over and not reached() and loop.time() < give_up:  # noqa: ASYNC110 - the operating system has no event for "all is sent"
            await asyncio.sleep(DRAIN_LOOK_S)

    def _reread(self) -> list[tuple[str, str, Any]]:
        self._storage.forget()
        return list(self._storage.rows())

    async def _stored(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    # -- what others ask ------------------------------------------------------------------------

    def submit(
        self,
        *stimuli: hear.AnyStimulus,
        record: Record | None = None,
        guard: Guard | None = None,
    ) -> Answer:
        """Hand in an operator's mutation; the answer comes when what follows from it is durable: the
        notes that the core made of it, refusals among them.

        Args:
            stimuli: what is asked of the core, in one commit; nothing, for `record` alone.
            record: makes more rows, which become durable in the same commit or not at all. It is called
                once, when the core has answered, and must not raise.
            guard: asked before the core in the same turn; what it says is raised as `GuardError`.

        Raises:
            NotRunningError: at once, or by the future when the end comes before the answer.
            BusyError: `submissions_max` wait already.
            ProtocolError: by the future, for a name that cannot be one.
        """
        life = self._open_life()
        answer: Answer = asyncio.get_running_loop().create_future()
        life.inbox.append((None, 0, Asking(answer, stimuli, record, guard, CURRENT.get())))
        self._asked += 1
        answer.add_done_callback(self._asked_done)
        life.wake.set()
        return answer

    def read(self, look: Callable[[Gateway], T]) -> asyncio.Future[T]:
        """Ask the core something between two turns, when all that it knows is durable.

        Raises:
            NotRunningError: at once, or by the future when the end comes before the answer.
            BusyError: `submissions_max` wait already.
        """
        life = self._open_life()
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        life.looks.append((look, found))
        self._asked += 1
        found.add_done_callback(self._asked_done)
        life.wake.set()
        return found

    def wall_ns(self) -> int:
        """UTC now, nanoseconds, as the core counts it."""
        return self._clock.wall_ms() * MS

    async def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Up to `limit` durable rows of a table whose keys sort after `after`."""
        return await self._stored(lambda: self._storage.page(table, after, limit))

    def _open_life(self) -> Life:
        life = self._life
        if life is None or life.over or life.closing:
            raise NotRunningError("expected a running gateway, found one that is stopped")
        if self._asked >= self._limits.submissions_max:
            raise BusyError(f"{self._asked} requests wait to be answered already: try again later")
        return life

    def _asked_done(self, _: asyncio.Future[Any]) -> None:
        self._asked -= 1

    # -- turns ------------------------------------------------------------------------------------

    async def _run(self, life: Life) -> None:
        performer = Performer(
            life, self._observer, self._clock, self.counters, self._blobs, self._inference
        )
        try:
            while not life.over:
                if life.wake.is_set():
                    await asyncio.sleep(0)  # sockets are read between turns, however busy we are
                await life.wake.wait()
                life.wake.clear()
                life.turning = True
                await self._turn(life, performer)
                life.turning = False
        except Exception:
            if not life.over:
                LOGGER.critical("the gateway failed and stops: start it again", exc_info=True)
                self._end(life, Plane.abort)
            raise

    async def _turn(self, life: Life, performer: Performer) -> None:
        now, epoch = self._clock.now(), life.data.epoch
        effects, acks = self._take(life, now)
        due = self.core.deadline()
        if due is not None and due[0] <= now:
            effects += self._handled(hear.DeadlineReached(), now)
        if life.group and (
            life.group_due or len(life.group) >= self._limits.group_commit_messages_max
        ):
            effects += self.core.checkpoint(now)
            acks += life.group
            life.group, life.group_due = [], False
        if not await self._made_durable(life, effects, now):
            return
        if self._tracing.on:
            asked, life.asked = life.asked, []
            perform(self._tracing, performer, effects, asked, self._last, self._clock.now())
        else:
            performer.perform(effects, self._clock.now())
        if not life.over:
            self._acknowledge(life, acks, epoch)
            self._answer(life)
            self._arm_timers(life)

    def _take(self, life: Life, now: int) -> tuple[list[ask.AnyEffect], list[int]]:
        """Hand what is in the inbox to the core, up to a batch; returns what it asks for, and the
        packet ids to acknowledge when that is durable."""
        inbox, group, counters = life.inbox, life.group, self.counters
        counters.turns += 1
        counters.inbox_max = max(counters.inbox_max, len(inbox))
        effects: list[ask.AnyEffect] = []
        acks: list[int] = []
        for _ in range(min(len(inbox), self._limits.batch_messages_max)):
            stimulus, packet_id, asking = inbox.popleft()
            if asking is not None:
                first = len(effects)
                effects += self._handled_for(life, asking, now)
                if self._tracing.on:
                    life.asked.append(Asked(asking.span, first, len(effects)))
                continue
            assert stimulus is not None, "nobody asks, and nothing happened"
            effects += self._handled(stimulus, now)
            if type(stimulus) is hear.Arrived and stimulus.kind == TEL:
                group.append(packet_id)
                if self._heard is not None:
                    self._heard(stimulus.device, stimulus.payload)
            elif packet_id:
                acks.append(packet_id)
        counters.inbox_now = len(inbox)
        if inbox:
            life.wake.set()
        return effects, acks

    def _handled(self, stimulus: hear.AnyStimulus, now: int) -> list[ask.AnyEffect]:
        try:
            return self.core.handle(stimulus, now)
        except Exception:
            say(logging.CRITICAL, "the core raised", stimulus=stimulus)
            raise

    def _handled_for(self, life: Life, asking: Asking, now: int) -> list[ask.AnyEffect]:
        """The same for somebody who waits for the answer."""
        said: list[ask.AnyEffect] = []
        refusal: Exception | None = None
        try:
            self._guarded(asking)
            for stimulus in asking.stimuli:
                said += self.core.handle(stimulus, now)
        except (ProtocolError, GuardError) as error:  # refused before anything of it was changed
            life.refusals.append((asking.answer, error))
            refusal = error
        except Exception as error:
            say(logging.CRITICAL, "the core raised", stimulus=asking.stimuli)
            life.refusals.append((asking.answer, error))  # told that nothing comes any more
            raise
        noted = tuple(e for e in said if type(e) is ask.Note)
        if refusal is None:
            life.answers.append((asking.answer, noted))
        return said if asking.record is None else [*said, *asking.record(noted, refusal)]

    def _guarded(self, asking: Asking) -> None:
        why = "" if asking.guard is None else asking.guard(self.core)
        if why:
            raise GuardError(why)

    async def _made_durable(self, life: Life, effects: list[ask.AnyEffect], now: int) -> bool:
        """Commit the rows of a turn; False when this life ended meanwhile."""
        put, persisted, outbox = self._storage.put, self._observer.persisted, self._outbox
        count = 0
        for effect in effects:
            if type(effect) is not ask.Persist:
                continue
            persisted(effect, now)
            if life.over:
                return False
            put(effect.table, effect.key, effect.row)
            count += 1
            if effect.table == rows.OUTBOX:
                (outbox.discard if effect.row is None else outbox.add)(effect.key)
        if count:
            # Before it: what is heard while it commits is collected, too.
            life.rest(self._limits.commit_rest_s)
            await self._commit(count)
        elif self._tracing.on:
            self._last = Turn(0, 0)
        return not life.over

    async def _commit(self, count: int) -> None:
        counters, elapsed_us = self.counters, stopwatch()
        await self._stored(self._storage.commit)
        took_us = elapsed_us()
        counters.commits += 1
        counters.rows += count
        counters.commit_us_sum += took_us
        if self._tracing.on:
            self._last = Turn(count, took_us)
        counters.commit_us_max = max(counters.commit_us_max, took_us)
        counters.outbox_rows_now = len(self._outbox)

    def _acknowledge(self, life: Life, acks: list[int], epoch: int) -> None:
        """Acknowledge to the broker, unless the connection of these packet ids is gone."""
        data = life.data
        if data.epoch == epoch:  # up or not yet: messages may come ahead of the SUBACK
            life.acks.settle(acks, data.port.acknowledge)
            self.counters.unacked_in_now = len(life.acks)

    def _answer(self, life: Life) -> None:
        """Answer those whose mutation is durable, and those who only look."""
        for answer, notes in life.answers:
            if not answer.done():
                answer.set_result(notes)
        life.answers.clear()
        for answer, error in life.refusals:
            if not answer.done():
                answer.set_exception(error)
        life.refusals.clear()
        while life.looks:
            look, found = life.looks.popleft()
            if found.done():
                continue
            try:
                found.set_result(look(self.core))
            except Exception as error:  # noqa: BLE001 - the asker's to handle
                found.set_exception(error)

    def _arm_timers(self, life: Life) -> None:
        due = self.core.deadline()
        if due is None:
            life.disarm("deadline")
        else:
            life.arm("deadline", due[0], self._clock.wait_s(due[0]), life.wake.set)
        if not life.group:
            life.disarm("group")
        elif life.acks.held:
            life.arm("group", 1, self._limits.held_acks_s, lambda: self._group_is_due(life))
        elif not life.armed("group"):
            life.arm("group", 0, self._limits.group_commit_s, lambda: self._group_is_due(life))

    def _group_is_due(self, life: Life) -> None:
        life.group_due = True
        life.wake.set()
