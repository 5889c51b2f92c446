"""A broker with clients that write down what they hear; the whole state is re-checked at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devicesim.world.broker import Broker, BrokerLimits, Connect, Message, ReasonCode, Will
from devicesim.world.ledger import Ledger


class Client:
    """One connection: implements `Outlet`."""

    def __init__(self) -> None:
        self.connack = None
        self.heard: list[tuple[int, str, bytes, bool, bool]] = []
        self.end: ReasonCode | None = None

    def accepted(self, now, connack) -> None:
        assert not self.heard, "the CONNACK comes first"
        self.connack = connack

    def deliver(self, now, packet_id, message, dup) -> None:
        assert self.end is None, "nothing follows the end of a connection"
        self.heard.append((packet_id, message.topic, message.payload, message.retain, dup))

    def closed(self, now, reason) -> None:
        assert self.end is None
        self.end = reason

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, _, payload, _, _ in self.heard]


class Bench:
    """A broker, its books, and short names for what tests do all the time."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.broker = Broker(self.ledger)

    def using(self, *, authenticate=None, authorize=None, **limits) -> Bench:
        self.broker = Broker(
            self.ledger,
            BrokerLimits(**limits),
            authenticate=authenticate,
            authorize=authorize,
        )
        return self

    def client(self, name: str, *filters: tuple[str, int], now: int = 0, **wishes) -> Client:
        client = Client()
        connack = self.broker.connect(now, Connect(client_id=name, **wishes), client)
        if connack.accepted:
            assert client.connack == connack
            if filters:
                codes = self.broker.subscribe(now, name, filters)
                assert codes == [min(qos, 1) for _, qos in filters]
        else:
            assert client.connack is None
            client.end = connack.reason
        return client

    def say(self, name: str, topic: str, payload: bytes = b"x", now: int = 0, **fields):
        return self.broker.publish(now, name, Message(topic, payload, **fields))

    def drops(self, leg: str = "broker") -> dict[str, int]:
        return {cause.value: n for cause, n in self.ledger.drops(leg).items()}


def will(topic: str = "link", payload: bytes = b"lost", *, delay_ns=0, expiry_ns=None, **fields):
    return Will(Message(topic, payload, **fields), delay_ns, expiry_ns)


@pytest.fixture(name="will")
def _will():
    return will


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.broker.validate()
