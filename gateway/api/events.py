"""What changes, told to whoever listens: server-sent events.

Decides what is told, how often, and what becomes of a listener that is slow. Leaves out the route.

Theory of operation. One beacon looks at the core for all listeners, at most every `look_s`, and only where something
was committed since; what differs from the last look is put down for each listener, one slot for each kind of event.
Events are states, never changes: whoever missed one has lost nothing, a new listener gets every state, and
``Last-Event-ID`` needs no memory.

Rules: nothing is told to a token that has ended, and its stream ends within `STILL_S`; a listener holds one event of each kind; full (it did not read the one before), the newer state replaces the
older; one that does not read for `SEND_S_MAX` is left; at most `clients_max` listeners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.core.alarms.views import AlarmCounts
from gateway.core.control.views import Overview
from gateway.core.experiments.experiments import ExperimentView
from gateway.core.gateway import Gateway
from gateway.runtime.alarm_views import counts_of
from gateway.runtime.askable import Askable
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.lookups import KillsView, kills_of
from gateway.runtime.rollout_views import RolloutTold, rollouts_of
from gateway.runtime.verbs import VerbError

SEND_S_MAX: Final = 30.0
RETRY_MS: Final = 2_000
"""After which a browser comes back."""
ROLLOUTS_TOLD_MAX: Final = 32
"""The newest; more are asked for by their own route."""
STILL_S: Final = 1.0
"""How long a token that has ended may go on listening."""
MEDIA: Final = "text/event-stream"
UNSCOPED: Final = ("approvals",)
"""Not told to a token with a scope: it sees its own requests alone, and a sum would tell it of the others."""
_ENCODE: Final = msgspec.json.Encoder().encode


class FleetEvent(msgspec.Struct, frozen=True):
    """Event ``fleet``."""

    fleet: Overview
    connected: bool


class RolloutsEvent(msgspec.Struct, frozen=True):
    """Event ``rollouts``: the newest `ROLLOUTS_TOLD_MAX`, the oldest of them first."""

    rollouts: list[RolloutTold]


class ExperimentsEvent(msgspec.Struct, frozen=True):
    """Event ``experiments``."""

    experiments: list[ExperimentView]


class FlagsEvent(msgspec.Struct, frozen=True):
    """Event ``flags``: revisions by segment."""

    segments: dict[str, int]


class KillsEvent(msgspec.Struct, frozen=True):
    """Event ``kills``."""

    kills: KillsView


class AlarmsEvent(msgspec.Struct, frozen=True):
    """Event ``alarms``: open ones in sum; `newest` changes with every change of any."""

    alarms: AlarmCounts


class ApprovalsEvent(msgspec.Struct, frozen=True):
    """Event ``approvals``: requests that wait for a second person."""

    waiting: int


class ClockEvent(msgspec.Struct, frozen=True):
    """Event ``clock``, with everything else that is told: the gateway's own time, UTC in milliseconds."""

    now_ms: int


def states(core: Gateway, *, connected: bool, waiting: int) -> dict[str, bytes]:
    """Every state that is told when it changes, as JSON, by the kind of its event."""
    fleet = core.overview()
    return {
        "fleet": _ENCODE(FleetEvent(fleet, connected)),
        "rollouts": _ENCODE(RolloutsEvent(rollouts_of(core)[-ROLLOUTS_TOLD_MAX:])),
        "experiments": _ENCODE(ExperimentsEvent(core.experiment_views())),
        "flags": _ENCODE(FlagsEvent(fleet.flags_revs)),
        "kills": _ENCODE(KillsEvent(kills_of(core))),
        "alarms": _ENCODE(AlarmsEvent(counts_of(core))),
        "approvals": _ENCODE(ApprovalsEvent(waiting)),
    }


class Listener:
    """One who listens: what was not sent yet, by kind.

    Args:
        scoped: sums over what they may not see are not told.
    """

    __slots__ = ("_scoped", "over", "pending", "wake")

    def __init__(self, *, scoped: bool = False) -> None:
        self._scoped = scoped
        self.pending: dict[str, bytes] = {}
        """Ready to be sent; at most one of each kind."""
        self.wake = asyncio.Event()
        self.over = False

    def tell(self, kind: str, event: bytes) -> None:
        """Put an event down; an older one of its kind makes room."""
        if self._scoped and kind in UNSCOPED:
            return
        self.pending.pop(kind, None)
        self.pending[kind] = event
        self.wake.set()

    def end(self) -> None:
        """Nothing more comes."""
        self.over = True
        self.wake.set()


