"""A witness of what the broker promised: who published what, what was acknowledged, what came.

A publisher with one message in flight keeps the book of acknowledgements; a subscriber with a
persistent session is away meanwhile. After the broker was killed and started again the subscriber
comes back, and the book is compared with what it gets.

Why the very last acknowledgement is told apart: mosquitto writes the acknowledgement in the turn of
its loop that took the message, and saves at the end of that turn. With one message in flight, each
acknowledgement proves that the turns of all earlier messages ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound

TOPIC = "witness/words"
PATIENCE_S = 90.0
RETRY_S = 0.1
FENCE = 0
"""What is written last of all, by somebody else: the writer's numbers begin at 1."""
BETWEEN_S = 0.01


class Guest:
    """One client of the broker that says when something happened to it."""

    def __init__(
        self, endpoint: Endpoint, name: str, session_expiry_s: int = 0, clean: bool = False
    ) -> None:
        self._dial = Dial(
            client_id=name, session_expiry_s=session_expiry_s, clean_start=clean, keepalive_s=5,
            timeout_s=2.0, receive_maximum=1000,
        )  # fmt: skip
        self.port = LeanPort(endpoint, self)
        self.up = asyncio.Event()
        self.failed = asyncio.Event()
        self.granted = asyncio.Event()
        self.acked: list[int] = []
        self.news = asyncio.Event()
        self.session_present = False
        self.heard: Callable[[Inbound], None] = lambda message: None

    async def join(self, *filters: str) -> None:
        """Connect, as often as it takes, and subscribe."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.up.is_set():
                self.failed.clear()
                self.port.connect(self._dial)
                waits = [asyncio.ensure_future(e.wait()) for e in (self.up, self.failed)]  # noqa: TID251 - awaited on the next line
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
                if not self.up.is_set():
                    await asyncio.sleep(RETRY_S)
            if filters:
                self.port.subscribe(filters)
                await self.granted.wait()

    def leave(self) -> None:
        """Say goodbye; the session stays for as long as it was asked for."""
        self.port.disconnect()
        self.up.clear()
        self.granted.clear()

    # -- listener -------------------------------------------------------------------------------

    def on_connected(self, granted: Granted) -> None:
        self.session_present = granted.session_present
        self.up.set()

    def on_connect_failed(self, reason: str) -> None:
        self.failed.set()

    def on_disconnected(self, reason: str) -> None:
        self.up.clear()
        self.granted.clear()
        self.failed.set()
        self.news.set()

    def on_suback(self, codes: tuple[int, ...]) -> None:
        self.granted.set()

    def on_puback(self, token: int, code: int) -> None:
        self.acked.append(token)
        self.news.set()

    def on_message(self, message: Inbound) -> None:
        self.heard(message)


class Witness:
    """The pair."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._writer = Guest(endpoint, "witness-writer", clean=True)
        self._reader = Guest(endpoint, "witness-reader", session_expiry_s=24 * 3600)
        self._reader.heard = self._read
        self._came: set[int] = set()
        self._endpoint, self._fenced = endpoint, asyncio.Event()
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Make the reader's session, send the reader away, and let the writer write."""
        await self._reader.join(TOPIC)
        self._reader.leave()
        self._writer.acked.clear()
        self._came.clear()
        await self._writer.join()
        self._task = asyncio.get_running_loop().create_task(self._write())

    async def end(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._writer.leave()

    async def lost(self) -> tuple[int, list[int]]:
        """After the restart: how many were acknowledged, and which of them never came."""
        acked = list(self._writer.acked)
        await self._reader.join()
        fence = Guest(self._endpoint, "witness-fence", clean=True)
        await fence.join()
        self._fenced.clear()
        fence.port.publish(TOPIC, b"%d" % FENCE, qos=1, token=1)
        async with asyncio.timeout(PATIENCE_S):
            await self._fenced.wait()  # a topic keeps its order: what waited has come before
        fence.leave()
        self._reader.leave()
        return len(acked), [number for number in acked if number not in self._came]

    def last_acked(self) -> int:
        """The very last message that was acknowledged; 0 for none."""
        return self._writer.acked[-1] if self._writer.acked else 0

    async def _write(self) -> None:
        writer = self._writer
        while writer.up.is_set():
            self._number += 1
            before = len(writer.acked)
            writer.news.clear()
            writer.port.publish(TOPIC, b"%d" % self._number, qos=1, token=self._number)
            while writer.up.is_set() and len(writer.acked) == before:
                await writer.news.wait()
                writer.news.clear()
            await asyncio.sleep(BETWEEN_S)

    def _read(self, message: Inbound) -> None:
        number = int(message.payload)
        self._came.add(number)
        if number == FENCE:
            self._fenced.set()
