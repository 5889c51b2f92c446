"""Connections that want to be held for ever, and too many of them."""

import asyncio
import socket
from contextlib import AsyncExitStack

import msgspec

from gateway.core.access.roles import Role
from tests_kit.api_raw import asked, first_of, spoken
from tests_kit.api_stage import FREE, PATIENCE_S, ApiStage
from tests_kit.plant import until

HURRIED = msgspec.structs.replace(
    FREE, head_s_max=0.3, body_s_max=0.3, upload_idle_s_max=0.3, send_s_max=0.3
)


def place_of(stage):
    host, port = stage.server.url.removeprefix("http://").split(":")
    return host, int(port)


async def test_heads_and_bodies_that_trickle_end(tmp_path):
    async with ApiStage(tmp_path, HURRIED) as stage:
        url, token = stage.server.url, stage.tokens[Role.ADMIN].encode()
        assert await spoken(url) == b"", "silence"
        trickle = [b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 100]
        assert await spoken(url, *trickle, pause_s=0.02) == b"", "a head"
        one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = await spoken(url, one, *trickle, pause_s=0.02)
        assert answer.count(b"HTTP/1.1 ") <= 1, "a second head"
        head = b"POST /v1/rollouts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token
        head += b"\r\nContent-Type: application/json\r\n"
        slow = await spoken(url, head + b"Content-Length: 100\r\n\r\n", *[b" "] * 90, pause_s=0.02)
        assert first_of(slow).status in (0, 408), slow
        chunks = [b"1\r\n \r\n"] * 90
        slow = await spoken(
            url, head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, pause_s=0.02
        )
        assert first_of(slow).status in (0, 408), slow
        unread = head.replace(b"POST /v1/rollouts", b"GET /livez") + b"Content-Length: 1000\r\n\r\n"
        await spoken(url, unread, *[b" "] * 90, pause_s=0.02)
        await until(lambda: len(stage.server.crowd) == 0, "everybody to be gone", PATIENCE_S)


async def test_an_answer_that_nobody_reads_ends(tmp_path):
    async with ApiStage(tmp_path, HURRIED) as stage:
        digest = stage.blobs.put(bytes(8 * 1024 * 1024))
        token = stage.tokens[Role.ADMIN]
        lines = f"GET /v1/blobs/{digest.hex()} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        for ending in ("", "Connection: close\r\n"):
            lazy = socket.socket()
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with lazy:
                lazy.connect(place_of(stage))
                lazy.sendall(f"{lines}{ending}\r\n".encode())
                await until(lambda: len(stage.server.crowd) == 1, "the asker", PATIENCE_S)
                await until(lambda: len(stage.server.crowd) == 0, "its end", PATIENCE_S)


async def test_pipelined_requests_that_nobody_reads_the_answers_of_end(tmp_path):
    async with ApiStage(tmp_path, HURRIED) as stage:
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        with lazy:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(lazy, place_of(stage))
            many = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000
            sending = loop.create_task(loop.sock_sendall(lazy, many))
            await until(lambda: len(stage.server.crowd) == 1, "the asker", PATIENCE_S)
            await until(lambda: len(stage.server.crowd) == 0, "its end", PATIENCE_S)
            sending.cancel()
            await asyncio.wait((sending,))


async def test_connections_of_one_peer_and_of_all_are_bounded(tmp_path):
    for bounds in (
        {"connections_peer_max": 4, "connections_max": 100},
        {"connections_peer_max": 100, "connections_max": 4},
        {"connections_peer_max": 4, "connections_max": 6, "proxies": ("127.0.0.1",)},
    ):
        folder = tmp_path / "-".join(map(str, bounds.values()))
        folder.mkdir()
        async with ApiStage(folder, msgspec.structs.replace(FREE, **bounds)) as stage:
            await crowded(stage, 6 if "proxies" in bounds else 4)
            await until(lambda: len(stage.server.crowd) == 0, "everybody to leave", PATIENCE_S)
            told = await asked(stage.server.url, "GET /livez")
            assert told.status == 200, "whoever came after the crowd"


async def crowded(stage, most):
    """Fill a gateway with people who say nothing."""
    async with AsyncExitStack() as stack:
        crowd = stage.server.crowd
        for number in range(most):
            _, writer = await asyncio.open_connection(*place_of(stage))
            stack.callback(writer.close)
            await until(lambda n=number: len(crowd) == n + 1, "one more", PATIENCE_S)
        told = await asked(stage.server.url, "GET /livez")
        assert (told.status, told.headers["retry-after"]) == (503, "1"), told
        told.problem()
        await until(lambda: len(crowd) == most, "the one who was told", PATIENCE_S)
        closed = 0
        for _ in range(30):
            reader, writer = await asyncio.open_connection(*place_of(stage))
            stack.callback(writer.close)
            try:
                async with asyncio.timeout(0.05):
                    await reader.read()
                closed += 1
            except TimeoutError:
                pass
            except ConnectionError:
                closed += 1
        assert closed >= 10, "expected connections past all bounds to be closed at once"
        assert len(crowd) <= most + most // 4 + 8


async def test_what_strangers_send_fills_no_log(tmp_path, caplog):
    async with ApiStage(tmp_path) as stage:
        for number in range(60):
            await spoken(stage.server.url, b"NONSENSE\r\n\r\n")
            upgrade = ("Connection: Upgrade", "Upgrade: websocket")
            assert (await asked(stage.server.url, f"GET /v1/{number}", *upgrade)).status == 404
            await asked(stage.server.url, "GET /v1/fleet", host="evil.example")
    lines = [record for record in caplog.records if record.name != "asyncio"]
    assert len(lines) <= 10, [record.getMessage() for record in lines[:20]]
