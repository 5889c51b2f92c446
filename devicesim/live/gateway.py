"""The real gateway of a live run, as the world sees it: the asyncio runtime over sockets and SQLite.

Decides how the operator's calls and the gateway's faults, which do not wait in the world, become those
of a runtime, which does; and lets the world's watchers see what the core asks for. Leaves out the
runtime itself (gateway/runtime).

Rules: an operator's call that was not answered is made again, in order, when the gateway is back; at
most `CALLS_MAX` wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from typing import Any, Final

from devicesdk.wire.timebase import SECOND
from devicesim.live.pacer import Pacer
from devicesim.live.storage import LiveStorage
from devicesim.world.gateway_host import SUPERVISOR_NS
from devicesim.world.trace import GATEWAY, Trace
from devicesim.world.watch import Watch
from gateway.core import effects as ask
from gateway.core.gateway import TABLES, Gateway
from gateway.core.stimuli import AnyStimulus
from gateway.ports import Blobs, StorageError
from gateway.runtime.runtime import Runtime

CALLS_MAX: Final = 200_000
CALLS_AT_ONCE_MAX: Final = 256
ROWS_PAGE: Final = 1_000
ANSWER_TIMEOUT_S: Final = 60.0


class LiveBlobs:
    """The runtime's blob store under the name that the world uses."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def add(self, data: bytes) -> bytes:
        """Store bytes under their SHA-256."""
        return self._blobs.put(data)


class LiveRows:
    """The durable rows as they were when somebody last looked."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, Any]] = []

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Those rows as (table, key, row)."""
        return iter(self.taken)


class LiveObserver:
    """Shows the world's watchers what the gateway's core asks for.

    Args:
        pacer: real time.
        trace: of the run.
        watch: who looks.
    """

    def __init__(self, pacer: Pacer, trace: Trace, watch: Watch) -> None:
        self._pacer, self._trace, self._watch = pacer, trace, watch
        self.fuse = -1
        """Counts down with each effect seen; at zero `at_zero` is called; -1: never."""
        self.at_zero: Callable[[], None] = _nothing

    def _burn(self) -> None:
        if self.fuse > 0:
            self.fuse -= 1
            if not self.fuse:
                self.fuse = -1
                self.at_zero()

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """A row is made durable."""
        self._show(self._watch.persisted, effect, now)
        self._burn()

    def published(self, effect: ask.Publish, now: int) -> None:
        """The gateway publishes."""
        self._show(self._watch.gateway_published, effect, now)
        self._burn()

    def noted(self, effect: ask.Note, now: int) -> None:
        """The gateway says what it decided."""
        code = self._trace.vocabulary.number(effect.kind)
        self._trace.extend((self._pacer.catch_up(), GATEWAY, code, effect.a, effect.b))
        self._show(self._watch.gateway_noted, effect, now)
        self._burn()

    def _show(self, seers: list[Callable[..., None]], effect: object, now: int) -> None:
        del now
        if seers:
            at = self._pacer.catch_up()
            for seen in seers:
                seen(effect, at)


def _nothing() -> None:
    """Nobody wants to know."""


