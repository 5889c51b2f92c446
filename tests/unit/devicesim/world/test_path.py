"""A path, a real in-memory broker, and a station that writes down what it is told."""

import pytest

from devicesdk.wire.timebase import MS, NEVER, SECOND
from devicesim.entropy import Entropy
from devicesim.models.link import FixedLink
from devicesim.world.broker.broker import Broker
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import Connect, Message, Will
from devicesim.world.broker_host import BrokerHost, ConnectRequest
from devicesim.world.connection import ACK_NS_MAX
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DropCause, Ledger
from devicesim.world.path import Path

KEEPALIVE = 60 * SECOND
RTT = 100 * MS


class Station:
    def __init__(self, kernel):
        self.kernel, self.log = kernel, []
        self.acked_by = NEVER

    def on_connected(self, now, session_present):
        self.log.append(("connected", session_present))

    def on_connect_failed(self, now, reason):
        self.log.append(("failed", reason))

    def on_disconnected(self, now, reason):
        self.log.append(("disconnected", reason, round(now / SECOND)))

    def on_suback(self, now, codes):
        self.log.append(("suback", codes))

    def on_acked(self, now, token):
        self.log.append(("acked", token))

    def on_unheard(self, now, token):
        self.log.append(("unheard", token))

    def on_doubt(self, now):
        self.log.append(("doubt", self.acked_by))

    def on_message(self, now, message):
        self.log.append(("message", message.topic, message.payload))

    def on_bearer(self, now, up):
        self.log.append(("bearer", up))


class Bench:
    def __init__(self, **limits):
        self.kernel, self.ledger = Kernel(), Ledger()
        self.broker = BrokerHost(
            self.kernel, Broker(self.ledger, BrokerLimits(**limits)), refuses_when_busy=False
        )
        self.stations, self.paths = {}, {}

    def device(self, name):
        station = self.stations[name] = Station(self.kernel)
        luck = Entropy(1).stream("luck", name)
        link = FixedLink(RTT, 1e7, luck=luck)
        self.paths[name] = Path(self.kernel, self.ledger, self.broker, link, luck, station)
        return self.paths[name], station

    def open(self, name):
        will = Will(message=Message(f"will/{name}", b"gone", 1, retain=True, kind="link"))
        connect = Connect(client_id=name, session_expiry_ns=3600 * SECOND, will=will)
        self.paths[name].open(self.kernel.now, ConnectRequest(connect, KEEPALIVE))

    def run(self, seconds):
        self.kernel.run(self.kernel.now + int(seconds * SECOND))

    def send(self, name, topic, payload=b"x", token=1):
        message = Message(topic, payload, 1 if token else 0, kind="ev")
        self.paths[name].connection.publish(self.kernel.now, message, token)

    def check_books(self):
        up = down = 0
        for path in self.paths.values():
            more_up, more_down = path.on_the_wire()
            up, down = up + more_up, down + more_down
        held = {"up": up, "down": down, **self.broker.core.held_copies()}
        assert self.ledger.conserved(held) is None


@pytest.fixture
def pair():
    bench = Bench()
    for name in ("a", "b"):
        bench.device(name)
        bench.open(name)
    bench.run(2)
    bench.paths["b"].connection.subscribe(bench.kernel.now, ("t", "will/a"))
    bench.run(1)
    yield bench
    bench.check_books()


def test_a_message_goes_up_down_and_is_acknowledged(pair):
    pair.send("a", "t")
    pair.run(1)
    assert pair.paths["a"].connection.settle(pair.kernel.now) == [1]
    assert pair.stations["a"].log == [("connected", False)]
    assert pair.stations["b"].log[-1] == ("message", "t", b"x")


def test_messages_of_one_connection_keep_their_order(pair):
    for i in range(20):
        pair.send("a", "t", bytes([i]), token=i + 1)
    pair.run(2)
    got = [entry[2][0] for entry in pair.stations["b"].log if entry[0] == "message"]
    assert got == list(range(20))


def test_a_short_black_hole_delays_and_loses_nothing(pair):
    path = pair.paths["a"]
    path.overlay.black = 1
    path.refresh(pair.kernel.now)
    pair.send("a", "t", b"held")
    pair.run(20)
    assert ("message", "t", b"held") not in pair.stations["b"].log
    path.overlay.black = 0
    path.refresh(pair.kernel.now)
    pair.run(2)
    assert path.connection.settle(pair.kernel.now) == [1]
    assert pair.stations["b"].log[-1] == ("message", "t", b"held")


def test_while_an_acknowledgement_is_certain_the_station_knows_and_a_stall_takes_it_back(pair):
    path, station = pair.paths["a"], pair.stations["a"]
    pair.send("a", "t")
    assert pair.kernel.now < station.acked_by <= pair.kernel.now + 2 * RTT + ACK_NS_MAX
    path.overlay.black = 1
    path.refresh(pair.kernel.now)
    assert station.log[-1] == ("doubt", NEVER)


def test_an_acknowledgement_that_came_before_the_path_went_black_is_told(pair):
    path, station = pair.paths["a"], pair.stations["a"]
    pair.send("a", "t", token=7)
    pair.run(1)
    path.overlay.black = 1
    path.refresh(pair.kernel.now)
    assert station.log[-2:] == [("acked", 7), ("doubt", NEVER)]


def test_of_two_publishes_in_flight_no_acknowledgement_is_certain(pair):
    pair.send("a", "t", token=1)
    pair.stations["a"].acked_by = NEVER  # as a station does before it publishes
    pair.send("a", "t", token=2)
    assert pair.stations["a"].acked_by == NEVER
    pair.run(1)
    assert pair.stations["a"].log[-2:] == [("acked", 1), ("acked", 2)]


