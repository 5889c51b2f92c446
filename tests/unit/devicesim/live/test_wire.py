"""The proxy: real sockets, real bytes, the faults of a link."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import Endpoint
from devicesdk.wire.timebase import MS
from devicesim.entropy import Entropy
from devicesim.live.pacer import Pacer
from devicesim.live.wire import HELD_BYTES_MAX, NOT_AUTHORIZED, SERVER_BUSY, Proxy, loopback
from devicesim.world.gates import Gates
from devicesim.world.kernel import Kernel

PATIENCE_S = 60.0


class Road:
    """A path of fixed delay that a test makes black: a `Road`."""

    def __init__(self) -> None:
        self.black = False
        self.gates = None
        self.delay = MS

    def delay_ns(self, nbytes: int, now: int, downlink: bool) -> int:
        return self.delay

    def handshake_ns(self, now: int) -> int:
        return self.delay


class Echo:
    """A server that sends back what it reads, and remembers who is connected."""

    def __init__(self) -> None:
        self.open: list[asyncio.StreamWriter] = []
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        self.ended += 1
        writer.close()


class Bench:
    def __init__(self, proxy, wire, road, echo, endpoint, pacer) -> None:
        self.proxy, self.wire, self.road, self.echo = proxy, wire, road, echo
        self.endpoint, self.pacer = endpoint, pacer
        self._dialled: list[asyncio.StreamWriter] = []

    async def dial(self, *, stranger: bool = False):
        at = self.endpoint
        source = None if stranger else at.source
        reader, writer = await asyncio.open_connection(at.host, at.port, local_addr=source)
        self._dialled.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        """No socket outlives its test."""
        for writer in (*self._dialled, *self.echo.open):
            writer.transport.abort()
        await asyncio.sleep(0)  # an aborted socket is closed in the next turn of the loop

    async def until(self, holds) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - what is looked at belongs to sockets
                await asyncio.sleep(0.005)


@asynccontextmanager
async def bench():
    loop = asyncio.get_running_loop()
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    kernel, road = Kernel(), Road()
    pacer = Pacer(kernel, RealClock(), loop)
    proxy = Proxy(Endpoint(port=server.sockets[0].getsockname()[1]), loop)
    await proxy.open()
    endpoint, wire = proxy.endpoint(7, pacer, kernel, road)
    pacer.start()
    made = Bench(proxy, wire, road, echo, endpoint, pacer)
    try:
        yield made
    finally:
        pacer.stop()
        await proxy.close()
        await made.hang_up()
        server.close()


async def read(reader: asyncio.StreamReader, nbytes: int) -> bytes:
    return await asyncio.wait_for(reader.readexactly(nbytes), PATIENCE_S)


async def test_bytes_go_both_ways_in_order():
    async with bench() as b:
        reader, writer = await b.dial()
        said = bytes(range(256)) * 1000
        for start in range(0, len(said), 1000):
            writer.write(said[start : start + 1000])
        assert await read(reader, len(said)) == said
        writer.close()


async def test_nothing_passes_a_black_path_and_all_of_it_comes_when_it_clears():
    async with bench() as b:
        reader, writer = await b.dial()
        writer.write(b"before")
        assert await read(reader, 6) == b"before"
        b.road.black = True
        writer.write(b"during-1 ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        writer.write(b"during-2 ")
        b.road.black = False
        b.pacer.tell(b.wire.clear)
        writer.write(b"after")
        assert await read(reader, 23) == b"during-1 during-2 after", "TCP keeps the order"


async def test_a_connection_that_was_dialled_into_the_dark_waits():
    async with bench() as b:
        b.road.black = True
        reader, writer = await b.dial()
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        assert not b.echo.open, "a SYN does not cross a black path"
        b.road.black = False
        b.pacer.tell(b.wire.clear)
        assert await read(reader, 5) == b"hello"


async def test_a_stranded_broker_end_stays_open_in_silence_until_the_run_ends():
    async with bench() as b:
        _, writer = await b.dial()
        await b.until(lambda: b.echo.open)
        b.wire.strand()
        writer.transport.abort()
        await asyncio.sleep(0.2)
        assert b.echo.ended == 0, "after a power cut nobody tells the broker"
        b.wire.close()
        await b.until(lambda: b.echo.ended == 1)


async def test_a_device_that_gives_up_in_the_dark_leaves_a_half_open_connection():
    async with bench() as b:
        _, writer = await b.dial()
        await b.until(lambda: b.echo.open)
        b.road.black = True
        writer.close()
        await asyncio.sleep(0.2)
        assert b.echo.ended == 0, "a FIN does not cross a black path"


async def test_a_close_on_a_clear_path_is_heard_at_the_other_end():
    async with bench() as b:
        reader, writer = await b.dial()
        writer.write(b"words")
        await read(reader, 5)
        writer.close()
        await b.until(lambda: b.echo.ended == 1)
        reader2, _ = await b.dial()
        await b.until(lambda: len(b.echo.open) == 2)
        b.echo.open[1].close()
        assert await asyncio.wait_for(reader2.read(), PATIENCE_S) == b""


async def test_what_a_device_says_to_a_dead_broker_does_not_hide_its_death():
    """A message that is on its way when the broker dies is held for nobody: the device must be told."""
    async with bench() as b:
        reader, writer = await b.dial()
        writer.write(b"hello")
        assert await read(reader, 5) == b"hello"
        b.road.delay = 50 * MS
        writer.write(b"said to nobody")
        b.echo.open[0].transport.abort()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_a_reset_ends_both():
    async with bench() as b:
        reader, _ = await b.dial()
        await b.until(lambda: b.echo.open)
        b.wire.reset()
        await b.until(lambda: b.echo.ended == 1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read(reader, 1)


async def test_a_broker_that_does_not_listen_ends_the_attempt():
    async with bench() as b:
        b.proxy._broker = Endpoint(port=1)
        reader, writer = await b.dial()
        writer.write(b"x")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read(reader, 1)


async def test_what_waits_is_bounded_and_nothing_of_it_is_lost():
    async with bench() as b:
        reader, writer = await b.dial()
        writer.write(b"?")
        await read(reader, 1)
        b.road.black = True
        said = bytes(3 * HELD_BYTES_MAX)
        writer.write(said)
        await asyncio.sleep(0.3)
        held = sum(len(data) for _, data in b.wire._held)
        assert held <= HELD_BYTES_MAX + 2 * 262_144, f"expected reading to stop, found {held} bytes"
        b.road.black = False
        b.pacer.tell(b.wire.clear)
        assert await read(reader, len(said)) == said


async def test_a_stranger_is_shown_the_door():
    async with bench() as b:
        reader, _ = await b.dial(stranger=True)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        assert b.proxy.strangers == 1


def test_each_device_has_an_address_of_its_own():
    seen = {loopback(index) for index in range(200_000)}
    assert len(seen) == 200_000
    assert all(address.startswith("127.") for address in seen)
    assert "127.0.0.1" not in seen


async def test_a_portal_keeps_the_connection_it_took_when_it_goes():
    async with bench() as b:
        b.road.gates = Gates()
        b.road.gates.portals = 1
        reader, writer = await b.dial()
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.1)
        b.road.gates = None
        b.pacer.tell(b.wire.clear)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.1)
        assert not b.echo.open, "what a portal swallowed never reaches the broker"
        writer.close()
        reader, writer = await b.dial()
        writer.write(b"again")
        assert await read(reader, 5) == b"again"


async def test_the_proxy_answers_for_a_broker_that_refuses():
    async with bench() as b:
        b.road.gates = Gates()
        b.road.gates.refusals = 1
        reader, _ = await b.dial()
        assert await read(reader, 5) == NOT_AUTHORIZED
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        assert not b.echo.open
        b.road.gates.flows, b.road.gates.let_in = [0.0], Entropy(1).stream("luck", "x")
        reader, _ = await b.dial()
        assert await read(reader, 5) == SERVER_BUSY