class Beacon:
    """Looks once for all who listen.

    Args:
        runtime: what is looked at.
        clients_max: listeners.
        look_s: between two looks.
        waiting: how many requests wait for a second person.
    """

    def __init__(
        self,
        runtime: Askable,
        clients_max: int,
        look_s: float,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._runtime, self._clients_max, self._look_s = runtime, clients_max, look_s
        self._waiting = waiting
        self._listeners: dict[Listener, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._known: dict[str, bytes] = {}
        self._number = 0
        self._mark: tuple[int, bool, int] | None = None

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def join(self, *, scoped: bool = False) -> Listener:
        """Begin to listen; every state is told at first, to a `scoped` one all but `UNSCOPED`.

        Raises:
            VerbError: ``busy``: too many do.
        """
        if len(self._listeners) >= self._clients_max:
            raise VerbError(
                "busy", f"{self._clients_max} listen already, the most there may be: come later"
            )
        listener = Listener(scoped=scoped)
        for kind, data in self._known.items():
            listener.tell(kind, self._event(kind, data))
        self._listeners[listener] = None
        if self._task is None or self._task.done():
            self._mark = None
            self._task = asyncio.get_running_loop().create_task(self._watch())
        return listener

    def leave(self, listener: Listener) -> None:
        """End listening."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self._known.clear()
            if self._task is not None:
                self._task.cancel()
                self._task = None

    def close(self) -> None:
        """End all streams."""
        for listener in self._listeners:
            listener.end()

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except (NotRunningError, BusyError):
                self._mark = None  # it stops or restarts, or has no time: look again
            await asyncio.sleep(self._look_s)

    async def _look(self) -> None:
        runtime = self._runtime
        connected, waiting = runtime.connected, self._waiting()
        mark = (runtime.counters.commits, connected, waiting)
        if mark == self._mark:
            return
        found = await runtime.read(lambda core: states(core, connected=connected, waiting=waiting))
        self._mark = mark
        for kind, data in found.items():
            if self._known.get(kind) != data:
                self._known[kind] = data
                self._number += 1
                event = self._event(kind, data)
                for listener in self._listeners:
                    listener.tell(kind, event)

    def _event(self, kind: str, data: bytes) -> bytes:
        return b"event: %s\nid: %d\ndata: %s\n\n" % (kind.encode(), self._number, data)


class EventStream(Response):
    """A response that goes on until somebody ends it.

    Args:
        beacon: what is told.
        beat_s: a silent stream says this often that it is there.
        still: whether the listener may go on.
        wall_ms: the gateway's time, UTC.
        scoped: who listens sees the devices of some labels alone.
    """

    media_type = MEDIA

    def __init__(
        self,
        beacon: Beacon,
        beat_s: float,
        still: Callable[[], bool],
        wall_ms: Callable[[], int],
        *,
        scoped: bool,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._beacon, self._beat_s, self._still = beacon, beat_s, still
        self._wall_ms = wall_ms
        self._listener, self._silent_s = beacon.join(scoped=scoped), 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until the listener leaves, may not stay, or does not read."""
        del scope
        listener = self._listener
        gone = asyncio.get_running_loop().create_task(_until_gone(receive, listener))
        try:
            start = {"status": 200, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            await self._send(send, b"retry: %d\n\n" % RETRY_MS + self._clock())
            while not listener.over:
                await self._tell(send, listener)
            await self._send(send, b"", more=False)
        except TimeoutError:
            pass  # it does not read: the server closes the connection
        finally:
            gone.cancel()
            self._beacon.leave(listener)

    async def _tell(self, send: Send, listener: Listener) -> None:
        """Wait for news, or for the next look at the token: it is looked at before anything is told."""
        look_s = min(self._beat_s, STILL_S)
        try:
            async with asyncio.timeout(look_s):
                await listener.wake.wait()
        except TimeoutError:
            self._silent_s += look_s
        if not self._still():
            listener.end()
            return
        if not listener.wake.is_set():
            if self._silent_s >= self._beat_s:
                self._silent_s = 0.0
                await self._send(send, b": still here\n\n" + self._clock())
            return
        self._silent_s = 0.0
        listener.wake.clear()
        pending, listener.pending = listener.pending, {}
        if pending and not listener.over:
            await self._send(send, b"".join([self._clock(), *pending.values()]))

    def _clock(self) -> bytes:
        # Without an id: it is no place in the stream to go on from.
        return b"event: clock\ndata: %s\n\n" % _ENCODE(ClockEvent(self._wall_ms()))

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(SEND_S_MAX):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()
