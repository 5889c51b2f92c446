"""Hand-written scripts about messages, subscriptions and windows; `test_broker_contract` plays them.

`expect` is what every client must have been told. Where mosquitto differs, the script says so under
`mosquitto`, with the paragraph of MQTT 5 that decides or allows it.
"""

from __future__ import annotations

from tests.contract.hand_script import script


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
    dev=["connack 0 new", "suback 0x1", *[f"t={n} q1" for n in range(3)]],
    mosquitto={"dev": ["connack 0 new", "suback 0x1", *[f"t={n} q1" for n in range(4)]]},
    because="3.3.4, MQTT-3.3.4-9: no more unacknowledged messages than the receive maximum; for one "
    "PUBACK mosquitto 2.0.11 sends as many queued ones as the window is wide, here up to three",
)
def one_acknowledgement_makes_room_for_one_message(s):
    s.connect("dev", receive_max=2, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    for n in range(5):
        s.publish("pub", "t", str(n))
    s.ack("dev")


@script(
    dev=[
        "connack 0 new",
        "suback 0x1",
        "t=0 q1",
        "t=1 q1",
        "connack 0 present",
        "t=0 q1 dup",
    ],
    mosquitto={
        "dev": [
            "connack 0 new",
            "suback 0x1",
            "t=0 q1",
            "t=1 q1",
            "connack 0 present",
            "t=0 q1 dup",
            "t=1 q1 dup",
        ]
    },
    because="3.3.4, MQTT-3.3.4-9: no more unacknowledged messages than the receive maximum; after a "
    "reconnect mosquitto 2.0.11 sends again all that is in flight, whatever the new maximum",
)
def what_comes_again_keeps_to_the_new_window(s):
    s.connect("dev", clean=False, expiry_s=100, auto_ack=False)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.publish("pub", "t", "0")
    s.publish("pub", "t", "1")
    s.drop("dev")
    s.connect("dev", clean=False, expiry_s=100, receive_max=1, auto_ack=False)


@script(
    dev=["connack 0 new", "unsuback 0x11", "unsuback 0x11"],
    mosquitto={"dev": ["connack 0 new", "unsuback 0x11", "unsuback 0x0"]},
    because="3.11.3: 0x11 for a filter that is not subscribed; mosquitto 2.0.11 says 0x00 when no "
    "subscription or retained message ever began with this first level and it begins with $",
)
def a_dollar_filter_that_nobody_used(s):
    s.connect("dev")
    s.unsubscribe("dev", "never/used")
    s.unsubscribe("dev", "$never/used")


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
    eye=["connack 0 new", "suback 0x1", "top=1 q1 retain", "suback 0x1", "$top=2 q1 retain"],
    mosquitto={"eye": ["connack 0 new", "suback 0x1", "top=1 q1 retain", "suback 0x1"]},
    because="4.7.1.2: a filter that ends in /# matches the level above, too; mosquitto 2.0.11 does "
    "not show that level's retained message if it is a first level with $",
)
def a_first_level_is_shown_to_the_filter_of_its_children(s):
    s.connect("eye")
    s.connect("pub")
    s.publish("pub", "top", "1", retain=True)
    s.publish("pub", "$top", "2", retain=True)
    s.subscribe("eye", ("top/#", 1))
    s.subscribe("eye", ("$top/#", 1))
