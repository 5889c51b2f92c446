"""Order and the letter of matching, on the in-memory broker."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesim.world.broker import Broker, BrokerLimits, Connect, Message, ReasonCode
from devicesim.world.broker.topics import is_filter, is_topic, matches
from devicesim.world.ledger import Ledger

LEVELS = st.sampled_from(["a", "b", "", "$s"])
TOPIC = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(lambda t: is_topic(t, 200))
FILTER = (
    st.lists(st.sampled_from(["a", "b", "", "$s", "+", "#"]), min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda name: is_filter(name, 200))
)
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes, bool]] = []

    def accepted(self, now, connack) -> None: ...

    def deliver(self, now, packet_id, message, dup) -> None:
        self.heard.append((packet_id, message.payload, dup))

    def closed(self, now, reason) -> None: ...


@QUICK
@given(names=st.lists(FILTER, max_size=6, unique=True), topics=st.lists(TOPIC, max_size=6))
def test_live_and_retained_copies_obey_the_letter_of_matching(names, topics) -> None:
    broker = Broker(Ledger())
    live, late = Ear(), Ear()
    broker.connect(0, Connect(client_id="live"), live)
    broker.connect(0, Connect(client_id="late"), late)
    broker.connect(0, Connect(client_id="pub"), Ear())
    broker.subscribe(0, "live", [(name, 0) for name in names])
    for topic in topics:
        broker.publish(0, "pub", Message(topic, topic.encode() or b"-", 0, True))
    expected = [t for t in topics for name in names if matches(name, t)]
    assert [p.decode() for _, p, _ in live.heard] == expected
    broker.subscribe(0, "late", [(name, 0) for name in names])
    kept = list(dict.fromkeys(topics))
    expected = sorted(t for name in names for t in kept if matches(name, t))
    assert sorted(p.decode() for _, p, _ in late.heard) == expected
    broker.validate()


@QUICK
@given(
    window=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["publish", "publish", "ack", "reconnect"]), max_size=40),
)
def test_qos_1_is_first_heard_in_order_and_nothing_is_lost(window, steps) -> None:
    """Each message is heard at least once; first hearings are in the order of publishing (4.6)."""
    broker = Broker(Ledger(), BrokerLimits(inflight_max=window))
    connect = Connect(client_id="dev", session_expiry_ns=100)
    ear, first, published, acked = Ear(), [], 0, 0
    broker.connect(0, connect, ear)
    broker.connect(0, Connect(client_id="pub"), Ear())
    broker.subscribe(0, "dev", [("t", 1)])
    for step in [*steps, *["ack"] * 50]:
        if step == "publish":
            broker.publish(0, "pub", Message("t", b"%d" % published))
            published += 1
        elif step == "ack" and acked < len(ear.heard):
            broker.puback(0, "dev", ear.heard[acked][0])
            acked += 1
        elif step == "reconnect":
            first += [payload for _, payload, dup in ear.heard if not dup]
            broker.connection_lost(0, "dev", ReasonCode.UNSPECIFIED_ERROR)
            ear, acked = Ear(), 0
            broker.connect(0, connect, ear)
            dups = [dup for _, _, dup in ear.heard]
            assert dups == sorted(dups, reverse=True), "what was sent before comes first (4.4)"
    first += [payload for _, payload, dup in ear.heard if not dup]
    assert first == [b"%d" % n for n in range(published)]
    assert broker.held_copies()["broker"] == 0
    broker.validate()
