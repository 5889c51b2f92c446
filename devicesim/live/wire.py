"""A TCP proxy in the path of each device: the link and its faults, made of real bytes.

Decides when bytes that one end has sent reach the other: after the delay of the device's link model,
in order; never while the path is black; not at all after a cut that nobody was told of. Leaves out
MQTT (it never looks into the bytes) and when faults come (path.py).

Theory of operation. A device dials the proxy from a loopback address of its own (127.x.y.z), which
tells the proxy whose connection it is. The proxy dials the broker and pumps in both directions through
the world's kernel. A *stranded* broker end stays open in silence, as after a power cut: the broker finds
out by its keep-alive, or when the device comes back.

Rules: at most `HELD_BYTES_MAX` wait in each direction; past it the proxy stops reading, so TCP itself
pushes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from devicesdk.aio.port import Endpoint
from devicesdk.wire.timebase import MS
from devicesim.live.pacer import Pacer
from devicesim.world.gates import Gates
from devicesim.world.kernel import Kernel

HELD_BYTES_MAX: Final = 1024 * 1024
RETRANSMIT_NS: Final = 200 * MS
BACKLOG: Final = 4096
DIAL_TIMEOUT_S: Final = 5.0
POSTPONED_MAX: Final = 16
"""Dials and closes that wait for a black path to clear; those of connections long given up go first."""
STRANDED_MAX: Final = 4
"""Broker ends of one device that are left open in silence; past it the oldest is closed."""
NOT_AUTHORIZED: Final = b"\x20\x03\x00\x87\x00"
SERVER_BUSY: Final = b"\x20\x03\x00\x89\x00"
"""CONNACKs (MQTT 5, 3.2) that the proxy gives in the broker's place, for faults of its door."""


class Road(Protocol):
    """What the proxy asks of a path: how long bytes take, and whether any get through."""

    black: bool
    gates: Gates | None

    def delay_ns(self, nbytes: int, now: int, downlink: bool) -> int:  # noqa: FBT001, D102
        ...

    def handshake_ns(self, now: int) -> int:  # noqa: D102
        ...


class _End(asyncio.Protocol):
    """One of the two sockets of a wire."""

    __slots__ = ("held_bytes", "peer", "queue_last", "transport", "wire")

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.peer: _End | None = None
        self.transport: asyncio.Transport | None = None
        self.held_bytes = 0
        """Read from this end and not yet written to the other."""
        self.queue_last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes to carry across."""
        self.wire.carry(self, bytes(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        del exc
        self.transport = None
        self.wire.lost(self)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Wire:
    """The proxied connection of one device, if there is one.

    Args:
        pacer: real time.
        kernel: the world's.
        road: the device's path.
        dial: opens the broker's end.
    """

    __slots__ = (
        "_device_end",
        "_dial",
        "_generation",
        "_held",
        "_kernel",
        "_pacer",
        "_postponed",
        "_stranded",
        "road",
    )

    def __init__(
        self, pacer: Pacer, kernel: Kernel, road: Road, dial: Callable[[_End], None]
    ) -> None:
        self._pacer, self._kernel, self.road, self._dial = pacer, kernel, road, dial
        self._device_end: _End | None = None
        self._held: list[tuple[_End, bytes]] = []
        self._stranded: list[_End] = []
        self._generation = 0
        self._postponed: list[tuple[Callable[[int, _End], None], _End]] = []

    # -- what sockets tell ----------------------------------------------------------------------

    def accept(self, transport: asyncio.Transport) -> None:
        """A device has dialled: take its end of the connection."""
        self._generation += 1
        self._held.clear()
        end = self._device_end = _End(self)
        transport.set_protocol(end)
        end.connection_made(transport)
        self._pacer.tell(self._knock, end)

    def _knock(self, now: int, end: _End) -> None:
        gates = self.road.gates
        if gates is not None and gates.portals:
            return  # it is the portal's connection, and stays so
        self._kernel.at(now + self.road.handshake_ns(now), self._reach, end)

    def _reach(self, now: int, end: _End) -> None:
        """The CONNECT would reach the broker's machine now."""
        del now
        if end is not self._device_end or end.transport is None:
            return
        if self.road.black:  # SYNs are sent again
            self._postpone(self._reach, end)
            return
        gates = self.road.gates
        if gates is not None and (gates.refusals or gates.flows):
            no = SERVER_BUSY if gates.busy() else NOT_AUTHORIZED if gates.refusals else b""
            if no:
                end.transport.write(no)
                end.transport.close()
                return
        end.peer = _End(self)
        end.peer.peer = end
        self._dial(end.peer)

    def reached(self, end: _End) -> None:
        """The broker's end is open: hand over what the device has said meanwhile."""
        if end.peer is None or end.peer is not self._device_end:
            end.abort()
            return
        self._pacer.tell(self._release)

    def refused(self, end: _End) -> None:
        """The broker does not listen."""
        if end.peer is not None:
            end.peer.abort()

    def carry(self, end: _End, data: bytes) -> None:
        """Bytes were read from one end."""
        end.held_bytes += len(data)
        if end.held_bytes > HELD_BYTES_MAX and end.transport is not None:
            end.transport.pause_reading()
        self._pacer.tell(self._carry, end, data)

    def _carry(self, now: int, end: _End, data: bytes) -> None:
        delay = self.road.delay_ns(len(data), now, end is not self._device_end)
        end.queue_last = at = max(end.queue_last, now + delay)
        self._kernel.at(at, self._arrive, (self._generation, end, data))

    def _arrive(self, now: int, argument: tuple[int, _End, bytes]) -> None:
        del now
        generation, end, data = argument
        if generation != self._generation:
            return
        if self.road.black or self._held or end.peer is None or end.peer.transport is None:
            self._held.append((end, data))  # behind what is held: order is kept
        else:
            self._write(end, data)

    def _write(self, end: _End, data: bytes) -> None:
        end.held_bytes -= len(data)
        peer = end.peer
        if peer is not None and peer.transport is not None:
            peer.transport.write(data)
        if end.transport is not None and end.held_bytes <= HELD_BYTES_MAX // 2:
            end.transport.resume_reading()

    def lost(self, end: _End) -> None:
        """A socket was closed by its owner: the other end learns of it, if anything gets through."""
        if end in self._stranded:
            self._stranded.remove(end)
        else:
            self._pacer.tell(self._lost, end)

    def _lost(self, now: int, end: _End) -> None:
        peer = end.peer
        if peer is None or peer.transport is None or peer in self._stranded:
            return
        if self.road.black:
            if end is self._device_end:
                self._strand(peer)
            else:
                self._postpone(self._lost, end)
            return
        delay = self.road.delay_ns(40, now, end is not self._device_end)
        end.queue_last = max(end.queue_last, now + delay)
        self._kernel.at(end.queue_last, self._close, peer)

    def _close(self, now: int, end: _End) -> None:
        del now
        if end.transport is None:
            return
        if self._still_comes(end):  # what was sent before the end comes first
            self._postpone(self._close, end)
        else:
            end.transport.close()

    def _still_comes(self, end: _End) -> bool:
        """Whether something is held that will yet be written to an end whose peer has gone; what is held
        for a broker that has gone will not."""
        return self.road.black and any(sender.peer is end for sender, _ in self._held)

    def _postpone(self, action: Callable[[int, _End], None], end: _End) -> None:
        """Do it when the path is clear again and what was held is over."""
        self._postponed.append((action, end))
        if len(self._postponed) > POSTPONED_MAX:
            del self._postponed[0]

    def _strand(self, end: _End) -> None:
        self._stranded.append(end)
        if len(self._stranded) > STRANDED_MAX:
            self._stranded[0].abort()

    # -- what the path asks ---------------------------------------------------------------------

    def strand(self) -> None:
        """The device falls silent: its broker end stays open, and nothing is carried any more."""
        end, self._device_end = self._device_end, None
        self._generation += 1
        self._held.clear()
        if end is not None and end.peer is not None and end.peer.transport is not None:
            self._strand(end.peer)

    def clear(self, now: int) -> None:
        """The path healed: TCP sends again what it held."""
        self._kernel.at(now + RETRANSMIT_NS, self._release_then)

    def _release_then(self, now: int, _: object) -> None:
        self._release(now)
        if not self.road.black:
            postponed, self._postponed = self._postponed, []
            for action, end in postponed:
                action(now, end)

    def _release(self, now: int) -> None:
        del now
        end = self._device_end
        if self.road.black or end is None or end.peer is None or end.peer.transport is None:
            return
        held, self._held = self._held, []
        for sender, data in held:
            self._write(sender, data)

    def reset(self) -> None:
        """Both ends see a reset."""
        end, self._device_end = self._device_end, None
        self._generation += 1
        self._held.clear()
        if end is not None:
            if end.peer is not None:
                end.peer.abort()
            end.abort()

    def close(self) -> None:
        """The run is over."""
        self.reset()
        for end in list(self._stranded):
            end.abort()


