"""Hand-written scripts about sessions, wills, expiries and restarts; `test_broker_contract` plays them.

`expect` is what every client must have been told. Where mosquitto differs, the script says so under
`mosquitto`, with the paragraph of MQTT 5 that decides or allows it.
"""

from __future__ import annotations

from tests.contract.hand_script import RESTARTS, script


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
    s.connect("dev", clean=False, expiry_s=1000)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.drop("dev")
    s.publish("pub", "t", "1")
    s.publish("pub", "t", "2", qos=0)
    s.publish("pub", "t", "3")
    s.connect("dev", clean=False, expiry_s=1000)
    s.disconnect("dev")
    s.connect("dev", clean=True, expiry_s=1000)
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
    s.connect("back", expiry_s=1000, will=("link/back", "lost", 1, False, 4))
    s.connect("gone", expiry_s=1000, will=("link/gone", "lost", 1, False, 5))
    s.drop("back")
    s.connect("back", clean=False, expiry_s=1000)
    s.drop("gone")
    yield 6.5
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
    s.connect("dev", expiry_s=1000, will=("link/dev", "lost", 1, False, 0))
    s.subscribe("dev", ("t", 1))
    s.connect("dev", clean=False, expiry_s=1000)
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
    s.connect("dev", expiry_s=1000, will=("link/dev", "lost", 1, False, 500))
    s.drop("dev")
    s.connect("dev", clean=True)


@script(
    eye=["connack 0 new", "suback 0x1", "link/dev=lost q1"],
    mosquitto={"eye": ["connack 0 new", "suback 0x1"]},
    because="3.1.3.2.2: a will is published after its delay or when the session ends, whichever is "
    "first; mosquitto 2.0.11 waits for the delay in any case",
)
def a_session_without_expiry_does_not_delay_its_will(s):
    s.connect("eye")
    s.subscribe("eye", ("link/#", 1))
    s.connect("dev", will=("link/dev", "lost", 1, False, 500))
    s.drop("dev")


@script(
    dev=[
        "connack 0 new",
        "suback 0x1",
        "ctl=0 q1 expires",
        "connack 0 present",
        "ctl=stays q1 expires",
    ],
    late=["connack 0 new", "suback 0x1", "kept=stays q1 retain expires"],
)
def messages_expire_in_flight_queued_and_retained(s):
    s.connect("dev", expiry_s=1000, auto_ack=False)
    s.subscribe("dev", ("ctl", 1))
    s.connect("pub")
    s.publish("pub", "ctl", "0", expiry_s=1)
    s.drop("dev")
    s.publish("pub", "ctl", "1", expiry_s=1)
    s.publish("pub", "ctl", "stays", expiry_s=600)
    s.publish("pub", "kept/gone", "2", retain=True, expiry_s=1)
    s.publish("pub", "kept", "stays", retain=True, expiry_s=600)
    yield 2.5
    s.connect("dev", clean=False, expiry_s=1000)
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
    dev=["connack 0 new", "suback 0x1", "t=0 q1 expires", "u=2 q0", "u=3 q0"],
    mosquitto={
        "dev": ["connack 0 new", "suback 0x1", "t=0 q1 expires", "u=2 q0", "t=1 q1", "u=3 q0"]
    },
    because="3.3.4, MQTT-3.3.4-9: a message that was sent counts against the receive maximum until "
    "its PUBACK, expired or not; mosquitto 2.0.11 forgets it and sends the next one",
)
def an_expired_message_in_flight_keeps_its_place(s):
    s.connect("dev", receive_max=1, auto_ack=False)
    s.subscribe("dev", ("#", 1))
    s.connect("pub")
    s.publish("pub", "t", "0", expiry_s=1)
    s.publish("pub", "t", "1")
    yield 2.5
    s.publish("pub", "u", "2", qos=0)
    s.publish("pub", "u", "3", qos=0)


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
    s.connect("dev", clean=False, expiry_s=1000, auto_ack=False)
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
    s.connect("dev", clean=False, expiry_s=1000)
    s.connect("gone", clean=False)
    s.connect("late")
    s.subscribe("late", ("kept", 1))


@script(
    RESTARTS,
    dev=["connack 0 new", "suback 0x1", "connack 0 present", "t=1 q1"],
    mosquitto={"dev": ["connack 0 new", "suback 0x1", "connack 0 new"]},
    because="4.1.0: session state lives as long as the session expiry interval says, however the "
    "session began; mosquitto 2.0.11 does not save sessions that began with clean start",
)
def a_restart_saves_sessions_that_began_with_clean_start(s):
    s.connect("dev", clean=True, expiry_s=1000)
    s.subscribe("dev", ("t", 1))
    s.drop("dev")
    s.connect("pub")
    s.publish("pub", "t", "1")
    s.restart(lose_sessions=False)
    s.connect("dev", clean=False, expiry_s=1000)


@script(
    RESTARTS,
    dev=["connack 0 new", "suback 0x1", "connack 0 present", "t=1 q1"],
    pub=["connack 0 new", "puback 0x0"],
    mosquitto={
        "dev": ["connack 0 new", "suback 0x1", "connack 0 present"],
        "pub": ["connack 0 new", "puback 0x10"],
    },
    because="4.1.0: the session's subscriptions are part of its state, the shared ones too (4.8.2); mosquitto "
    "2.0.11 saves no shared subscription, and says nothing of it when the session comes back",
)
def a_restart_keeps_shared_subscriptions(s):
    s.connect("dev", clean=False, expiry_s=1000)
    s.subscribe("dev", ("$share/g/t", 1))
    s.drop("dev")
    s.restart(lose_sessions=False)
    s.connect("dev", clean=False, expiry_s=1000)
    s.connect("pub")
    s.publish("pub", "t", "1")


@script(
    RESTARTS,
    dev=["connack 0 new", "suback 0x1", "closed 0x8b", "connack 0 new"],
    pub=["connack 0 new", "puback 0x10"],
    mosquitto={
        "dev": ["connack 0 new", "suback 0x1", "closed eof", "connack 0 new"],
        "pub": ["connack 0 new", "puback 0x0"],
    },
    because="3.1.2.11.2: a session without expiry ends with its connection; mosquitto 2.0.11 saves "
    "it if it did not begin with clean start, and queues for it after a restart",
)
def a_restart_ends_sessions_without_expiry(s):
    s.connect("dev", clean=False)
    s.subscribe("dev", ("t", 1))
    s.restart(lose_sessions=False)
    s.connect("pub")
    s.publish("pub", "t", "1")
    s.connect("dev", clean=False)


@script(
    RESTARTS,
    dev=["connack 0 new", "suback 0x1", "connack 0 new"],
    late=["connack 0 new", "suback 0x1"],
)
def a_restart_that_loses_everything(s):
    s.connect("dev", expiry_s=1000)
    s.subscribe("dev", ("t", 1))
    s.connect("pub")
    s.publish("pub", "kept", "yes", retain=True)
    s.drop("dev")
    s.publish("pub", "t", "1")
    s.restart(lose_sessions=True)
    s.connect("dev", clean=False, expiry_s=1000)
    s.connect("late")
    s.subscribe("late", ("kept", 1))
