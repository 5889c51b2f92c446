"""The ear on the broker's count of dropped messages, as a table of what it hears and does."""

from __future__ import annotations

import asyncio

from devicesdk.aio.port import Granted, Inbound
from gateway.adapters.brokers import drops
from gateway.adapters.brokers.drops import TOPIC, DropWatch


class PortOnPaper:
    """Keeps the port's promises without a network: says what was asked of it."""

    connected = False
    unsent_bytes = 0

    def __init__(self):
        self.asked = []

    def connect(self, dial):
        self.asked.append(f"connect {dial.client_id}")

    def subscribe(self, filters, qos=1):
        self.asked.append(f"subscribe {filters} {qos}")

    def publish(self, *args, **options):
        raise AssertionError("it only listens")

    acknowledge = abort = publish

    def disconnect(self, reason=0):
        self.asked.append("disconnect")


def message(topic, payload):
    return Inbound(topic, payload, 0, False, 0)


async def test_it_hears_the_count():
    port = PortOnPaper()
    watch = DropWatch(lambda _: port)
    watch.open()
    watch.on_connected(Granted(session_present=False))
    assert port.asked == ["connect gateway-monitor", f"subscribe {(TOPIC,)} 0"]
    assert watch.dropped is None, "not known is not zero"
    watch.on_message(message(TOPIC, b"12"))
    watch.on_message(message(TOPIC, b"many"))
    watch.on_message(message("$SYS/broker/uptime", b"99"))
    assert watch.dropped == 12
    watch.close()
    assert port.asked[-1] == "disconnect"


async def test_it_comes_back_after_a_while_and_not_after_its_end(monkeypatch):
    monkeypatch.setattr(drops, "RETRY_S", 0.0)
    port = PortOnPaper()
    watch = DropWatch(lambda _: port)
    watch.open()
    watch.on_connect_failed("refused")
    await asyncio.sleep(0.01)
    watch.on_disconnected("reset")
    await asyncio.sleep(0.01)
    assert port.asked == ["connect gateway-monitor"] * 3
    watch.on_disconnected("reset")
    watch.close()
    await asyncio.sleep(0.01)
    assert port.asked == ["connect gateway-monitor"] * 3 + ["disconnect"]
