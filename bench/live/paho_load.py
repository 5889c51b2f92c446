"""A process of bare paho-mqtt clients on one epoll loop, to be measured: `idle PORT COUNT`."""

from __future__ import annotations

import os
import select
import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.live.drivers import raise_descriptor_limit
from bench.live.lean_load import AT_ONCE, address_of, resident_kb


def open_one(port: int, i: int, connected: list[int]) -> paho.Client:
    """Send one CONNECT, as the other loads do."""
    name = f"paho-{os.getpid()}-{i}"
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        client_id=name,
        protocol=paho.MQTTv5,
        reconnect_on_failure=False,
    )
    client.will_set(f"fd/bench/d/{name}/link", b"offline", 1, retain=True)
    client.on_connect = lambda *_: connected.append(1)
    wishes = Properties(PacketTypes.CONNECT)
    wishes.SessionExpiryInterval = 3_600
    client.connect("127.0.0.1", port, 60, address_of(i), clean_start=False, properties=wishes)
    return client


def main() -> None:
    """Connect all, say ready, wait for a word."""
    raise_descriptor_limit()
    port, count = int(sys.argv[2]), int(sys.argv[3])
    before, begun = resident_kb(), time.monotonic()
    poll, clients, connected = select.epoll(), {}, []

    def turn() -> None:
        for fd, _ in poll.poll(1.0):
            clients[fd].loop_read()

    for i in range(count):
        client = open_one(port, i, connected)
        clients[client.socket().fileno()] = client
        poll.register(client.socket().fileno(), select.EPOLLIN)
        while i + 1 - len(connected) >= AT_ONCE:
            turn()
    while len(connected) < count:
        turn()
    print("ready", time.monotonic() - begun, resident_kb() - before, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
