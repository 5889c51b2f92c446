"""A slow, honest stretch of wire between one client and the broker.

Decides when bytes pass: at a given rate towards the client (so that the middle of a download is wide
enough to be hit), not at all while the line is black. Counts the data frames that were handed to the
client and keeps its requests for chunks. Leaves out what becomes of either: a client that is killed has
not read all that it was handed (remains.py).

Rules: bytes pass unchanged and in order; a frame counts when its last byte was written to the client's
socket; while the line is black nobody hears anything, not even that the other end went; a connection
that was black is cut when the line heals.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import mqtt5

from devicesdk.aio.lean_packets import Reader
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Get
from devicesim.world.checks.transfers import asked_chunks

STEP_BYTES = 8 * 1024
PACKET_BYTES_MAX = 1024 * 1024
STOP_S_MAX = 2.0
NOTHING: Callable[[bytes, int], None] = lambda blob, size: None  # noqa: E731 - a default listener

Chunk = tuple[bytes, int]
"""First 8 bytes of the blob's digest, number of the chunk."""
BOOT_SHIFT = 16
"""Transfers are numbered by the boot that began them, in the bits above."""


class Answer(NamedTuple):
    """A data frame that was handed over."""

    chunk: Chunk
    transfer: int
    seq: int
    """Of the request that it answers."""


def boot_of(transfer: int) -> int:
    """The life of the device that began it."""
    return transfer >> BOOT_SHIFT


class Wire:
    """One connection through a relay, and when each of its ends went (the loop's time)."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends
        self.client_ended_s: float | None = None
        self.broker_ended_s: float | None = None
        self.doomed = False
        """Black now, or once: nothing passes any more."""

    def cut(self) -> None:
        """Reset both ends."""
        for end in self._ends:
            end.transport.abort()


class Relay:
    """One client's way to the broker.

    Args:
        broker_port: where the broker listens, on loopback.
        bytes_per_s: towards the client; None for as fast as it goes.
        heard: called with each data frame's blob and payload size.
    """

    def __init__(
        self,
        broker_port: int,
        bytes_per_s: float | None = None,
        heard: Callable[[bytes, int], None] = NOTHING,
    ) -> None:
        self._broker_port, self.bytes_per_s, self._heard = broker_port, bytes_per_s, heard
        self._loop = asyncio.get_running_loop()
        self.wires: list[Wire] = []
        self._clear = asyncio.Event()
        self._clear.set()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.delivered: Counter[Chunk] = Counter()
        self.bytes_of: dict[Chunk, int] = {}
        self.answers: list[Answer] = []
        self.asked: list[Get] = []
        self.deaf: list[str] = []
        """Streams that could not be read any more, and so were not counted."""

    @property
    def port(self) -> int:
        """Where clients connect."""
        assert self._server is not None, "a relay that is not open"
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def blacken(self) -> None:
        """Nothing gets through any more, and nobody is told, not even that the other end went."""
        self._clear.clear()
        for wire in self.wires:
            wire.doomed = True

    def heal(self) -> None:
        """New connections get through again; those that were black are cut, as by a router that forgot."""
        self._clear.set()
        for wire in self.wires:
            if wire.doomed:
                wire.cut()

    def open_wires(self) -> list[Wire]:
        """Connections whose both ends are open as far as the relay knows."""
        return [w for w in self.wires if w.client_ended_s is None and w.broker_ended_s is None]

    async def close(self) -> None:
        """Listen no more, and cut."""
        if self._server is not None:
            self._server.close()
        for line in list(self._lines):
            line.cancel()
        if self._lines:
            await asyncio.wait(list(self._lines), timeout=STOP_S_MAX)

    def fetched_again_bytes(self, blob: bytes) -> int:
        """Bytes of `blob` that were handed over more than once."""
        return self._again(Counter(one.chunk for one in self.answers if one.chunk[0] == blob[:8]))

    def again_in_one_life_bytes(self, blob: bytes) -> int:
        """Of these, what one and the same life of the device was handed more than once."""
        ours = [one for one in self.answers if one.chunk[0] == blob[:8]]
        return sum(
            self._again(Counter(one.chunk for one in ours if boot_of(one.transfer) == boot))
            for boot in {boot_of(one.transfer) for one in ours}
        )

    def asked_in(self, blob: bytes, boot: int) -> list[Get]:
        """What one life of the device asked for, of `blob`."""
        return [one for one in self.asked if one.blob == blob and boot_of(one.transfer) == boot]

    def asked_twice(self, blob: bytes, boot: int) -> bool:
        """Whether one life asked for a chunk again."""
        asked = [chunk for get in self.asked_in(blob, boot) for chunk in asked_chunks(get)]
        return len(asked) > len(set(asked))

    def _again(self, times: Counter[Chunk]) -> int:
        return sum((count - 1) * self.bytes_of[chunk] for chunk, count in times.items())

    def fetched_bytes(self, blob: bytes) -> int:
        """Bytes of `blob` that were handed over at least once."""
        return sum(self.bytes_of[chunk] for chunk in self.delivered if chunk[0] == blob[:8])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None, "streams are served by tasks"
        self._lines.add(line)
        wire = Wire(writer)
        try:
            await self._clear.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._broker_port)
            wire = Wire(writer, far)
            self.wires.append(wire)
            await asyncio.gather(self._up(wire, reader, far), self._down(wire, far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the broker is away, or the test is over
        finally:
            wire.cut()
            if wire in self.wires:
                self.wires.remove(wire)
            self._lines.discard(line)

    async def _up(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        cutter = Reader(PACKET_BYTES_MAX)
        with contextlib.suppress(OSError):
            while data := await reader.read(STEP_BYTES):
                self._note_requests(cutter.feed(data))
                self._listen(cutter)
                if not wire.doomed:
                    writer.write(data)
                    await writer.drain()
        wire.client_ended_s = self._loop.time()
        await self._clear.wait()
        writer.transport.abort()

    async def _down(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        cutter = Reader(PACKET_BYTES_MAX)
        with contextlib.suppress(OSError):
            while data := await reader.read(STEP_BYTES):
                if self.bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                if wire.doomed or writer.transport.is_closing():
                    continue
                writer.write(data)
                await writer.drain()
                self._note(cutter.feed(data))
                self._listen(cutter)
        wire.broker_ended_s = self._loop.time()
        await self._clear.wait()
        writer.transport.abort()

    def _listen(self, cutter: Reader) -> None:
        if cutter.fault is not None:
            self.deaf.append(cutter.fault.reason)

    def _note_requests(self, packets: list[mqtt5.Packet]) -> None:
        for packet in packets:
            if isinstance(packet, mqtt5.PublishPacket) and packet.topic.endswith(f"/{topics.GET}"):
                self.asked.append(codec.decode(Get, packet.payload))

    def _note(self, packets: list[mqtt5.Packet]) -> None:
        for packet in packets:
            if isinstance(packet, mqtt5.PublishPacket) and packet.topic.endswith(f"/{topics.DAT}"):
                frame, chunk = codec.decode_frame(packet.payload)
                name = frame.digest8, frame.chunk
                self.delivered[name] += 1
                self.bytes_of[name] = len(chunk)
                self.answers.append(Answer(name, frame.transfer, frame.seq))
                self._heard(frame.digest8, len(chunk))
