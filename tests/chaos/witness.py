"""A witness of what the broker promised: who published what, what was acknowledged, what came.

A publisher with some messages in flight keeps the book of acknowledgements; a subscriber with a persistent
session is away meanwhile. After the broker was killed and started again the publisher says again what nobody
has acknowledged, as every client of ours does; then the subscriber comes back, and the book is compared with
what it gets.

Two publishers write at once. The *believer* takes each PUBACK for the truth: mosquitto sends it before it saves,
so a kill may take back what it was told last. The *doubter* dials as devices do (`Dial.proven_acks`): of what it
counts as acknowledged nothing may be missing, ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound

TOPICS = "witness/+"
PATIENCE_S = 90.0
RETRY_S = 0.1
FENCE = 0
"""What is written last of all, by somebody else: the writers' numbers begin at 1."""
BETWEEN_S = 0.005
IN_FLIGHT = 4


class Guest:
    """One client of the broker that says when something happened to it."""

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        session_expiry_s: int = 0,
        *,
        clean: bool = False,
        doubts: bool = False,
    ) -> None:
        self._dial = Dial(
            client_id=name, session_expiry_s=session_expiry_s, clean_start=clean, keepalive_s=5,
            timeout_s=2.0, receive_maximum=1000, proven_acks=doubts,
        )  # fmt: skip
        self.port = LeanPort(endpoint, self)
        self.up = asyncio.Event()
        self.failed = asyncio.Event()
        self.granted = asyncio.Event()
        self.acked: list[int] = []
        self.news = asyncio.Event()
        self.session_present = False
        self.ends: list[str] = []
        """How its connections ended, since it last joined."""
        self.heard: Callable[[Inbound], None] = lambda message: None

    async def join(self, *filters: str) -> None:
        """Connect and subscribe, as often as it takes: a connection may end before it is granted anything."""
        self.ends.clear()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await self._joined(filters):  # noqa: ASYNC110 - a client that waits before it tries again
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise AssertionError(
                f"within {PATIENCE_S:.0f} s this client was {'up' if self.up.is_set() else 'not up'} and granted "
                f"nothing of {filters}; its connections ended by {self.ends}"
            ) from None

    async def _joined(self, filters: tuple[str, ...]) -> bool:
        if not self.up.is_set():
            self.failed.clear()
            self.port.connect(self._dial)
            await self._either(self.up)
        if self.up.is_set() and filters:
            self.failed.clear()
            self.port.subscribe(filters)
            await self._either(self.granted)
        return self.up.is_set() and (not filters or self.granted.is_set())

    async def _either(self, wanted: asyncio.Event) -> None:
        """Wait for this, or for the end of the connection."""
        waits = [asyncio.ensure_future(e.wait()) for e in (wanted, self.failed)]  # noqa: TID251 - awaited on the next line
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

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
        self.ends.append(reason)
        self.failed.set()

    def on_disconnected(self, reason: str) -> None:
        self.ends.append(reason)
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


class Writer:
    """Publishes numbers, several in flight, and says again what was not acknowledged when it comes back."""

    def __init__(self, endpoint: Endpoint, topic: str, *, doubts: bool) -> None:
        self.guest = Guest(endpoint, topic.replace("/", "-"), clean=True, doubts=doubts)
        self.topic, self._number = topic, 0
        self._task: asyncio.Task[None] | None = None
        self._first = 1

    async def begin(self) -> None:
        """Write from now on."""
        self._first = self._number + 1
        self.guest.acked.clear()
        await self.guest.join()
        self._task = asyncio.get_running_loop().create_task(self._write())

    async def end(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def say_again(self) -> list[int]:
        """What nobody acknowledged, once more, until it is; returns what that was."""
        guest = self.guest
        if guest.up.is_set():
            guest.leave()
        open_ = sorted(set(range(self._first, self._number + 1)) - set(guest.acked))
        await guest.join()
        for number in open_:
            self._say(number)
        async with asyncio.timeout(PATIENCE_S):
            while set(open_) - set(guest.acked):
                guest.news.clear()
                await guest.news.wait()
        guest.leave()
        return open_

    def _say(self, number: int) -> None:
        self.guest.port.publish(self.topic, b"%d" % number, qos=1, token=number)

    async def _write(self) -> None:
        guest = self.guest
        while guest.up.is_set():
            self._number += 1
            guest.news.clear()
            self._say(self._number)
            while (
                guest.up.is_set() and self._number + 1 - self._first - len(guest.acked) >= IN_FLIGHT
            ):
                await guest.news.wait()
                guest.news.clear()
            await asyncio.sleep(BETWEEN_S)


class Found(NamedTuple):
    """What the book says after a restart."""

    acked: int
    """Messages whose acknowledgement was proven before the kill."""
    lost: list[int]
    """Those of them that never came."""
    said_again: int
    missing: list[int]
    """What never came although it was said again."""
    believed: int
    """Messages of the believer that had a PUBACK before the kill."""
    taken_back: int
    """Those of them that never came."""


class Witness:
    """Two writers and a reader."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._doubter = Writer(endpoint, "witness/doubter", doubts=True)
        self._believer = Writer(endpoint, "witness/believer", doubts=False)
        self._reader = Guest(endpoint, "witness-reader", session_expiry_s=24 * 3600)
        self._reader.heard = self._read
        self._came: dict[str, set[int]] = {}
        self._endpoint, self._fenced = endpoint, asyncio.Event()

    async def begin(self) -> None:
        """Make the reader's session, send the reader away, and let the writers write."""
        await self._reader.join(TOPICS)
        self._reader.leave()
        self._came = {self._doubter.topic: set(), self._believer.topic: set()}
        await self._doubter.begin()
        await self._believer.begin()

    async def end(self) -> None:
        """Write no more."""
        await self._doubter.end()
        await self._believer.end()

    async def found(self) -> Found:
        """After the restart: what was acknowledged, and what of it never came."""
        proven, believed = list(self._doubter.guest.acked), list(self._believer.guest.acked)
        again = await self._doubter.say_again()
        if self._believer.guest.up.is_set():
            self._believer.guest.leave()
        await self._reader.join()
        await self._let_all_come()
        self._reader.leave()
        came = self._came[self._doubter.topic]
        taken_back = set(believed) - self._came[self._believer.topic]
        return Found(
            len(proven), sorted(set(proven) - came), len(again), sorted(set(again) - came),
            len(believed), len(taken_back),
        )  # fmt: skip

    async def _let_all_come(self) -> None:
        """A topic keeps its order: when the fence has come, so has what waited."""
        fence = Guest(self._endpoint, "witness-fence", clean=True)
        await fence.join()
        for topic in self._came:
            self._fenced.clear()
            fence.port.publish(topic, b"%d" % FENCE, qos=1, token=1)
            async with asyncio.timeout(PATIENCE_S):
                await self._fenced.wait()
        fence.leave()

    def _read(self, message: Inbound) -> None:
        number = int(message.payload)
        self._came[message.topic].add(number)
        if number == FENCE:
            self._fenced.set()