class Proxy:
    """Listens for all devices of a run and dials the broker for each.

    Args:
        broker: where the broker listens.
        loop: of the run.
    """

    def __init__(self, broker: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._broker, self._loop = broker, loop
        self._wires: dict[str, Wire] = {}
        self._server: asyncio.Server | None = None
        self._dials: set[asyncio.Task[None]] = set()
        self.strangers = 0

    async def open(self) -> None:
        """Listen on a free loopback port."""
        self._server = await self._loop.create_server(
            _Door.of(self), "127.0.0.1", 0, backlog=BACKLOG
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close every connection and stop to listen."""
        for wire in self._wires.values():
            wire.close()
        for task in list(self._dials):
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    def endpoint(
        self, index: int, pacer: Pacer, kernel: Kernel, road: Road
    ) -> tuple[Endpoint, Wire]:
        """Make the wire of device number `index`, and the endpoint that it dials."""
        source = loopback(index)
        wire = self._wires[source] = Wire(pacer, kernel, road, self._dial)
        return Endpoint(host="127.0.0.1", port=self.port, source=(source, 0)), wire

    def wire_of(self, source: str) -> Wire | None:
        """Whose connection comes from this address."""
        return self._wires.get(source)

    def _dial(self, end: _End) -> None:
        task = self._loop.create_task(self._connect(end))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, end: _End) -> None:
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await self._loop.create_connection(
                    lambda: end, self._broker.host, self._broker.port
                )
        except (OSError, TimeoutError):
            end.wire.refused(end)
        else:
            end.wire.reached(end)


class _Door(asyncio.Protocol):
    """Finds out whose connection was accepted, and becomes that end."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    @classmethod
    def of(cls, proxy: Proxy) -> Callable[[], _Door]:
        """Make the factory that a server wants."""
        return lambda: cls(proxy)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the transport to the device's wire."""
        source = transport.get_extra_info("peername")[0]
        wire = self._proxy.wire_of(source)
        stream = cast("asyncio.Transport", transport)
        if wire is None:
            self._proxy.strangers += 1
            stream.abort()
        else:
            wire.accept(stream)


def loopback(index: int) -> str:
    """The loopback address of device number `index` (below 4 million): 127.64.0.1 and up."""
    place = index + 1
    return f"127.{64 + (place >> 16)}.{place >> 8 & 255}.{place & 255}"
