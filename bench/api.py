"""Reads of the HTTP API at 10,000 devices, beside a bare FastAPI route in the same run.

``python -m bench.api`` starts a gateway with a broker of its own, enrolls `DEVICES` devices over the API, and asks both
servers in turn with the same client: `CONNECTIONS` connections that ask one request after the other. It prints requests
a second, the 99th percentile, and both over those of a bare route that says ``{"ok": true}``; the bars are 30 % and 5
times, whatever is asked. The last row asks for the largest page while devices change, so that no page is kept: it is
printed for comparison and not barred.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

DEVICES: Final = 10_000
CONNECTIONS: Final = 8
ROUNDS: Final = 5
ROUND_S: Final = 1.0
START_S_MAX: Final = 120.0
RATIO_MIN: Final = 0.30
P99_MAX: Final = 5.0
LARGEST: Final = "/v1/devices?limit=1000"
READS: Final = (
    "/v1/whoami",
    "/v1/fleet",
    "/v1/devices/d-05000",
    "/v1/devices?limit=20",
    "/v1/devices?limit=100",
    "/v1/rollouts",
    "/v1/flags",
    "/v1/kills",
    "/v1/transfers",
    LARGEST,
    "/v1/devices?limit=100&label=region:eu",
    "/v1/audit?limit=100",
    "/v1/audit?limit=100&order=newest",
)
CHANGE_S: Final = 0.05
"""Between two changes of a device."""
FREE: Final = {
    "FLEETDRILL_HTTP_PORT": "0",
    "FLEETDRILL_HTTP_REQUESTS_PER_S_MAX": "100000",
    "FLEETDRILL_HTTP_REQUESTS_BURST_MAX": "1000000",
}
BARE: Final = """
import uvicorn, fastapi
app = fastapi.FastAPI()
@app.get("/bare")
async def bare():
    return {"ok": True}
uvicorn.run(app, host="127.0.0.1", port=0, log_level="info", access_log=False, server_header=False)
"""
Address = tuple[str, int]


class Client:
    """One connection that asks one request after the other."""

    def __init__(self, address: Address, token: str) -> None:
        self._address, self._token = address, token
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(*self._address)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if not body:
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = answer.index(b"content-length:") + 15
        length = int(answer[at : answer.index(b"\r", at)])
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Leave."""
        self._writer.close()


async def _round(address: Address, token: str, path: str) -> tuple[float, float]:
    """Requests a second and the 99th percentile, milliseconds."""
    clients = [Client(address, token) for _ in range(CONNECTIONS)]
    took: list[float] = []
    for client in clients:
        await client.open()
    began = time.perf_counter()

    async def one(client: Client) -> None:
        while (asked := time.perf_counter()) < began + ROUND_S:
            status, body = await client.ask("GET", path)
            assert status == 200, f"{path}: {status} {body[:200]!r}"
            took.append(time.perf_counter() - asked)

    await asyncio.gather(*(one(client) for client in clients))
    span = time.perf_counter() - began
    for client in clients:
        client.close()
    took.sort()
    return len(took) / span, took[int(len(took) * 0.99)] * 1e3


async def _label(client: Client, number: int, region: str) -> None:
    body = b'{"labels":{"region":"%s","profile":"rpi4"}}' % region.encode()
    status, said = await client.ask("PUT", f"/v1/devices/d-{number:05d}/labels", body)
    assert status == 200, said


async def _change(address: Address, token: str) -> None:
    """Give the first device another label, again and again."""
    client = Client(address, token)
    await client.open()
    try:
        for count in itertools.count():
            await _label(client, 0, f"eu-{count}")
            await asyncio.sleep(CHANGE_S)
    finally:
        client.close()


async def _enroll(address: Address, token: str) -> float:
    """Enroll all devices; returns how many a second."""
    numbers: Iterator[int] = iter(range(DEVICES))
    began = time.perf_counter()

    async def one() -> None:
        client = Client(address, token)
        await client.open()
        for number in numbers:
            await _label(client, number, ("eu", "us", "apac")[number % 3])
        client.close()

    await asyncio.gather(*(one() for _ in range(8 * CONNECTIONS)))
    return DEVICES / (time.perf_counter() - began)


@contextmanager
def _gateway(folder: Path) -> Iterator[tuple[Address, str]]:
    """A gateway as a process; its address and its first token."""
    words = [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", str(folder)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(words, env={**os.environ, **FREE}, stderr=said)
    try:
        url = _awaited(folder / "http.url", process).removeprefix("http://")
        host, _, port = url.partition(":")
        yield (host, int(port)), _awaited(folder / "admin.token", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _awaited(file: Path, process: subprocess.Popen[bytes]) -> str:
    give_up = time.perf_counter() + START_S_MAX
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, f"it ended: {(file.parent / 'said').read_text()}"
        assert time.perf_counter() < give_up, f"waited in vain for {file}"
        time.sleep(0.05)
    return file.read_text().strip()


@contextmanager
def _bare() -> Iterator[Address]:
    """A bare FastAPI route as a process."""
    process = subprocess.Popen([sys.executable, "-c", BARE], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "http://127.0.0.1:" in line:
                yield "127.0.0.1", int(line.split("http://127.0.0.1:")[1].split()[0])
                break
    finally:
        process.terminate()
        process.wait(60)


async def _compared(gateway: Address, token: str, bare: Address, path: str) -> tuple[float, ...]:
    """Medians over rounds in turn: requests a second, p99, and both over the bare route's."""
    rows = []
    for _ in range(ROUNDS):
        plain_rate, plain_p99 = await _round(bare, token, "/bare")
        rate, p99 = await _round(gateway, token, path)
        rows.append((rate, p99, rate / plain_rate, p99 / plain_p99, plain_rate))
    return tuple(median(column) for column in zip(*rows, strict=True))


async def _report(gateway: Address, token: str, bare: Address) -> bool:
    print(
        f"enrolled {DEVICES} devices, {await _enroll(gateway, token):.0f}/s (each durable and audited)"
    )
    print("| read | requests/s | p99, ms | of bare | p99 over bare | |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    good = True
    for path in READS:
        row = await _compared(gateway, token, bare, path)
        held = row[2] >= RATIO_MIN and row[3] <= P99_MAX
        good = good and held
        _print(path, row, "held" if held else "NOT HELD")
    changing = asyncio.create_task(_change(gateway, token))
    _print(LARGEST, await _compared(gateway, token, bare, LARGEST), "while devices change")
    changing.cancel()
    return good


def _print(path: str, row: tuple[float, ...], word: str) -> None:
    rate, p99, share, slower, _ = row
    print(
        f"| `{path}` | {rate:.0f} | {p99:.1f} | {share:.0%} | {slower:.1f} | {word} |", flush=True
    )


def report() -> bool:
    """Print the table; whether the bars were held."""
    with (
        tempfile.TemporaryDirectory(prefix="fleetdrill-bench-") as folder,
        _bare() as bare,
        _gateway(Path(folder)) as (gateway, token),
    ):
        return asyncio.run(_report(gateway, token, bare))


if __name__ == "__main__":
    sys.exit(0 if report() else 1)
