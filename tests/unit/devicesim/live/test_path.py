"""A live path between a fake port and a station that takes notes."""

from __future__ import annotations

import asyncio
import tracemalloc
from types import SimpleNamespace

import pytest

from devicesdk.aio.port import REASON_WITH_WILL, Granted, Inbound, PortFullError
from devicesdk.wire.timebase import SECOND
from devicesdk.wire.topics import Topics
from devicesim.live.pacer import Pacer
from devicesim.live.path import LivePath
from devicesim.world import gates
from devicesim.world.broker.packets import Connect, Message, Will
from devicesim.world.broker_host import ConnectRequest
from devicesim.world.connection import OPENING
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DOWN, UP, DropCause, Ledger


class StillClock:
    instant = 0

    def now(self) -> int:
        return self.instant

    def wall_ms(self) -> int:
        return 0

    def wait_s(self, instant: int) -> float:
        return 3600.0


class Link:
    """A link that is always up and takes no time."""

    def is_up(self, now: int) -> bool:
        return True

    def next_change(self, now: int) -> tuple[int, bool]:
        return 10**18, True

    def reset(self) -> None: ...

    def rtt_ns(self, now: int) -> int:
        return 1_000_000

    def handshake_ns(self, now: int) -> int:
        return 3_000_000

    def arrival_delay_ns(self, nbytes: int, now: int, downlink: bool) -> int:
        return 500_000


