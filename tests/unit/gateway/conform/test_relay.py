"""The relay passes bytes unchanged, reads along, and cuts."""

import asyncio
from contextlib import suppress

import mqtt5

from devicesdk.aio.port import Endpoint
from gateway.conform.relay import Relay

PATIENCE_S = 60


async def echo(reader, writer):
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
    writer.close()


class Line:
    """A relay before a server that echoes."""

    async def __aenter__(self):
        self.server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.heard, self.opened = [], 0
        self.relay = Relay(Endpoint(port=port), self.heard.append, self.count)
        self.port = await self.relay.start("127.0.0.1", 0)
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    def count(self):
        self.opened += 1

    async def exchange(self, data):
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), PATIENCE_S)

    async def __aexit__(self, *_):
        self.writer.close()
        await self.relay.stop()
        self.server.close()


async def test_bytes_pass_and_packets_are_heard():
    connect = mqtt5.ConnectPacket("d-1", keep_alive=7).write()
    async with Line() as line:
        for part in (connect[:5], connect[5:]):
            assert await line.exchange(part) == part
        assert [packet.client_id for packet in line.heard] == ["d-1"]
        assert line.opened == 1
        assert not line.relay.unread


async def test_what_is_not_mqtt_passes_unread():
    async with Line() as line:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)
        assert await line.exchange(hello) == hello
        assert await line.exchange(b"more") == b"more"
        assert line.relay.unread
        assert line.heard == []


async def test_a_cut_is_felt_by_the_device():
    async with Line() as line:
        await line.exchange(b"\xc0\x00")
        line.relay.cut()
        try:
            rest = await asyncio.wait_for(line.reader.read(), PATIENCE_S)
        except ConnectionResetError:
            rest = b""
        assert rest == b""


async def test_no_broker_is_no_connection():
    async with Line() as line:
        line.server.close()
        line.relay.cut()
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
