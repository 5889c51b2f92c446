"""A real outage, recorded: real clients, a real mosquitto, and a wall between them that goes dark.

    PYTHONPATH=. python tests/kit/outage.py OUT.log [--clients 200] [--lead 120] [--dark 180] [--after 180]

Decides what happens: the clients connect over the first half of the lead, a few come and go by
themselves, then the wall between them and the broker goes dark. Seven of ten connections vanish
without a word (the broker finds out by their keep-alive), three of ten are reset; nobody can connect
until the wall is up again, and everybody tries with a back-off and jitter of its own. Leaves out what is
made of the log (``fleetdrill import``). ``tests/data/outage-200.log.gz`` was made with the defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint
from devicesim.entropy import Entropy
from gateway.adapters.brokers.mosquitto import find_mosquitto
from gateway.adapters.brokers.process import BrokerProcess, free_port

CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence false
connection_messages true
sys_interval 1
log_dest stderr
log_dest topic
log_type error
log_type warning
log_type notice
log_type information
"""
RESET_SHARE = 0.3
FLAP_SHARE = 0.15
READ_BYTES = 65_536


class Wall:
    """A TCP proxy that can go dark."""

    def __init__(self, port_behind: int, luck):
        self._behind, self._luck = port_behind, luck
        self._clear = asyncio.Event()
        self._clear.set()
        self._server, self.port = None, 0
        self._writers, self._tasks = [], set()

    async def up(self):
        """Listen, on the same port each time; what was stuck in the dark is reset."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._clear.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def dark(self):
        """Nothing passes; some see a reset, the others see nothing."""
        self._clear.clear()
        self._server.close()
        for writer in self._writers:
            if self._luck.chance(RESET_SHARE):
                writer.transport.abort()

    def down(self):
        """The end."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._behind)
            self._writers.append(writer)
            await asyncio.gather(self._pump(reader, behind), self._pump(behind_reader, writer))
        except OSError:
            pass
        finally:
            self._tasks.discard(task)

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(READ_BYTES):
                await self._clear.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


class Client:
    """One device: connects, and tries again for ever."""

    def __init__(self, name, port, keepalive_s, luck):
        self.name, self._luck, self._keepalive_s = name, luck, keepalive_s
        self._mqtt = LeanPort(Endpoint(port=port), self)
        self._wait_s, self.ended = 1.0, False
        self._loop = asyncio.get_running_loop()

    def connect(self):
        """Dial now, if this client is not connected already."""
        if self.ended or self._mqtt.connected:
            return
        self._mqtt.connect(
            Dial(client_id=self.name, keepalive_s=self._keepalive_s, clean_start=True, timeout_s=5)
        )

    def flap(self, away_s):
        """Say goodbye, and come back."""
        if self._mqtt.connected:
            self._mqtt.disconnect()
            self._loop.call_later(away_s, self.connect)

    def end(self):
        """Leave for good."""
        self.ended = True
        self._mqtt.disconnect()

    def on_connected(self, granted):
        """Forget the back-off."""
        self._wait_s = 1.0

    def on_connect_failed(self, reason):
        """Try again later."""
        self._wait_s = min(20.0, self._wait_s * 2)
        self._loop.call_later(self._luck.uniform(0.5, self._wait_s), self.connect)

    def on_disconnected(self, reason):
        """Try again soon."""
        self._loop.call_later(self._luck.uniform(0.2, 1.0), self.connect)

    def on_suback(self, codes):
        """Nobody subscribes."""

    def on_puback(self, token, code):
        """Nobody publishes."""

    def on_message(self, message):
        """Nobody listens."""


@asynccontextmanager
async def broker(folder):
    """A mosquitto that says who comes and goes, in its log and on ``$SYS/broker/log/#``."""
    port = free_port("127.0.0.1")
    config = folder / "mosquitto.conf"
    config.write_text(CONFIG.format(port=port, user=getpass.getuser()))
    process = BrokerProcess((find_mosquitto(), "-c", str(config)), folder, "127.0.0.1", port)
    await process.start()
    try:
        yield port, process
    finally:
        await process.stop()


def names(count):
    """Two kinds of devices, as client ids tell them apart."""
    kiosks = count * 7 // 10
    return [f"kiosk-{i:04d}" for i in range(kiosks)] + [
        f"meter_{i * 37 + 11:05d}" for i in range(count - kiosks)
    ]


async def outage(port, *, clients, lead_s, dark_s, after_s, keepalive_s):
    """Play it against the broker at `port`; returns when it is over and everybody still connected."""
    entropy, loop = Entropy(7), asyncio.get_running_loop()
    wall = Wall(port, entropy.stream("outage", "wall"))
    await wall.up()
    crowd = [
        Client(name, wall.port, keepalive_s, entropy.stream("outage", name))
        for name in names(clients)
    ]
    for client in crowd:
        luck = entropy.stream("outage.plan", client.name)
        loop.call_later(luck.uniform() * lead_s / 2, client.connect)
        if luck.chance(FLAP_SHARE):
            loop.call_later(lead_s * luck.uniform(0.6, 0.9), client.flap, luck.uniform(0.5, 20.0))
    await asyncio.sleep(lead_s)
    wall.dark()
    await asyncio.sleep(dark_s)
    await wall.up()
    await asyncio.sleep(after_s)
    return wall, crowd


async def record(out, options):
    """The whole, from the broker's start to its end."""
    with tempfile.TemporaryDirectory() as name:
        async with broker(Path(name)) as (port, process):
            wall, crowd = await outage(
                port, clients=options.clients, lead_s=options.lead, dark_s=options.dark,
                after_s=options.after, keepalive_s=options.keepalive,
            )  # fmt: skip
            for client in crowd[: len(crowd) // 2]:
                client.end()
            await asyncio.sleep(2)
        for client in crowd:
            client.end()
        wall.down()
        out.write_text(process.log.read_text().replace(f"{name}/", ""))


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--lead", type=float, default=120.0)
    parser.add_argument("--dark", type=float, default=180.0)
    parser.add_argument("--after", type=float, default=180.0)
    parser.add_argument("--keepalive", type=int, default=20)
    options = parser.parse_args()
    asyncio.run(record(options.out, options))


if __name__ == "__main__":
    main()
