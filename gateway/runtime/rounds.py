"""Rounds of chunks on their way to the broker.

Decides when a round's chunks are read and sent: at once while the data connection has room, else when
it has. Leaves out which chunks (the core) and lost ones (the device asks again: a round that cannot be
sent in time is dropped, never queued for long, because by then its device has asked for another).

Rules: order is kept; chunks are read when they are sent, so what waits is small; a blob that is too
large to be hashed in passing is hashed by another thread first, and rounds for it are dropped meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Executor
from typing import Final

from devicesdk.aio.port import PortFullError
from devicesdk.wire import topics
from devicesdk.wire.codec import Frame, encode_frame
from devicesdk.wire.topics import Topics
from gateway.config import RuntimeLimits
from gateway.core.effects import SendRound
from gateway.ports import BlobError, Blobs, Counters
from gateway.runtime.logs import say
from gateway.runtime.plane import Plane

LOOK_S: Final = 0.005
"""While rounds wait for room they look this often: a port does not say when it has some."""


class Rounds:
    """Sends rounds through one plane.

    Args:
        plane: the data connection.
        blobs: where chunks are read.
        names: the tenant's topics.
        counters: where rounds are counted.
        limits: bounds.
        hasher: runs the hashing of large blobs.
    """

    def __init__(
        self,
        plane: Plane,
        blobs: Blobs,
        names: Topics,
        counters: Counters,
        limits: RuntimeLimits,
        hasher: Executor,
    ) -> None:
        self._plane, self._blobs, self._names = plane, blobs, names
        self._counters, self._limits, self._hasher = counters, limits, hasher
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, SendRound]] = deque()
        self._hashing: dict[bytes, asyncio.Future[None]] = {}
        self._damaged: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits and the operating system has taken everything."""
        return not self._waiting and not self._plane.port.unsent_bytes

    def send(self, effect: SendRound) -> None:
        """Send a round, now or soon; or drop it."""
        if not self._plane.up:
            return
        if not self._waiting and self._plane.port.unsent_bytes <= self._limits.unsent_bytes_max:
            self._emit(effect)
        elif len(self._waiting) >= self._limits.rounds_waiting_max:
            self._drop(effect, "too many rounds wait")
        else:
            self._waiting.append((self._loop.time(), effect))
            self._counters.rounds_waiting_now = len(self._waiting)
            if self._timer is None:
                self._timer = self._loop.call_later(LOOK_S, self._look)

    def clear(self) -> None:
        """Forget what waits: the connection is gone, and the devices ask again."""
        self._waiting.clear()
        self._counters.rounds_waiting_now = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        waiting, port = self._waiting, self._plane.port
        oldest = self._loop.time() - self._limits.round_wait_s_max
        while waiting and waiting[0][0] < oldest:
            self._drop(waiting.popleft()[1], "waited too long for room")
        while waiting and port.unsent_bytes <= self._limits.unsent_bytes_max:
            self._emit(waiting.popleft()[1])
        self._counters.rounds_waiting_now = len(waiting)
        if waiting:
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def _emit(self, effect: SendRound) -> None:
        if not self._blobs.ready(effect.blob):
            self._hash(effect)
            return
        try:
            self._send_all(effect)
        except BlobError as error:
            self._drop(effect, str(error))
        except (PortFullError, ValueError) as error:
            self._drop(effect, f"the connection does not take it: {error}")

    def _send_all(self, effect: SendRound) -> None:
        topic = self._names.device(effect.device, topics.DAT)
        publish, digest8 = self._plane.port.publish, effect.blob[:8]
        read, blob, size = self._blobs.chunk, effect.blob, effect.chunk_bytes
        last, sent_bytes = len(effect.indices) - 1, 0
        for place, index in enumerate(effect.indices):
            count = last + 1 if place == last else 0
            frame = Frame(effect.transfer, effect.seq, digest8, index, count)
            payload = encode_frame(frame, read(blob, index * size, size))
            publish(topic, payload)
            sent_bytes += len(payload)
        counters = self._counters
        counters.rounds += 1
        counters.bytes_out += sent_bytes
        out = counters.messages_out
        out[topics.DAT] = out.get(topics.DAT, 0) + last + 1

    def _hash(self, effect: SendRound) -> None:
        blob = effect.blob
        if blob in self._damaged:
            self._drop(effect, "its blob is damaged")
            return
        if blob not in self._hashing:
            self._hashing[blob] = job = self._loop.run_in_executor(
                self._hasher, self._blobs.verify, blob
            )
            job.add_done_callback(lambda done: self._hashed(blob, done))
        self._drop(effect, "its blob is being verified")

    def _hashed(self, blob: bytes, done: asyncio.Future[None]) -> None:
        self._hashing.pop(blob, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            self._damaged.add(blob)
            say(logging.ERROR, "blob refused", blob=blob.hex(), error=error)

    def _drop(self, effect: SendRound, why: str) -> None:
        self._counters.rounds_dropped += 1
        say(logging.WARNING, "round dropped", device=effect.device, transfer=effect.transfer,
            seq=effect.seq, why=why)  # fmt: skip
