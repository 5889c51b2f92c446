"""What the core asked for, done: publishes, rounds, notes.

Decides which connection carries what, and what happens when one does not take it. Leaves out rows (made
durable before this, by the runtime) and chunks (rounds.py).

Rules: retained state (want, flags, kill) goes over the control connection and everything else over the
data connection, so a thousand rounds never stand before a kill; while a connection is away nothing is
sent: the outbox keeps what must not be lost and `BrokerUp` says it again.
"""

from __future__ import annotations

import logging
from math import ceil
from typing import Final

from devicesdk.aio.clock import WAIT_S_MAX, Clock
from devicesdk.aio.log_brake import LogBrake
from devicesdk.aio.port import PortFullError
from devicesdk.wire.errors import Nack
from devicesdk.wire.topics import FLAGS, KILL, TIMESTAMP, WANT
from gateway.core import effects as ask
from gateway.core import notes
from gateway.core.collect import notes as collect_notes
from gateway.core.stimuli import Inferred
from gateway.core.transfers import notes as transfers_notes
from gateway.ports import Blobs, Counters, Observer
from gateway.runtime.inference import Inference
from gateway.runtime.life import Life
from gateway.runtime.logs import LOGGER, say
from gateway.runtime.plane import Plane

CONTROL_KINDS: Final = frozenset({WANT, FLAGS, KILL, TIMESTAMP})
_TOLD_KINDS: Final = (
    "rollout.", "wave.", "bundle.", "flag.", "kill.", "role.", "experiment.", "alarm.", notes.NOT_BACK,
)  # fmt: skip
"""Notes that are logged as INFO; the others, which come by the device, as DEBUG."""
_SUSPECT_KINDS: Final = frozenset(
    {notes.BAD_MESSAGE, notes.FULL, collect_notes.MALFORMED, collect_notes.FULL}
    | {
        transfers_notes.REFUSED[code]
        for code in (
            Nack.INVALID_REQUEST,
            Nack.UNAUTHORIZED,
            Nack.RESOURCE_NOT_FOUND,
            Nack.OFFSET_OUT_OF_BOUNDS,
            Nack.BLOCK_COUNT_LIMIT_EXCEEDED,
        )
    }
)
"""Notes of what no device in order says: logged as WARNING with the device as subject, the first, the
10th, the 100th ... of each device in a minute (`count`)."""


class Performer:
    """Performs effects in one life.

    Args:
        life: whose connections are used.
        observer: sees each effect first, and may end the life.
        clock: for expiries.
        counters: where messages are counted.
        blobs: where the core's own blobs are put.
        inference: runs the asks of devices.
    """

    __slots__ = (
        "_blobs",
        "_brake",
        "_clock",
        "_counters",
        "_inference",
        "_life",
        "_observer",
        "sent",
    )

    def __init__(
        self,
        life: Life,
        observer: Observer,
        clock: Clock,
        counters: Counters,
        blobs: Blobs,
        inference: Inference,
    ) -> None:
        self._life, self._observer, self._blobs = life, observer, blobs
        self._inference = inference
        self._clock, self._counters = clock, counters
        self._brake = LogBrake()
        self.sent: dict[str, tuple[int, int]] | None = None
        """Where it is counted what the connections took: messages and payload bytes by kind; None: nowhere."""

    def perform(self, effects: list[ask.AnyEffect], now: int) -> None:
        """Everything but rows, in order; stops when the observer ended this life."""
        life = self._life
        for effect in effects:
            if life.over:
                return
            kind = type(effect)
            if kind is ask.Publish:
                assert isinstance(effect, ask.Publish)
                self._publish(effect, now)
            elif kind is ask.SendRound:
                assert isinstance(effect, ask.SendRound)
                life.rounds.send(effect)
            elif kind is ask.KeepBlob:
                assert isinstance(effect, ask.KeepBlob)
                self._blobs.put(effect.data)
            elif kind is ask.Infer:
                assert isinstance(effect, ask.Infer)
                self._inference.infer(effect, self._inferred)
            elif kind is ask.Note:
                assert isinstance(effect, ask.Note)
                self._note(effect, now)

    def _inferred(self, inferred: Inferred) -> None:
        if not self._life.over:
            self._life.hear(inferred)

    def _publish(self, effect: ask.Publish, now: int) -> None:
        self._observer.published(effect, now)
        life = self._life
        plane = life.control if effect.kind in CONTROL_KINDS else life.data
        if life.over or not plane.up:
            return
        if effect.token:
            life.unacked_out[effect.token] = plane
        try:
            plane.port.publish(
                effect.topic,
                effect.payload,
                qos=1 if effect.token else 0,
                retain=effect.retain,
                token=effect.token,
                expiry_s=self._expiry_s(effect.expiry_ns),
            )
        except (PortFullError, ValueError) as error:
            self._refused(plane, effect, error)
            return
        counters = self._counters
        out = counters.messages_out
        out[effect.kind] = out.get(effect.kind, 0) + 1
        counters.bytes_out += len(effect.payload)
        if self.sent is not None:
            count, size = self.sent.get(effect.kind, (0, 0))
            self.sent[effect.kind] = count + 1, size + len(effect.payload)
        counters.unacked_out_now = len(life.unacked_out)

    def _refused(self, plane: Plane, effect: ask.Publish, error: Exception) -> None:
        self._life.unacked_out.pop(effect.token, None)
        say(logging.ERROR, "publish not taken", plane=plane.name, topic=effect.topic, error=error)
        if isinstance(error, PortFullError) and effect.token:
            plane.give_up("it takes no more")  # and what the outbox holds is said again

    def _expiry_s(self, expiry_ns: int) -> int:
        """Real seconds, whole ones, as brokers count: at least 1, at most `WAIT_S_MAX`."""
        if not expiry_ns:
            return 0
        clock = self._clock
        return max(1, min(int(WAIT_S_MAX), ceil(clock.wait_s(clock.now() + expiry_ns))))

    def _note(self, effect: ask.Note, now: int) -> None:
        if effect.kind in _SUSPECT_KINDS:
            count = self._brake.tells(effect.kind, effect.subject, now)
            if count:
                say(logging.WARNING, effect.kind, subject=effect.subject, a=effect.a, b=effect.b,
                    count=count)  # fmt: skip
        else:
            level = logging.INFO if effect.kind.startswith(_TOLD_KINDS) else logging.DEBUG
            if LOGGER.isEnabledFor(level):
                say(level, effect.kind, subject=effect.subject, a=effect.a, b=effect.b)
        self._observer.noted(effect, now)
