"""Whatever clients do, in any order, no copy is lost from the books and no invariant breaks."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devicesim.world.broker import Broker, BrokerLimits, Connect, Message, ReasonCode, Will
from devicesim.world.ledger import Ledger

NAMES = st.sampled_from(["a", "b", "c"])
TOPICS = st.sampled_from(["t", "t/1", "t/1/x", "u", "$x/t"])
FILTERS = st.sampled_from(
    ["t", "t/1", "t/+", "t/#", "#", "+/1/+", "$share/g/t/#", "$share/g/t/1", "$share/h/t/1", "u/#"]
)
QOS = st.integers(0, 1)
SPANS = st.sampled_from([0, 1, 5, 50])


class Ear:
    """An outlet that remembers what it must still acknowledge."""

    def __init__(self) -> None:
        self.unacked: list[int] = []
        self.last: dict[str, int] = {}
        self.open = True

    def accepted(self, now, connack) -> None:
        assert not self.unacked

    def deliver(self, now, packet_id, message, dup) -> None:
        assert self.open, "a closed connection hears nothing"
        assert packet_id not in self.unacked, "a packet identifier is in use once (2.2.1)"
        assert message.expires_at_ns is None or now < message.expires_at_ns
        if packet_id:
            self.unacked.append(packet_id)

    def closed(self, now, reason) -> None:
        self.open = False


class BrokerMachine(RuleBasedStateMachine):
    """Three clients, a broker with tight bounds, and a clock that only goes forward."""

    @initialize(queue=st.integers(1, 4), window=st.integers(1, 3), cache=st.integers(1, 3))
    def build(self, queue, window, cache) -> None:
        self.now = 0
        self.window = window
        self.ears: dict[str, Ear] = {}
        self.ledger = Ledger()
        limits = BrokerLimits(
            queue_messages_max=queue,
            inflight_max=window,
            packet_bytes_max=300,
            retained_messages_max=2,
            subscriptions_per_session_max=4,
            sessions_max=3,
            route_cache_topics_max=cache,
        )
        self.broker = Broker(self.ledger, limits)

    @rule(
        name=NAMES,
        clean=st.booleans(),
        expiry=SPANS,
        receive=st.integers(1, 3),
        large=st.booleans(),
        will=st.none() | st.tuples(TOPICS, QOS, st.booleans(), SPANS),
    )
    def connect(self, name, clean, expiry, receive, large, will) -> None:
        ear = Ear()
        wish = will and Will(Message(will[0], b"w", will[1], will[2]), will[3], 3)
        connect = Connect(
            client_id=name,
            clean_start=clean,
            session_expiry_ns=expiry,
            receive_maximum=receive,
            packet_bytes_max=None if large else 60,
            will=wish,
        )
        assert self.broker.connect(self.now, connect, ear).accepted
        self.ears[name] = ear

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), filters=st.lists(st.tuples(FILTERS, QOS), min_size=1, max_size=3))
    def subscribe(self, data, filters) -> None:
        self.broker.subscribe(self.now, self.pick(data), filters)

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), filters=st.lists(FILTERS, min_size=1, max_size=3))
    def unsubscribe(self, data, filters) -> None:
        self.broker.unsubscribe(self.now, self.pick(data), filters)

    @precondition(lambda self: self.ears)
    @rule(
        data=st.data(),
        topic=TOPICS,
        qos=QOS,
        retain=st.booleans(),
        size=st.sampled_from([0, 5, 5, 5, 100, 400]),
        expiry=st.none() | SPANS,
    )
    def publish(self, data, topic, qos, retain, size, expiry) -> None:
        name = self.pick(data)
        expires = None if expiry is None else self.now + expiry
        message = Message(topic, bytes(size), qos, retain, expires, f"kind{qos}")
        self.broker.publish(self.now, name, message)
        self.forget_the_closed()

    @precondition(lambda self: any(ear.unacked for ear in self.ears.values()))
    @rule(data=st.data())
    def acknowledge(self, data) -> None:
        name = data.draw(st.sampled_from([n for n, ear in self.ears.items() if ear.unacked]))
        unacked = self.ears[name].unacked
        packet_id = unacked.pop(data.draw(st.integers(0, len(unacked) - 1)))
        assert self.broker.puback(self.now, name, packet_id)

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), congested=st.booleans())
    def congest(self, data, congested) -> None:
        self.broker.congest(self.pick(data), congested=congested)

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), how=st.sampled_from(["lost", "goodbye", "with will", "kicked"]))
    def leave(self, data, how) -> None:
        name = self.pick(data)
        if how == "lost":
            self.broker.connection_lost(self.now, name, ReasonCode.KEEP_ALIVE_TIMEOUT)
        elif how == "kicked":
            self.broker.kick(self.now, name, ReasonCode.NOT_AUTHORIZED)
        else:
            self.broker.disconnect(self.now, name, send_will=how == "with will")
        del self.ears[name]

    @rule(span=SPANS)
    def wait(self, span) -> None:
        end = self.now + span
        while (due := self.broker.deadline()) is not None and due[0] <= end:
            assert due[0] >= self.now, "a deadline is never in the past"
            self.now = due[0]
            self.broker.tick(self.now)
            after = self.broker.deadline()
            assert after is None or after[0] > self.now, "a tick leaves nothing due"
        self.now = end

    @rule(lose=st.booleans())
    def restart(self, lose) -> None:
        self.broker.restart(self.now, lose_sessions=lose)
        assert not any(ear.open for ear in self.ears.values())
        self.ears.clear()
        assert not lose or not any(self.broker.held_copies().values())

    @invariant()
    def everything_holds(self) -> None:
        self.broker.validate()
        for name, ear in self.ears.items():
            assert self.broker.outlet(name) is ear
            assert len(ear.unacked) <= self.window, "the receive maximum was exceeded (4.9)"

    def teardown(self) -> None:
        """Everybody leaves for good: no copy may be left over."""
        if not hasattr(self, "broker"):
            return
        for name in self.ears:
            self.broker.connection_lost(self.now, name, ReasonCode.UNSPECIFIED_ERROR)
        self.broker.tick(self.now + 1_000)
        assert self.broker.held_copies()["broker"] == 0
        assert self.ledger.held("broker") == 0
        self.broker.validate()

    def pick(self, data) -> str:
        return data.draw(st.sampled_from(list(self.ears)))

    def forget_the_closed(self) -> None:
        self.ears = {name: ear for name, ear in self.ears.items() if ear.open}


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, derandomize=True
)