class FakePort:
    """Implements the port: notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.connected, self.unsent_bytes, self.full = False, 0, False

    def connect(self, dial) -> None:
        self.asked.append(("connect", dial))

    def subscribe(self, filters, qos=1) -> None:
        self.asked.append(("subscribe", filters, qos))

    def publish(self, topic, payload, *, qos=0, retain=False, token=0, expiry_s=0) -> None:
        if self.full:
            raise PortFullError("full")
        self.asked.append(("publish", topic, payload, qos, retain, token))

    def acknowledge(self, packet_id) -> None: ...

    def disconnect(self, reason=0) -> None:
        self.asked.append(("disconnect", reason))

    def abort(self) -> None:
        self.asked.append(("abort",))


class FakeWire:
    def __init__(self, log: list) -> None:
        self.log = log

    def strand(self) -> None:
        self.log.append(("strand",))

    def reset(self) -> None:
        self.log.append(("reset",))

    def clear(self, now: int) -> None:
        self.log.append(("clear",))


class Station:
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def __getattr__(self, name: str):
        return lambda now, *what: self.heard.append((name, *what))


@pytest.fixture
async def rig():
    kernel, ledger, clock = Kernel(), Ledger(), StillClock()
    pacer = Pacer(kernel, clock, asyncio.get_running_loop())
    port, station = FakePort(), Station()
    shop = SimpleNamespace(kernel=kernel, ledger=ledger, topics=Topics())
    parts = SimpleNamespace(link=Link(), luck=None, identity=SimpleNamespace(device="kiosk-1"))
    source = SimpleNamespace(tampering=None, silent=None)
    path = LivePath(shop, parts, station, pacer, 60.0, source)
    path.attach(port, FakeWire(port.asked))
    will = Will(message=Message("fd/main/d/kiosk-1/link", b"gone", 1, True, None, "link"))
    request = ConnectRequest(
        Connect(client_id="kiosk-1", session_expiry_ns=3600 * SECOND, will=will), 120 * SECOND
    )
    rig = SimpleNamespace(path=path, port=port, station=station, ledger=ledger, kernel=kernel,
                          request=request, source=source, clock=clock)  # fmt: skip
    yield rig
    pacer.stop()


def connect(rig) -> None:
    rig.path.open(0, rig.request)
    rig.path.on_connected(Granted(session_present=True))


async def test_the_dial_has_the_scenarios_durations_divided_by_speed(rig):
    rig.path.open(0, rig.request)
    ((verb, dial),) = rig.port.asked
    assert verb == "connect"
    assert (dial.keepalive_s, dial.session_expiry_s, dial.clean_start) == (2, 60, False)
    assert (dial.will.topic, dial.will.payload) == ("fd/main/d/kiosk-1/link", b"gone")


async def test_a_conversation_and_its_books(rig):
    connect(rig)
    assert rig.station.heard == [("on_connected", True)]
    rig.path.live.publish(0, Message("fd/main/d/kiosk-1/have", b"x", 1, True, None, "have"), 5)
    assert rig.port.asked[-1] == ("publish", "fd/main/d/kiosk-1/have", b"x", 1, True, 5)
    assert rig.path.on_the_wire() == (1, 0)
    assert rig.ledger.held(UP) == 1
    rig.path.on_puback(5, 0)
    assert rig.station.heard[-1] == ("on_acked", 5)
    assert rig.path.on_the_wire() == (0, 0)
    assert rig.ledger.held(UP) == 0
    rig.path.on_puback(5, 0)
    assert len(rig.station.heard) == 2, "a second PUBACK of one token is none"
    rig.path.on_message(Inbound("fd/main/d/kiosk-1/want", b"w", 1, True, 9))
    name, message = rig.station.heard[-1]
    assert (name, message.kind, message.payload, message.retain) == (
        "on_message",
        "want",
        b"w",
        True,
    )
    assert rig.ledger.held(DOWN) == 0


async def test_a_publish_that_is_said_again_is_two_copies(rig):
    connect(rig)
    for _ in range(2):
        rig.path.live.publish(0, Message("t", b"x", 1, False, None, "tel"), 5)
    assert rig.path.on_the_wire() == (2, 0)
    assert rig.ledger.held(UP) == 2
    rig.path.on_puback(5, 0)
    rig.path.on_disconnected("gone")
    assert rig.path.on_the_wire() == (0, 0)
    assert rig.ledger.held(UP) == 0


async def test_an_acknowledgement_that_nobody_has_subscribed_is_told_as_that(rig):
    connect(rig)
    rig.path.live.publish(0, Message("t", b"x", 1, False, None, "tel"), 5)
    rig.path.on_puback(5, 0x10)
    assert rig.station.heard[-1] == ("on_unheard", 5)
    assert rig.path.on_the_wire() == (0, 0)


async def test_a_refused_publish_is_not_acknowledged_and_its_loss_has_a_cause(rig):
    """A real device hears of none and says it again; the live fleet took it for delivered."""
    connect(rig)
    rig.path.live.publish(0, Message("t", b"x", 1, False, None, "ev"), 5)
    heard = list(rig.station.heard)
    rig.path.on_puback(5, 0x87)
    assert rig.station.heard == heard
    assert rig.path.on_the_wire() == (0, 0)
    assert rig.ledger.drops(UP)[DropCause.NOT_AUTHORIZED] == 1


async def test_a_connection_that_lives_long_remembers_only_what_is_in_flight(rig):
    """Found by a soak: 85 bytes stayed behind for each message that was ever acknowledged."""
    connect(rig)
    tracemalloc.start()
    try:
        before = 0
        for token in range(1, 4_001):
            if token == 2_000:
                before = tracemalloc.get_traced_memory()[0]
            rig.path.live.publish(0, Message("t", b"x", 1, False, None, "ev"), token)
            rig.path.on_puback(token, 0)
            rig.station.heard.clear()
            rig.port.asked.clear()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 16 * 2_000, f"{grown} bytes for 2,000 messages that are done"


async def test_a_message_for_nobody_is_counted_and_dropped(rig):
    connect(rig)
    rig.path.on_message(Inbound("somewhere/else", b"?", 0, False, 0))
    assert rig.path.strange == 1
    assert rig.station.heard == [("on_connected", True)]


async def test_a_full_port_costs_the_message_and_says_why(rig):
    connect(rig)
    rig.port.full = True
    rig.path.live.publish(0, Message("t", b"x", 1, False, None, "ev"), 6)
    assert rig.ledger.drops(UP)[DropCause.QUEUE_FULL] == 1
    assert rig.path.on_the_wire() == (0, 0)


async def test_losing_the_connection_loses_what_was_not_acknowledged(rig):
    connect(rig)
    rig.path.live.publish(0, Message("t", b"x", 1, False, None, "ev"), 6)
    rig.path.on_disconnected("reset by peer")
    assert rig.station.heard[-1] == ("on_disconnected", "reset by peer")
    assert rig.ledger.drops(UP)[DropCause.CONNECTION_LOST] == 1
    rig.path.on_puback(6, 0)
    assert rig.station.heard[-1][0] == "on_disconnected", "an ended connection says nothing more"


async def test_closing_has_the_will_published_unless_nothing_gets_through(rig):
    connect(rig)
    rig.path.close(0, DropCause.CONNECTION_LOST)
    assert rig.port.asked[-1] == ("disconnect", REASON_WITH_WILL)
    rig.path.close(0, DropCause.CONNECTION_LOST)
    assert len(rig.port.asked) == 2, "closed is closed"


async def test_a_power_cut_leaves_the_broker_a_half_open_connection(rig):
    connect(rig)
    rig.path.close(0, DropCause.POWER_OFF)
    assert rig.port.asked[-2:] == [("strand",), ("abort",)]


async def test_a_reset_is_told_once(rig):
    connect(rig)
    rig.path.overlay.reset = 1
    rig.path.refresh(0)
    assert rig.port.asked[-2:] == [("reset",), ("abort",)]
    assert rig.station.heard[-1] == ("on_disconnected", "reset")
    rig.path.on_disconnected("closed")
    assert rig.station.heard.count(("on_disconnected", "reset")) == 1
    assert rig.station.heard[-1] == ("on_disconnected", "reset")


@pytest.mark.parametrize(
    "told",
    [
        lambda path: path.on_connected(Granted(session_present=False)),
        lambda path: path.on_connect_failed("timeout"),
        lambda path: path.on_disconnected("closed"),
    ],
    ids=["connected", "failed", "gone"],
)
async def test_news_of_an_attempt_are_not_those_of_the_next(rig, told):
    """On a machine that is late the device dials again before it hears of the last attempt."""
    rig.path.open(0, rig.request)
    rig.kernel.at(SECOND, lambda now, _: rig.path.open(now, rig.request))
    rig.clock.instant = 2 * SECOND
    told(rig.path)
    assert [asked[0] for asked in rig.port.asked].count("connect") == 2
    assert rig.station.heard == []
    assert rig.path.live.state == OPENING
    assert rig.path.live.device_open


async def test_without_a_carrier_no_socket_is_opened(rig):
    rig.path.overlay.detached = 1
    rig.path.refresh(0)
    assert rig.station.heard == [("on_bearer", False)]
    rig.path.open(0, rig.request)
    rig.kernel.run(10 * SECOND)
    assert rig.port.asked == []
    assert rig.station.heard[-1] == ("on_connect_failed", "no carrier")


async def test_tampered_chunks_keep_their_header(rig):
    connect(rig)
    rig.source.tampering = lambda device, chunk: device.encode() + b"!" + chunk[:2]
    rig.path.on_message(Inbound("fd/main/d/kiosk-1/dat", b"h" * 24 + b"chunk", 0, False, 0))
    assert rig.station.heard[-1][1].payload == b"h" * 24 + b"kiosk-1!ch"


async def test_without_a_name_no_socket_is_opened(rig):
    gates.change(rig.path, 0, lambda on: setattr(on, "nameless", 1))
    rig.path.open(0, rig.request)
    rig.kernel.run(SECOND)
    assert rig.port.asked == []
    assert rig.station.heard[-1] == ("on_connect_failed", "name not resolved")


async def test_a_connection_that_a_nat_forgot_is_stranded_and_the_next_one_is_new(rig):
    connect(rig)
    rig.path.nat(0, (20 * SECOND,))
    rig.kernel.run(200 * SECOND)
    assert rig.path.black
    rig.path.on_disconnected("silence")
    assert ("strand",) in rig.port.asked
    rig.path.open(200 * SECOND, rig.request)
    assert not rig.path.black
    assert rig.port.asked[-1][0] == "connect"


async def test_a_source_that_is_gone_costs_chunks_and_says_why(rig):
    connect(rig)
    rig.source.silent = lambda device: device == "kiosk-1"
    rig.path.on_message(Inbound("fd/main/d/kiosk-1/dat", b"h" * 24 + b"chunk", 0, False, 0))
    assert rig.station.heard[-1][0] == "on_connected"
    assert rig.ledger.drops(DOWN) == {DropCause.SOURCE_GONE: 1}