class LiveGateway:
    """The gateway process of a live run.

    Args:
        runtime: the asyncio shell; not started yet.
        storage: its rows, for closing, and for filling.
        blobs: its blobs.
        tasks: where its calls run.
        observer: sees its effects, for a crash at one of them.
        speed: scenario seconds per real one.
        standing: entered while the process is being started.
    """

    def __init__(
        self,
        runtime: Runtime,
        storage: LiveStorage,
        blobs: Blobs,
        tasks: asyncio.TaskGroup,
        observer: LiveObserver,
        speed: float = 1.0,
        standing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._standing = standing
        self.runtime, self.store, self.blobs = runtime, LiveRows(), LiveBlobs(blobs)
        self._storage, self._observer = storage, observer
        observer.at_zero = self._burnt
        self._supervisor_s = SUPERVISOR_NS / SECOND / speed
        self._supervising: asyncio.Task[None] | None = None
        self.kept_down = 0
        """Faults that keep it from being started."""
        self._tasks = tasks
        self.crashes = self.inbox_peak = self.commit_ns = 0
        self.wanted_up = False
        self.tampering: Callable[[str, bytes], bytes] | None = None
        self.silent: Callable[[str], bool] | None = None
        self._calls: deque[AnyStimulus] = deque()
        self._more = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    # -- what the world looks at ----------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the process runs, or is about to."""
        return self.wanted_up

    @property
    def connected(self) -> bool:
        """Whether it is connected to the broker."""
        return self.runtime.connected

    @property
    def core(self) -> Gateway:
        """The machine itself."""
        return self.runtime.core

    def on_the_wire(self) -> int:
        """Not known from here: the broker's in-flight window."""
        return 0

    # -- what the world does --------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Start the process."""
        del now
        self.wanted_up = True
        self._starting = self._tasks.create_task(self._start(self._starting))

    async def _start(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        if self.wanted_up:
            with self._standing():
                await self.runtime.start()
            self._more.set()

    def crash(self, now: int, effect: int = 0) -> None:
        """Kill the process, now or at an effect to come: sockets and memory are gone."""
        del now
        if effect:
            fuse = self._observer.fuse
            self._observer.fuse = effect if fuse < 0 else min(fuse, effect)
        else:
            self._burnt()

    def _burnt(self) -> None:
        if self.wanted_up:
            self.wanted_up = False
            self.crashes += 1
            self.runtime.crash()

    def stop(self, now: int) -> None:
        """End the process in good order; a start that comes after waits for that."""
        del now
        if self.wanted_up:
            self.wanted_up = False
            self._starting = self._tasks.create_task(self._stop(self._starting))

    async def _stop(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await self.runtime.stop()

    def keep_down(self, now: int) -> None:
        """Once the process has ended nobody starts it, until `let_up` was called as often."""
        del now
        self.kept_down += 1

    def let_up(self, now: int) -> None:
        """One reason less to be down; with the last one gone it starts, if it has ended."""
        self.kept_down -= 1
        if not self.kept_down:
            self._observer.fuse = -1
            if not self.wanted_up:
                self.start(now)

    def fill_store(self, now: int, *, full: bool) -> None:
        """Let commits fail: each ends the process, and a supervisor starts it again."""
        del now
        self._storage.full = full
        if full and (self._supervising is None or self._supervising.done()):
            self._supervising = self._tasks.create_task(self._supervise())

    async def _supervise(self) -> None:
        """Start again what has failed, until there is room and it runs."""
        while self._storage.full or self._has_failed:
            await asyncio.sleep(self._supervisor_s)
            if self._has_failed:
                with suppress(StorageError):
                    await self.runtime.wait()  # what ended it is known
                self.crashes += 1
                with self._standing():
                    await self.runtime.start()
                self._more.set()

    @property
    def _has_failed(self) -> bool:
        starting = self._starting is not None and not self._starting.done()
        return self.wanted_up and not starting and not self.runtime.running

    def lose_roots(self, keep: int) -> None:
        """Not here: the stage lists the verb among those that cannot be done."""
        raise RuntimeError(f"expected a store to take all roots but {keep} from, found a live one")

    def refuse_rows(self, now: int) -> None:
        """Not here: the stage lists the verb among those that cannot be done."""
        raise RuntimeError(
            f"expected an older version of the gateway to start at {now}, found none"
        )

    def tamper(self, change: Callable[[str, bytes], bytes] | None) -> None:
        """Change chunks when they reach a device."""
        self.tampering = change

    def silence(self, is_silent: Callable[[str], bool] | None) -> None:
        """Leave requests for chunks without an answer: seen from a device, nothing comes."""
        self.silent = is_silent

    def stimulate(self, stimulus: AnyStimulus, now: int) -> None:
        """What the operator asks for; lost where the process is down, as every call would be."""
        del now
        if self.wanted_up and len(self._calls) < CALLS_MAX:
            self._calls.append(stimulus)
            self._more.set()

    async def serve_calls(self) -> None:
        """Make the operator's calls, one batch after the other; runs for the whole run."""
        while True:
            await self._more.wait()
            self._more.clear()
            if not self.runtime.running:
                continue  # `start` sets it again
            calls = list(islice(self._calls, CALLS_AT_ONCE_MAX))
            answers = [self.runtime.submit(call) for call in calls]
            found = await asyncio.wait_for(
                asyncio.gather(*answers, return_exceptions=True), ANSWER_TIMEOUT_S
            )
            for answer in found:
                if isinstance(answer, Exception):
                    break
                self._calls.popleft()
            self.inbox_peak = self.runtime.counters.inbox_max
            if self._calls:
                self._more.set()

    async def look(self) -> None:
        """Take the durable rows as they are now, for the checks to read."""
        taken: list[tuple[str, str, Any]] = []
        for table in TABLES:
            after = ""
            while page := await self.runtime.page(table, after, ROWS_PAGE):
                taken += [(table, key, row) for key, row in page]
                after = page[-1][0]
        self.store.taken = taken

    @property
    def idle(self) -> bool:
        """Whether every call was answered."""
        return not self._calls

    async def close(self) -> None:
        """End the process in good order: what was decided is said and saved."""
        if self._supervising is not None:
            self._supervising.cancel()
        self._storage.full = False
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=ANSWER_TIMEOUT_S)
        if self.wanted_up:
            await self.runtime.stop()
        self.runtime.close()
        self._storage.close()
