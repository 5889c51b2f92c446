"""The in-memory broker and mosquitto 2.0.11 tell each client the same things in the same order.

Each script below is played on both; `expect` is what both must have told. Where they differ, the
script says so under `mosquitto`, with the paragraph of MQTT 5 that decides or allows it
(https://docs.oasis-open.org/mqtt/mqtt/v5.0/); the in-memory broker keeps to MQTT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

TABLE: list[Script] = []
RESTARTS: list[Script] = []


@dataclass
class Script:
    """What is played, what each client must have been told, and where mosquitto differs and why."""

    play: Callable
    expect: dict[str, list[str]]
    mosquitto: dict[str, list[str]] = field(default_factory=dict)
    because: str = ""


def script(table=TABLE, mosquitto=None, because="", **expect):
    def add(play: Callable) -> Callable:
        table.append(Script(play, expect, mosquitto or {}, because))
        return play

    return add


@script(
    sub=["connack 0 new", "suback 0x1,0x0", "one=a q1", "zero=b q0", "zero=c q0", "one=d q0"],
    pub=["connack 0 new", "puback 0x0", "puback 0x0", "puback 0x10"],
)
def the_lower_qos_wins(s):
    s.connect("sub")
    s.subscribe("sub", ("one", 1), ("zero", 0))
    s.connect("pub")
    s.publish("pub", "one", "a")
    s.publish("pub", "zero", "b")
    s.publish("pub", "zero", "c", qos=0)
    s.publish("pub", "one", "d", qos=0)
    s.publish("pub", "nobody", "e")


@script(
    plus=["connack 0 new", "suback 0x1", "a/b/c=1 q1", "a/x/c=2 q1"],
    hash=["connack 0 new", "suback 0x1", "a/b/c=1 q1", "a/x/c=2 q1", "a/x=3 q1", "a=4 q1"],
    both=["connack 0 new", "suback 0x1,0x0", "a/x=3 q1", "a/x=3 q0"],
)
def wildcards_and_overlaps(s):
    for name, filters in (
        ("plus", [("a/+/c", 1)]),
        ("hash", [("a/#", 1)]),
        ("both", [("a/x", 1), ("+/x", 0)]),
    ):
        s.connect(name)
        s.subscribe(name, *filters)
    s.connect("pub")
    for place, topic in enumerate(("a/b/c", "a/x/c", "a/x", "a", "b"), 1):
        s.publish("pub", topic, str(place))


@script(
    sub=[
        "connack 0 new",
        "suback 0x1",
        "t=1 q1",
        "unsuback 0x0,0x11",
        "suback 0x0",
        "suback 0x1",
        "t=3 q1",
    ],
)
def unsubscribe_and_change_of_qos(s):
    s.connect("sub")
    s.connect("pub")
    s.subscribe("sub", ("t", 1))
    s.publish("pub", "t", "1")
    s.unsubscribe("sub", "t", "never")
    s.publish("pub", "t", "2")
    s.subscribe("sub", ("t", 0))
    s.subscribe("sub", ("t", 1))
    s.publish("pub", "t", "3")


@script(
    early=["connack 0 new", "suback 0x1", "d/1/want=a q1", "d/1/want=b q1", "d/1/want= q1"],
    late=[
        "connack 0 new",
        "suback 0x1",
        "d/1/want=b q1 retain",
        "suback 0x0",
        "d/1/want=b q0 retain",
    ],
    after=["connack 0 new", "suback 0x1"],
    pub=["connack 0 new", "puback 0x0", "puback 0x0", "puback 0x0"],
)
def retained_is_replaced_shown_and_deleted(s):
    s.connect("early")
    s.subscribe("early", ("d/1/want", 1))
    s.connect("pub")
    s.publish("pub", "d/1/want", "a", retain=True)
    s.publish("pub", "d/1/want", "b", retain=True)
    s.connect("late")
    s.subscribe("late", ("d/+/want", 1))
    s.subscribe("late", ("d/1/want", 0))
    s.disconnect("late")
    s.publish("pub", "d/1/want", "", retain=True)
    s.connect("after")
    s.subscribe("after", ("d/1/want", 1))


@script(
    sub=[
        "connack 0 new",
        "suback 0x1",
        "f/a=1 q1 retain",
        "f/a/deep=2 q1 retain",
        "f/b=3 q0 retain",
        "suback 0x1",
        "f/a=1 q1 retain",
        "f/b=3 q0 retain",
    ],
)
def retained_under_wildcards(s):
    s.connect("pub")
    s.publish("pub", "f/a", "1", retain=True)
    s.publish("pub", "f/a/deep", "2", retain=True)
    s.publish("pub", "f/b", "3", qos=0, retain=True)
    s.publish("pub", "g", "4", retain=True)
    s.connect("sub")
    s.subscribe("sub", ("f/#", 1))
    s.subscribe("sub", ("f/+", 1))


@script(
    dev=[
        "connack 0 new",
        "suback 0x1",
        "connack 0 present",
        "t=1 q1",
        "t=3 q1",
        "connack 0 new",
    ],
    pub=["connack 0 new", *["puback 0x0"] * 2, "puback 0x10"],
)
def a_session_waits_and_clean_start_ends_it(s):
    s.connect("dev", clean=False, expiry_s=100)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.drop("dev")
    s.publish("pub", "t", "1")
    s.publish("pub", "t", "2", qos=0)
    s.publish("pub", "t", "3")
    s.connect("dev", clean=False, expiry_s=100)
    s.disconnect("dev")
    s.connect("dev", clean=True, expiry_s=100)
    s.publish("pub", "t", "4")


@script(dev=["connack 0 new", "suback 0x1", "connack 0 new"])
def without_expiry_the_session_dies_with_the_connection(s):
    s.connect("dev", clean=False)
    s.subscribe("dev", ("t", 1))
    s.drop("dev")
    s.connect("dev", clean=False)
    s.connect("pub")
    s.publish("pub", "t", "1")


@script(
    dev=[
        "connack 0 new",
        "suback 0x1",
        "t=0 q1",
        "t=1 q1",
        "connack 0 present",
        "t=0 q1 dup",
        "t=1 q1 dup",
        "t=2 q1",
        "t=3 q1",
    ],
)
def unacknowledged_copies_come_again_in_order(s):
    s.connect("dev", clean=False, expiry_s=100, receive_max=2, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    for n in range(4):
        s.publish("pub", "t", str(n))
    s.drop("dev")
    s.connect("dev", clean=False, expiry_s=100)


@script(
    dev=["connack 0 new", "suback 0x1", "t=0 q1", "t=1 q1", "t=2 q1", "t=zero q0", "t=3 q1"],
    pub=["connack 0 new", *["puback 0x0"] * 4],
)
def the_receive_maximum_is_a_window_for_qos_1(s):
    s.connect("dev", receive_max=2, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    for n in range(3):
        s.publish("pub", "t", str(n))
    s.ack("dev")
    s.publish("pub", "t", "zero", qos=0)
    s.publish("pub", "t", "3")
    s.ack("dev", 2)


@script(
    dev=["connack 0 new", "suback 0x1", *[f"t={n} q1" for n in range(5)]],
    pub=["connack 0 new", *["puback 0x0"] * 12],
)
def a_full_queue_keeps_the_oldest_and_answers_success(s):
    s.connect("dev", receive_max=2, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    for n in range(12):
        s.publish("pub", "t", str(n))
    for _ in range(5):
        s.ack("dev")


@script(
    dev=[
        "connack 0 new",
        "suback 0x1",
        "t=0 q1",
        "connack 0 present",
        "t=0 q1 dup",
        "t=1 q1",
        "t=2 q1",
    ],
    pub=["connack 0 new", *["puback 0x0"] * 8],
)
def what_is_in_flight_counts_as_queued_while_offline(s):
    s.connect("dev", clean=False, expiry_s=100, receive_max=2, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.publish("pub", "t", "0")
    s.drop("dev")
    for n in range(1, 8):
        s.publish("pub", "t", str(n))
    s.connect("dev", clean=False, expiry_s=100)


@script(
    one=["connack 0 new", "suback 0x1", "j/1=1 q1", "j/3=3 q1"],
    two=["connack 0 new", "suback 0x1", "j/2=2 q1"],
    all=["connack 0 new", "suback 0x1", "j/0=0 q1 retain"] + [f"j/{n}={n} q1" for n in (1, 2, 3)],
    mosquitto={
        "one": ["connack 0 new", "suback 0x1", "j/0=0 q1 retain", "j/1=1 q1", "j/3=3 q1"],
        "two": ["connack 0 new", "suback 0x1", "j/0=0 q1 retain", "j/2=2 q1"],
    },
    because="4.8.2: retained messages are not sent to a session that joins a shared subscription; "
    "mosquitto 2.0.11 sends them to each member",
)
def a_shared_group_takes_turns_and_gets_nothing_retained(s):
    s.connect("pub")
    s.publish("pub", "j/0", "0", retain=True)
    s.connect("one")
    s.subscribe("one", ("$share/g/j/+", 1))
    s.connect("two")
    s.subscribe("two", ("$share/g/j/+", 1))
    s.connect("all")
    s.subscribe("all", ("j/+", 1))
    for n in (1, 2, 3):
        s.publish("pub", f"j/{n}", str(n))


@script(
    away=["connack 0 new", "suback 0x1", "connack 0 present", "j=1 q1"],
    here=["connack 0 new", "suback 0x1", "j=2 q1"],
)
def a_shared_group_queues_for_an_absent_member(s):
    s.connect("away", clean=False, expiry_s=100)
    s.subscribe("away", ("$share/g/j", 1))
    s.connect("here")
    s.subscribe("here", ("$share/g/j", 1))
    s.drop("away")
    s.connect("pub")
    s.publish("pub", "j", "1")
    s.publish("pub", "j", "2")
    s.connect("away", clean=False, expiry_s=100)


@script(
    eye=["connack 0 new", "suback 0x1", "link/a=lost q1", "link/c=asked q1"],
    late=["connack 0 new", "suback 0x1", "link/a=lost q1 retain"],
)
def a_will_speaks_unless_there_was_a_goodbye(s):
    s.connect("eye")
    s.subscribe("eye", ("link/#", 1))
    s.connect("a", will=("link/a", "lost", 1, True, 0))
    s.connect("b", will=("link/b", "lost", 1, False, 0))
    s.connect("c", will=("link/c", "asked", 1, False, 0))
    s.drop("a")
    s.disconnect("b")
    s.disconnect("c", send_will=True)
    s.connect("late")
    s.subscribe("late", ("link/#", 1))


@script(
    eye=["connack 0 new", "suback 0x1", "link/gone=lost q1"],
    back=["connack 0 new", "connack 0 present"],
)
def a_will_waits_and_whoever_is_back_cancels_it(s):
    s.connect("eye")
    s.subscribe("eye", ("link/#", 1))
    s.connect("back", expiry_s=100, will=("link/back", "lost", 1, False, 1))
    s.connect("gone", expiry_s=100, will=("link/gone", "lost", 1, False, 1))
    s.drop("back")
    s.connect("back", clean=False, expiry_s=100)
    s.drop("gone")
    s.until("eye", 3)


@script(
    dev=["connack 0 new", "suback 0x1", "closed 0x8e", "connack 0 present", "t=1 q1"],
    eye=["connack 0 new", "suback 0x1", "link/dev=lost q1"],
    mosquitto={
        "dev": ["connack 0 new", "suback 0x1", "closed eof", "connack 0 present", "t=1 q1"],
        "eye": ["connack 0 new", "suback 0x1"],
    },
    because="3.1.4, MQTT-3.1.4-3: the server sends DISCONNECT 0x8E and publishes the will as for a "
    "closed connection; mosquitto 2.0.11 closes without a word and forgets the will",
)
def take_over(s):
    s.connect("eye")
    s.subscribe("eye", ("link/#", 1))
    s.connect("dev", expiry_s=100, will=("link/dev", "lost", 1, False, 0))
    s.subscribe("dev", ("t", 1))
    s.connect("dev", clean=False, expiry_s=100)
    s.connect("pub")
    s.publish("pub", "t", "1")


@script(
    eye=["connack 0 new", "suback 0x1", "link/dev=lost q1"],
    dev=["connack 0 new", "connack 0 new"],
    mosquitto={"eye": ["connack 0 new", "suback 0x1"]},
    because="3.1.3.2.2: a delayed will is published when the session ends, which clean start does; "
    "mosquitto 2.0.11 forgets it",
)
def clean_start_ends_the_session_and_so_its_will_is_due(s):
    s.connect("eye")
    s.subscribe("eye", ("link/#", 1))
    s.connect("dev", expiry_s=100, will=("link/dev", "lost", 1, False, 50))
    s.drop("dev")
    s.connect("dev", clean=True)


@script(
    small=["connack 0 new", "suback 0x1", "t=fits q1"],
    large=["connack 0 new", "suback 0x1", "t=200 bytes q1", "t=fits q1"],
    pub=["connack 0 new", "puback 0x0", "puback 0x0", "closed 0x95"],
)
def packets_beyond_a_maximum(s):
    s.connect("small", packet_max=60)
    s.subscribe("small", ("t", 1))
    s.connect("large")
    s.subscribe("large", ("t", 1))
    s.connect("pub")
    s.publish("pub", "t", "x" * 200)
    s.publish("pub", "t", "fits")
    s.publish("pub", "t", "x" * 4_000)


@script(
    dev=["connack 0 new", "suback 0x1", "ctl=0 q1", "connack 0 present", "ctl=stays q1"],
    late=["connack 0 new", "suback 0x1", "kept=stays q1 retain"],
)
def messages_expire_in_flight_queued_and_retained(s):
    s.connect("dev", expiry_s=100, auto_ack=False)
    s.subscribe("dev", ("ctl", 1))
    s.connect("pub")
    s.publish("pub", "ctl", "0", expiry_s=1)
    s.drop("dev")
    s.publish("pub", "ctl", "1", expiry_s=1)
    s.publish("pub", "ctl", "stays", expiry_s=60)
    s.publish("pub", "kept/gone", "2", retain=True, expiry_s=1)
    s.publish("pub", "kept", "stays", retain=True, expiry_s=60)
    yield 2.5
    s.connect("dev", clean=False, expiry_s=100)
    s.connect("late")
    s.subscribe("late", ("kept/#", 1))


@script(dev=["connack 0 new", "suback 0x1", "connack 0 new"], pub=["connack 0 new", "puback 0x10"])
def a_session_expires(s):
    s.connect("dev", expiry_s=1)
    s.subscribe("dev", ("t", 1))
    s.drop("dev")
    yield 6.5  # mosquitto looks every five seconds
    s.connect("pub")
    s.publish("pub", "t", "1")
    s.connect("dev", clean=False, expiry_s=1)


@script(
    RESTARTS,
    dev=[
        "connack 0 new",
        "suback 0x1",
        "t=0 q1",
        "connack 0 present",
        "t=0 q1 dup",
        "t=1 q1",
        "t=2 q1",
    ],
    gone=["connack 0 new", "suback 0x1", "closed 0x8b", "connack 0 new"],
    late=["connack 0 new", "suback 0x1", "kept=yes q1 retain"],
    mosquitto={"gone": ["connack 0 new", "suback 0x1", "closed eof", "connack 0 new"]},
    because="4.13.1 lets a server that stops say DISCONNECT 0x8B or nothing; mosquitto says nothing",
)
def a_restart_with_persistence(s):
    # mosquitto 2.0.11 saves no session that began with clean start, whatever its expiry.
    s.connect("dev", clean=False, expiry_s=100, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("gone")
    s.subscribe("gone", ("t/other", 1))
    s.connect("pub")
    s.publish("pub", "t", "0")
    s.drop("dev")
    s.publish("pub", "t", "1")
    s.publish("pub", "kept", "yes", retain=True)
    s.restart(lose_sessions=False)
    s.connect("pub")
    s.publish("pub", "t", "2")
    s.connect("dev", clean=False, expiry_s=100)
    s.connect("gone", clean=False)
    s.connect("late")
    s.subscribe("late", ("kept", 1))


@script(
    RESTARTS,
    dev=["connack 0 new", "suback 0x1", "connack 0 new"],
    late=["connack 0 new", "suback 0x1"],
)
def a_restart_that_loses_everything(s):
    s.connect("dev", expiry_s=100)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.publish("pub", "kept", "yes", retain=True)
    s.drop("dev")
    s.publish("pub", "t", "1")
    s.restart(lose_sessions=True)
    s.connect("dev", clean=False, expiry_s=100)
    s.connect("late")
    s.subscribe("late", ("kept", 1))


def by_name(case: Script) -> str:
    return case.play.__name__


def check(case: Script, logs: dict[str, list[str]], where: str, expect: dict) -> None:
    for client, lines in expect.items():
        assert logs[client] == lines, (
            f"{by_name(case)}: on {where}, {client} was told {logs[client]}, expected {lines}"
        )


@pytest.mark.parametrize("case", TABLE + RESTARTS, ids=by_name)
def test_in_memory(case: Script, in_memory) -> None:
    check(case, in_memory(case.play), "the in-memory broker", case.expect)


@pytest.mark.mosquitto
@pytest.mark.parametrize("case", TABLE, ids=by_name)
def test_on_mosquitto(case: Script, on_mosquitto) -> None:
    result = on_mosquitto([each.play for each in TABLE])[by_name(case)]
    if isinstance(result, Exception):
        raise result
    check(case, result, "mosquitto", {**case.expect, **case.mosquitto})


@pytest.mark.mosquitto
@pytest.mark.parametrize("case", RESTARTS, ids=by_name)
def test_on_a_restarted_mosquitto(case: Script, on_own_mosquitto) -> None:
    check(case, on_own_mosquitto(case.play), "mosquitto", {**case.expect, **case.mosquitto})


@pytest.mark.parametrize(
    "case", [c for c in TABLE + RESTARTS if c.mosquitto or c.because], ids=by_name
)
def test_every_difference_names_its_paragraph(case: Script) -> None:
    assert case.because[0].isdigit(), f"{by_name(case)} differs from mosquitto and does not say why"
    assert all(case.expect[client] != lines for client, lines in case.mosquitto.items())
