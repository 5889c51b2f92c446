"""Presence recorded from a live broker.

Decides what a message of the broker or of the fleet says about who is connected, and what is known after
the recorder itself lost its connection. Leaves out MQTT (devicesdk/aio) and files (native.py).

Three sources, the best that speaks is used: the broker's own notices on ``$SYS/broker/log/N`` (mosquitto
with ``log_dest topic`` and ``log_type notice``, see mosquitto.conf(5)), the retained *link* messages and wills
of a fleet of ours, and the bare number on ``$SYS/broker/clients/connected``, from which devices are made up:
a curve is a curve.

Rules: instants are those at which a message arrived here; the time without a connection of ours is marked
unknown, and a broker whose uptime is shorter than it has lost everybody; who was connected all along and is
never named is made up from the number of clients at the start.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Final

from devicesdk.aio.clock import RealClock
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import REFUSED_FROM, Dial, Endpoint, Granted, Inbound
from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage, BadTopic
from devicesdk.wire.messages import Link
from devicesdk.wire.timebase import MS, SECOND, format_duration
from devicesdk.wire.topics import LINK, Topics
from devicesim.recordings.intervals import Builder, Recording, RecordingError
from devicesim.recordings.mosquitto import DOWN, ENDED, UP, parted, read_message
from devicesim.scenario.fleet import DEVICES_MAX

SOURCES: Final = ("auto", "log", "link", "count")
LOG_TOPICS: Final = "$SYS/broker/log/#"
COUNT_TOPIC: Final = "$SYS/broker/clients/connected"
UPTIME_TOPIC: Final = "$SYS/broker/uptime"
RETRY_S: Final = 1.0
KEEPALIVE_S: Final = 15
DIGITS_MAX: Final = 18
NAME: Final = "fleetdrill-capture-"


class Capture:
    """What was heard, as a recording in the making; instants are ns since the Unix epoch.

    Args:
        root: of the fleet's topics.
        source: one of `SOURCES`.
    """

    def __init__(self, root: str = "fd/main", source: str = "auto") -> None:
        self.topics, self.source = Topics(root), source
        self.notices = self.links = self.counts = self.unclear = self.gaps = 0
        self._builder, self._counted = Builder(), Builder()
        self._at_start: int | None = None
        self._lost_at = self._back_at = -1
        self._judged = True
        self._seen: dict[str, None] = {}
        self._open: list[str] = []

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (LOG_TOPICS, COUNT_TOPIC, UPTIME_TOPIC, self.topics.every_device(LINK))

    @property
    def spoke(self) -> str:
        """The source that the recording is made of; empty when nothing was heard."""
        if self.source != "auto":
            return self.source
        return next(
            (
                name
                for name, heard in (
                    ("log", self.notices),
                    ("link", self.links),
                    ("count", self.counts),
                )
                if heard
            ),
            "",
        )

    def connected(self, at: int) -> None:
        """Our own connection is there: from now on we hear."""
        for builder in (self._builder, self._counted):
            builder.moment(at)
            if self._lost_at >= 0:
                builder.nobody_looked(self._lost_at, at)
        self._back_at, self._judged = at, self._lost_at < 0
        self._seen.clear()

    def lost(self, at: int) -> None:
        """Our own connection is gone: nobody looks."""
        self._lost_at = at
        self.gaps += 1

    def message(self, topic: str, payload: bytes, at: int) -> None:
        """Something was published."""
        for builder in (self._builder, self._counted):
            builder.moment(at)
        if topic.startswith("$SYS/broker/log/"):
            self._notice(payload.decode("utf-8", "replace"), at)
        elif topic == COUNT_TOPIC:
            self._count(payload, at)
        elif topic == UPTIME_TOPIC:
            self._uptime(payload)
        else:
            self._link(topic, payload, at)

    def _notice(self, text: str, at: int) -> None:
        _, message = parted(text.rstrip())
        event = read_message(message) if message else None
        if event is None or self.source not in ("auto", "log"):
            return
        if event.kind == ENDED:
            self._builder.all_down(at)
        elif event.kind in (UP, DOWN) and not event.client.startswith((NAME, "<unknown>")):
            self.notices += 1
            self._set(event.client, at, up=event.kind == UP)

    def _link(self, topic: str, payload: bytes, at: int) -> None:
        if self.source not in ("auto", "link"):
            return
        try:
            kind, device = self.topics.parse(topic)
            link = codec.decode(Link, payload)
        except (BadTopic, BadMessage):
            self.unclear += 1
            return
        self.links += kind == LINK
        # once the broker's notices speak, the fleet's own word is only wanted for who is there already
        if kind == LINK and not (self.notices and device in self._seen):
            self._set(device, at, up=link.online)

    def _set(self, device: str, at: int, *, up: bool) -> None:
        builder = self._builder
        if up:
            builder.up(device, at)
        else:
            if self._lost_at >= 0 and device not in self._seen and not builder.is_up(device):
                builder.up(device, self._back_at)  # came while nobody looked
            builder.down(device, at)
        self._seen[device] = None

    def _uptime(self, payload: bytes) -> None:
        """After a gap: was that the same broker?"""
        if self._judged:
            return
        self._judged = True
        words = payload.split()
        if (
            words
            and words[0].isdigit()
            and _number(words[0]) * SECOND < self._back_at - self._lost_at
        ):
            self._builder.all_down(self._lost_at)
            self._counted.all_down(self._lost_at)
            self._open.clear()

    def _count(self, payload: bytes, at: int) -> None:
        digits = payload.strip()
        if not digits.isdigit():
            self.unclear += 1
            return
        self.counts += 1
        number = min(DEVICES_MAX, max(0, _number(digits) - 1))  # without us
        if self._at_start is None:
            self._at_start = number
        while len(self._open) < number:
            name = f"client-{len(self._open):04d}"
            self._open.append(name)
            self._counted.up(name, at)
        while len(self._open) > number:
            self._counted.down(self._open.pop(), at)

    def finish(self, where: str, at: int) -> Recording:
        """The recording up to `at`.

        Raises:
            RecordingError: nobody said anything about anybody.
        """
        if not self.spoke or not (self.notices or self.links or self.counts):
            raise RecordingError(
                f"expected {where} to say who is connected, found silence: give the recorder's user the right to "
                "read $SYS/broker/#, and mosquitto `log_dest topic` with `log_type notice`"
            )
        builder = self._counted if self.spoke == "count" else self._builder
        for each in (self._builder, self._counted):
            each.moment(at)
            if self._lost_at > self._back_at:
                each.nobody_looked(self._lost_at, at)
        if self.spoke == "log" and not self.links:
            self._make_up_the_silent(builder)
        return builder.finish(f"{self.spoke} of {where}", end=at)

    def _make_up_the_silent(self, builder: Builder) -> None:
        missing = (self._at_start or 0) - builder.from_the_start
        for number in range(max(0, missing)):
            builder.up(f"unnamed-{number:04d}", builder.first)

    def facts(self, recording: Recording) -> dict[str, str]:
        """What was heard, for people."""
        gaps = f", {self.gaps} gaps of our own" if self.gaps else ""
        return {
            "heard": f"{self.notices:,} notices, {self.links:,} link messages, {self.counts:,} counts{gaps}; "
            f"used: {self.spoke}",
            "found": f"{len(recording.edges):,} devices, {recording.sessions:,} sessions in "
            f"{format_duration(max(SECOND, recording.length_ns // SECOND * SECOND))}",
        }  # fmt: skip


def _number(digits: bytes) -> int:
    """The number of which these are the digits; of a very long one, one that is large."""
    return int(digits.lstrip(b"0")[:DIGITS_MAX] or b"0")


class _Ear:
    """The listener of the recorder's own connection; connects again for ever once it was connected."""

    def __init__(
        self, capture: Capture, endpoint: Endpoint, say: Callable[[str], None], ready: str
    ) -> None:
        self._capture, self._say, self._ready = capture, say, ready
        self._loop, self._clock = asyncio.get_running_loop(), RealClock()
        self._start = self._clock.wall_ms() * MS
        self._port = LeanPort(endpoint, self)
        self.over: asyncio.Event = asyncio.Event()
        self.refused = ""
        self._ever = False

    def now(self) -> int:
        """Ns since the Unix epoch, on a clock that never goes back."""
        return self._start + self._clock.now()

    def connect(self) -> None:
        """Dial."""
        if not self.over.is_set():
            dial = Dial(
                client_id=f"{NAME}{os.getpid()}", keepalive_s=KEEPALIVE_S, clean_start=True, timeout_s=10
            )  # fmt: skip
            self._port.connect(dial)

    def end(self) -> None:
        """Close."""
        self.over.set()
        self._port.disconnect()

    def on_connected(self, granted: Granted) -> None:  # noqa: ARG002 - the port says it
        """Listen."""
        self._ever = True
        self._capture.connected(self.now())
        self._port.subscribe(self._capture.filters, 1)

    def on_connect_failed(self, reason: str) -> None:
        """Nobody there: an error at first, a gap later."""
        if self._ever:
            self._loop.call_later(RETRY_S, self.connect)
        else:
            self.refused = reason
            self.over.set()

    def on_disconnected(self, reason: str) -> None:
        """A gap begins."""
        self._say(
            f"lost the broker ({reason}); trying again, the time until then is marked unknown"
        )
        self._capture.lost(self.now())
        self._loop.call_later(RETRY_S, self.connect)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Say that we listen, the first time, and what is refused."""
        if self._ready:
            self._say(self._ready)
            self._ready = ""
        for name, code in zip(self._capture.filters, codes, strict=False):
            if code >= REFUSED_FROM:
                self._say(f"the broker does not let us read {name} (reason 0x{code:02x})")

    def on_puback(self, token: int, code: int) -> None:
        """Nothing is published."""

    def on_message(self, message: Inbound) -> None:
        """Note it."""
        self._capture.message(message.topic, message.payload, self.now())


async def run_capture(
    capture: Capture,
    endpoint: Endpoint,
    seconds: float,
    say: Callable[[str], None],
    ready: str = "",
) -> int:
    """Listen for so long, or until SIGINT or SIGTERM; returns the instant of the end.

    Args:
        capture: takes notes.
        endpoint: of the broker.
        seconds: how long at most.
        say: is told what people should know.
        ready: said once the broker lets us listen: from then on nothing is missed.

    Raises:
        RecordingError: there is no broker, or it refuses us.
    """
    ear = _Ear(capture, endpoint, say, ready)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ear.over.set)
    try:
        ear.connect()
        await asyncio.wait_for(ear.over.wait(), seconds)
    except TimeoutError:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        ear.end()
    if ear.refused:
        raise RecordingError(
            f"expected an MQTT 5 broker at {endpoint.host}:{endpoint.port} that lets us in, found: {ear.refused}"
        )
    return ear.now()