def test_a_long_black_hole_is_found_by_silence_at_both_ends_and_the_will_speaks(pair):
    path = pair.paths["a"]
    began = pair.kernel.now
    path.overlay.black = 1
    path.refresh(began)
    pair.send("a", "t", b"lost")
    pair.run(200)
    kind, reason, at = pair.stations["a"].log[-1]
    assert (kind, reason) == ("disconnected", "keep-alive")
    assert at * SECOND - began <= KEEPALIVE * 3 // 2 + SECOND
    assert pair.stations["b"].log[-1] == ("message", "will/a", b"gone")
    assert pair.ledger.drops("up") == {DropCause.BLACK_HOLE: 1}


def test_what_was_on_the_wire_when_it_went_black_arrives_after_the_heal(pair):
    path = pair.paths["b"]
    pair.send("a", "t", b"midway")
    pair.run(0.06)  # at the broker, not yet down at b
    path.overlay.black = 1
    path.refresh(pair.kernel.now)
    pair.run(10)
    assert ("message", "t", b"midway") not in pair.stations["b"].log
    path.overlay.black = 0
    path.refresh(pair.kernel.now)
    pair.run(2)
    assert pair.stations["b"].log.count(("message", "t", b"midway")) == 1


def test_power_goes_silently_and_the_returning_client_takes_its_session_over(pair):
    pair.paths["b"].close(pair.kernel.now, DropCause.POWER_OFF)
    pair.send("a", "t", b"queued")
    pair.run(5)
    pair.open("b")
    pair.run(5)
    assert ("connected", True) in pair.stations["b"].log
    assert pair.stations["b"].log[-1] == ("message", "t", b"queued")


def test_a_polite_close_keeps_the_will_silent(pair):
    pair.paths["a"].close(pair.kernel.now, DropCause.CONNECTION_LOST, polite=True)
    pair.run(200)
    assert not [e for e in pair.stations["b"].log if e[0] == "message"]


def test_a_reset_ends_both_ends_at_once_and_later_attempts_fail_fast(pair):
    path = pair.paths["a"]
    path.overlay.reset = 1
    path.refresh(pair.kernel.now)
    assert pair.stations["a"].log[-1][:2] == ("disconnected", "reset")
    pair.open("a")
    pair.run(1)
    assert pair.stations["a"].log[-1] == ("failed", "reset")


def test_no_carrier_is_told_and_attempts_fail(pair):
    path = pair.paths["a"]
    path.overlay.detached = 1
    path.refresh(pair.kernel.now)
    assert pair.stations["a"].log[-1] == ("bearer", False)
    path.close(pair.kernel.now, DropCause.LINK_DOWN)
    pair.open("a")
    pair.run(1)
    assert pair.stations["a"].log[-1] == ("failed", "no carrier")
    path.overlay.detached = 0
    path.refresh(pair.kernel.now)
    assert pair.stations["a"].log[-1] == ("bearer", True)


def test_a_broker_restart_breaks_every_connection_and_refuses_while_down(pair):
    pair.broker.stop(pair.kernel.now, lose_sessions=True)
    pair.run(1)
    assert pair.stations["a"].log[-1][0] == "disconnected"
    pair.open("a")
    pair.run(1)
    assert pair.stations["a"].log[-1] == ("failed", "refused")
    pair.broker.start()
    pair.open("a")
    pair.run(1)
    assert pair.stations["a"].log[-1] == ("connected", False)


def test_a_syn_that_is_dropped_gets_no_answer_at_all():
    bench = Bench(accept_rate_per_s=1.0, accept_backlog_max=1)
    for name in ("a", "b"):
        bench.device(name)
        bench.open(name)
    bench.run(30)
    assert bench.stations["a"].log == [("connected", False)]
    assert bench.stations["b"].log == []
    assert bench.kernel.now < NEVER


def test_added_latency_and_loss_slow_a_message_down():
    def arrival(**overlay):
        bench = Bench()
        bench.device("a")
        bench.open("a")
        bench.run(2)
        for name, value in overlay.items():
            setattr(bench.paths["a"].overlay, name, value)
        return bench.paths["a"].delay_ns(1000, bench.kernel.now, downlink=False)

    plain = arrival()
    assert arrival(extra_rtt_ns=SECOND) == plain + SECOND // 2
    assert arrival(rate_bit_s=8000.0) == plain + SECOND
    assert arrival(loss=0.99) > plain + SECOND


def test_messages_under_way_share_a_bandwidth_cap():
    bench = Bench()
    bench.device("a")
    bench.open("a")
    bench.run(2)
    path = bench.paths["a"]
    path.overlay.rate_bit_s = 8000.0
    delays = [path.delay_ns(1000, bench.kernel.now, downlink=True) for _ in range(3)]
    assert delays[1] - delays[0] >= SECOND // 2
    assert delays[2] - delays[0] >= 2 * SECOND - SECOND // 2


def test_a_late_acknowledgement_is_told_at_the_instant_of_the_telling(pair, monkeypatch):
    """Told at its own past instant, the agent's save took the device's body back in time."""
    told = []
    monkeypatch.setattr(
        pair.stations["a"], "on_acked", lambda now, token: told.append((now, token))
    )
    pair.send("a", "t")
    pair.run(5)
    assert told == [], "a lone acknowledgement is no event of its own"
    pair.paths["a"].close(pair.kernel.now, DropCause.POWER_OFF)
    assert told == [(pair.kernel.now, 1)]
