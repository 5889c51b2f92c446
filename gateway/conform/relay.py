"""A TCP relay between the device and the broker, that reads along and can cut the line.

Decides nothing about MQTT: bytes pass unchanged; what the device sends is also cut into packets (by
the codec that our own client uses) and handed to whoever listens. Leaves out what the packets mean
(packets.py). A stream that is not MQTT 5 (TLS, 3.1.1) passes unread.

Rules: at most `LINES_MAX` connections, more are closed at once; each direction buffers one read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import mqtt5

from devicesdk.aio.lean_packets import Reader
from devicesdk.aio.port import Endpoint

LINES_MAX: Final = 16
STOP_PATIENCE_S: Final = 2.0
READ_BYTES: Final = 65_536
PACKET_BYTES_MAX: Final = 1_048_576


class Relay:
    """Listens for one device.

    Args:
        upstream: the broker.
        heard: called with each packet of the device, in order.
        opened: called when a connection to the broker stands.
    """

    def __init__(
        self,
        upstream: Endpoint,
        heard: Callable[[mqtt5.Packet], None],
        opened: Callable[[], None],
    ) -> None:
        self._upstream, self._heard, self._opened = upstream, heard, opened
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None] | None] = set()
        self.unread = False
        """Whether a stream passed that could not be read."""

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (of the kernel's choice for 0).

        Raises:
            OSError: the address cannot be had.
        """
        self._server = await asyncio.start_server(self._serve, host, port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def cut(self) -> None:
        """Reset every connection that is open now."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        """Listen no more, and cut."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        lines = [line for line in self._lines if line is not None]
        if lines:
            await asyncio.wait(lines, timeout=STOP_PATIENCE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= 2 * LINES_MAX:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(
                self._upstream.host, self._upstream.port
            )
        except OSError:
            writer.transport.abort()
            return
        line = asyncio.current_task()
        self._lines.add(line)
        self._writers += [writer, far_writer]
        self._opened()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, Reader(PACKET_BYTES_MAX)))
                both.create_task(self._pump(far_reader, writer, None))
        finally:
            for one in (writer, far_writer):
                one.transport.abort()
                self._writers.remove(one)
            self._lines.discard(line)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Reader | None
    ) -> None:
        """Carry one direction; its end ends the other."""
        try:
            while data := await reader.read(READ_BYTES):
                if tap is not None and tap.fault is None:
                    for packet in tap.feed(data):
                        self._heard(packet)
                    self.unread = self.unread or tap.fault is not None
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
