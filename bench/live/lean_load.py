"""A process of lean endpoints, to be measured: the words of `c/load.c`, on uvloop.

python -m bench.live.lean_load idle|recv|flag|send PORT COUNT ...
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time

import uvloop

from bench.live.drivers import raise_descriptor_limit
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound, Will

AT_ONCE = 100
PER_ADDRESS = 1_000
WINDOW = 100
UNSENT_BYTES = 1024 * 1024
NOW = struct.Struct("d")


def address_of(i: int) -> str:
    """Where a connection comes from: ports of one address are few, those of a past run still busy."""
    return f"127.{2 + os.getpid() // 250 % 250}.{os.getpid() % 250}.{2 + i // PER_ADDRESS}"


def resident_kb() -> int:
    """Memory of this process."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - nothing but this number
        return int(file.read().split()[1]) * 4


class Crew:
    """All connections of the process, and what they count together."""

    def __init__(self, port: int, qos: int = 0, expected: int = 0) -> None:
        self.port, self.qos, self.expected = port, qos, expected
        self.members: list[Member] = []
        self.connected = self.subscribed = self.received = self.acked = 0
        self.first_at = self.last_at = 0.0
        self.delays: list[float] | None = None
        self.changed = asyncio.Event()

    async def until(self, attribute: str, count: int) -> None:
        """Wait until a counter is there."""
        while getattr(self, attribute) < count:
            self.changed.clear()
            await self.changed.wait()

    async def open(self, count: int, topic: str | None = None, *, will: bool = False) -> None:
        """Connect all, subscribe them when there is a topic, and say ready."""
        before, begun = resident_kb(), time.monotonic()
        for i in range(count):
            self.members.append(Member(self, i, topic and topic.replace("%d", str(i)), will))
            if i + 1 - self.connected >= AT_ONCE:
                await self.until("connected", i + 2 - AT_ONCE)
        await self.until("connected", count)
        took = time.monotonic() - begun
        if topic:
            await self.until("subscribed", count)
        print("ready", took, resident_kb() - before, flush=True)


class Member:
    """One client: a port and its listener."""

    __slots__ = ("crew", "mqtt", "topic")

    def __init__(self, crew: Crew, i: int, topic: str | None, will: bool) -> None:
        self.crew, self.topic = crew, topic
        self.mqtt = LeanPort(Endpoint(port=crew.port, source=(address_of(i), 0)), self)
        name = f"lean-{os.getpid()}-{i}"
        self.mqtt.connect(
            Dial(
                client_id=name,
                receive_maximum=WINDOW,
                manual_ack=True,
                session_expiry_s=3_600 if will else 0,
                clean_start=not will,
                will=Will(f"fd/bench/d/{name}/link", b"offline") if will else None,
            )
        )

    def on_connected(self, granted: Granted) -> None:  # noqa: ARG002
        """Subscribe, if this run has a topic."""
        self.crew.connected += 1
        if self.topic:
            self.mqtt.subscribe((self.topic,), self.crew.qos)
        self.crew.changed.set()

    def on_connect_failed(self, reason: str) -> None:
        """End the run."""
        raise SystemExit(f"lean load: {reason}")

    def on_disconnected(self, reason: str) -> None:
        """End the run."""
        raise SystemExit(f"lean load: {reason}")

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Count."""
        assert codes[0] < 0x80, codes
        self.crew.subscribed += 1
        self.crew.changed.set()

    def on_puback(self, token: int, code: int) -> None:  # noqa: ARG002
        """Count."""
        self.crew.acked += 1
        self.crew.changed.set()

    def on_message(self, message: Inbound) -> None:
        """Count, note the time, acknowledge by hand."""
        crew = self.crew
        if not crew.received:
            crew.first_at = time.monotonic()
        if crew.delays is not None:
            crew.delays.append(time.monotonic() - NOW.unpack_from(message.payload)[0])
        if message.packet_id:
            self.mqtt.acknowledge(message.packet_id)
        crew.received += 1
        if crew.received == crew.expected:
            crew.last_at = time.monotonic()
            crew.changed.set()


async def word() -> bool:
    """Wait for a line on stdin, without a thread that reads; False at the end of stdin."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(0, heard.set)
    await heard.wait()
    loop.remove_reader(0)
    return bool(sys.stdin.readline())


async def drained(mqtt: LeanPort, to_bytes: int) -> None:
    """Wait until the socket took most of it."""
    while mqtt.unsent_bytes > to_bytes:  # noqa: ASYNC110 - the port has no event for it
        await asyncio.sleep(0.002)


async def idle(port: int, count: int) -> None:
    await Crew(port).open(count, will=True)
    await word()


async def recv(port: int, count: int, topic: str, qos: int, expected: int) -> None:
    crew = Crew(port, qos, expected)
    await crew.open(count, topic)
    await crew.until("received", expected)
    print("done", crew.first_at, crew.last_at, crew.received, flush=True)
    await word()


async def flag(port: int, count: int, topic: str, rounds: int) -> None:
    crew = Crew(port, 1, count)
    await crew.open(count, topic)
    for _ in range(rounds):
        crew.received, crew.delays = 0, []
        await crew.until("received", count)
        delays = sorted(crew.delays)
        print("flag", delays[count // 2], delays[-1], crew.received, flush=True)
    await word()


async def send(port: int, count: int, topic: str, qos: int, size: int, messages: int) -> None:
    crew = Crew(port)
    await crew.open(1)
    await word()
    mqtt, tail = crew.members[0].mqtt, bytes(max(0, size - NOW.size))
    topics = [topic.replace("%d", str(i)) for i in range(count)]
    begun = time.monotonic()
    for i in range(messages):
        mqtt.publish(topics[i % count], NOW.pack(time.monotonic()) + tail, qos=qos)
        if qos and i % WINDOW == 0:
            await crew.until("acked", i - WINDOW)
        elif not qos and i % 16 == 15:
            await drained(mqtt, UNSENT_BYTES)
    await drained(mqtt, 0)
    if qos:
        await crew.until("acked", messages)
    print("done", begun, time.monotonic(), flush=True)
    await word()


def main() -> None:
    """Read the command line as `c/load.c` does."""
    raise_descriptor_limit()
    mode, *words = sys.argv[1:]
    numbers = [int(each) if each.isdigit() else each for each in words]
    uvloop.run({"idle": idle, "recv": recv, "flag": flag, "send": send}[mode](*numbers))


if __name__ == "__main__":
    main()
