"""What is told of a connection of the gateway's."""

from __future__ import annotations

import asyncio

from devicesdk.aio.port import Dial, Granted, Inbound
from devicesim.live.soak.taps import GatewayPort
from tests_kit.memory_port import MemoryPort

WANT = "fd/main/d/d0/want"


class Plane:
    """Whoever speaks on the connection, and whoever is told of it."""

    def __init__(self) -> None:
        self.pubacks: list[tuple[int, int]] = []
        self.told: list[tuple[object, int]] = []

    def on_connected(self, granted: Granted) -> None:
        """Not looked at."""

    def on_connect_failed(self, reason: str) -> None:
        """Not looked at."""

    def on_disconnected(self, reason: str) -> None:
        """Not looked at."""

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Not looked at."""

    def on_puback(self, token: int, code: int) -> None:
        self.pubacks.append((token, code))

    def on_message(self, message: Inbound) -> None:
        """Not looked at."""

    def gateway_said(self, topic: str, payload: bytes, qos: int, expiry_s: int) -> object:
        return payload

    def gateway_answered(self, said: object, code: int) -> None:
        self.told.append((said, code))


async def test_each_answer_of_the_broker_is_told_with_its_code_and_once() -> None:
    plane, broker = Plane(), None

    def make(ears: object) -> MemoryPort:
        nonlocal broker
        broker = MemoryPort(ears)
        return broker

    port = GatewayPort(make, plane, plane)
    assert broker is not None
    port.connect(Dial(client_id="gateway"))
    for token, code in ((1, 0x87), (2, 0), (3, 0x10)):
        broker.puback_code = code
        port.publish(WANT, b"%d" % token, qos=1, token=token)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert plane.told == [(b"1", 0x87), (b"2", 0), (b"3", 0x10)]
    assert plane.pubacks == [(1, 0x87), (2, 0), (3, 0x10)], "passed on as they came"
    broker.listener.on_puback(1, 0)
    assert len(plane.told) == 3, "nobody waits for it any more"
