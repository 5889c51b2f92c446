"""What a running gateway holds in memory: everything that a crash loses.

Decides what is thrown away together, and the timers. Leaves out what happens in a turn (runtime.py).
Each start makes a new `Life`; nothing of an earlier one is seen again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from devicesdk.aio.port import Dial
from gateway.core import effects as ask
from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway
from gateway.ports import Span
from gateway.runtime.acks import Acks
from gateway.runtime.plane import MakePort, Plane
from gateway.runtime.rounds import Rounds
from gateway.runtime.spans import Asked

Notes = tuple[ask.Note, ...]
Answer = asyncio.Future[Notes]
Record = Callable[[Notes, Exception | None], list[ask.Persist]]
"""Rows to make durable together with a mutation: of what the core noted, or why nobody asked it (`GuardError`) or it
would not look (`ProtocolError`)."""

Guard = Callable[[Gateway], str]
"""Looks at the core in the turn of a mutation, before it: why it must not be done, or nothing. It may raise
`GuardError` itself, with another code."""


class Asking(msgspec.Struct, frozen=True):
    """Somebody who waits for a mutation to be durable."""

    answer: Answer
    stimuli: tuple[hear.AnyStimulus, ...]
    record: Record | None = None
    guard: Guard | None = None
    span: Span | None = None
    """Within which it is told what became of it."""


class NotRunningError(RuntimeError):
    """The runtime is not running, or stopped before it had answered."""


class BusyError(RuntimeError):
    """Too much waits already; try again later."""


class GuardError(RuntimeError):
    """A guard stopped a mutation; by its `code`, what somebody looked at before has changed since."""

    def __init__(self, message: str, code: str = "changed") -> None:
        super().__init__(message)
        self.code = code


class Ports(msgspec.Struct, frozen=True):
    """Makes the two MQTT clients, and says how they connect."""

    control: MakePort
    data: MakePort
    client_id: str = "fleetdrill-gateway"
    keepalive_s: int = 30
    session_expiry_s: int = 24 * 3600
    receive_maximum: int = 1_024

    def control_dial(self) -> Dial:
        """It only publishes: a session would be empty."""
        return Dial(
            client_id=f"{self.client_id}-control", keepalive_s=self.keepalive_s, clean_start=True
        )

    def data_dial(self) -> Dial:
        """The broker keeps the session, and messages are acknowledged by hand."""
        return Dial(
            client_id=f"{self.client_id}-data",
            keepalive_s=self.keepalive_s,
            session_expiry_s=self.session_expiry_s,
            receive_maximum=self.receive_maximum,
            manual_ack=True,
        )


class Life:
    """From one start to the next stop or crash."""

    __slots__ = (
        "_loop",
        "_resting",
        "_timers",
        "acks",
        "answers",
        "asked",
        "closing",
        "control",
        "data",
        "group",
        "group_due",
        "inbox",
        "looks",
        "over",
        "refusals",
        "rounds",
        "told_epoch",
        "told_up",
        "turning",
        "unacked_out",
        "wake",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, tuple[int, asyncio.TimerHandle]] = {}
        self.inbox: deque[tuple[hear.AnyStimulus | None, int, Asking | None]] = deque()
        """Stimulus, packet id to acknowledge or 0; or who asked, and for what."""
        self.acks = Acks()
        self.answers: list[tuple[Answer, Notes]] = []
        """What this turn's commit will answer."""
        self.refusals: list[tuple[Answer, Exception]] = []
        """The same for those whom the core would not hear."""
        self.asked: list[Asked] = []
        """Those in this turn who want to be told of its commit."""
        self.looks: deque[tuple[Callable[[Gateway], Any], asyncio.Future[Any]]] = deque()
        self.group: list[int] = []
        """Telemetry that waits for its commit: packet ids, 0 for QoS 0."""
        self.group_due = False
        self.unacked_out: dict[int, Plane] = {}
        """Tokens of publishes that wait for the broker, and by which connection."""
        self.wake = asyncio.Event()
        """Begins a turn."""
        self._resting = False
        self.turning = self.closing = self.over = False
        self.told_up = False
        """Whether the core was last told that the broker is there."""
        self.told_epoch = 0
        self.control: Plane
        self.data: Plane
        self.rounds: Rounds

    def hear(self, stimulus: hear.AnyStimulus, packet_id: int = 0) -> None:
        """Put something into the inbox."""
        self.inbox.append((stimulus, packet_id, None))
        if not self._resting:
            self.wake.set()

    def rest(self, rest_s: float) -> None:
        """Collect what is heard for a moment: what many devices say at once needs one commit then. Who asks
        is not heard but wakes, and takes along what was collected."""
        if not (self.over or self.closing):
            self._resting = True
            self.arm("rest", 0, rest_s, self.end_rest)

    def end_rest(self) -> None:
        """What was collected meanwhile begins a turn."""
        self.disarm("rest")
        self._resting = False
        if self.inbox:
            self.wake.set()

    def arm(self, name: str, instant: int, delay_s: float, rings: Callable[[], None]) -> None:
        """Set a timer, unless it is set for that instant already."""
        armed = self._timers.get(name)
        if armed is not None:
            if armed[0] == instant:
                return
            armed[1].cancel()

        def ring() -> None:
            self._timers.pop(name, None)
            rings()

        self._timers[name] = instant, self._loop.call_later(delay_s, ring)

    def armed(self, name: str) -> bool:
        """Whether a timer is set."""
        return name in self._timers

    def disarm(self, name: str) -> None:
        """Take a timer back."""
        armed = self._timers.pop(name, None)
        if armed is not None:
            armed[1].cancel()

    def end(self, leave: Callable[[Plane], None]) -> None:
        """Leave both connections, and tell all who wait that nothing comes any more."""
        self.over = True
        leave(self.control)
        leave(self.data)
        self.rounds.clear()
        for name in list(self._timers):
            self.disarm(name)
        gone = NotRunningError("the gateway stopped before it had answered: look, then ask again")
        futures: list[asyncio.Future[Any]] = [
            asking.answer for _, _, asking in self.inbox if asking is not None
        ]
        futures += [answer for answer, _ in (*self.answers, *self.refusals)]
        futures += [found for _, found in self.looks]
        for future in futures:
            if not future.done():
                future.set_exception(gone)
                future.exception()  # whoever asked may be gone, too
        self.inbox.clear()
        self.looks.clear()
        self.unacked_out.clear()
        self.wake.set()
