"""Each user of the broker, on a real one: says and hears exactly what its row of the table grants, and nothing else."""

import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from devicesdk.wire import codec
from devicesdk.wire.messages import Link
from gateway.adapters.brokers.acl import (
    CONTROL,
    DATA,
    DEVICE_READS,
    DEVICE_WRITES,
    SHARED_READS,
    SYSTEM_READERS,
    USERS,
)
from gateway.adapters.certificates import Authority
from tests.system.broker_stage import DAYS, PATIENCE_S, Plant, paho

pytestmark = pytest.mark.mosquitto
NOT_AUTHORIZED = 0x87
ROOT = "fd/main/"
DEVICE, OTHER = "dev-1", "dev-2"
KINDS = (*DEVICE_WRITES, *DEVICE_READS)
TOPICS = (
    *(f"d/{device}/{kind}" for device in (DEVICE, OTHER) for kind in KINDS),
    "k", "f/main", "b/aa/0", "t/timestamp", "t/other", "f/a/b", "a/broker_down/1", "x", "d/dev-1", "d/dev-1/want/x",
)  # fmt: skip
"""Of the protocol, and beside it."""
OUTSIDE = ("fd/other/k", "fd/other/d/dev-1/want", "other", "$SYS/broker/uptime", "$share/x/k")
SPEAKERS = {DEVICE: DEVICE, OTHER: OTHER, CONTROL: CONTROL, DATA: DATA}


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    plant = Plant(tmp_path_factory.mktemp("users"))
    authority = Authority.open(plant.tls)
    for user in USERS:
        if not (plant.tls / "clients" / f"{user}.crt").exists():
            authority.issue_client(user, datetime.now(UTC), DAYS)  # noqa: TID251 - certificates live by the calendar
    yield plant
    plant.close()


def granted(user, access, topic):
    """Whether the table grants a topic below the root."""
    if user in USERS:
        own = [shape for how, shape in USERS[user] if how == access]
    else:
        own = [
            f"d/{user}/{kind}" for kind in (DEVICE_WRITES if access == "write" else DEVICE_READS)
        ]
    # every user's name is a device's name, too: of a device that may not exist
    own += SHARED_READS if access == "read" else [f"d/{user}/{kind}" for kind in DEVICE_WRITES]
    return any(paho.topic_matches_sub(shape, topic) for shape in own)


@pytest.mark.parametrize("user", [*USERS, DEVICE])
def test_a_user_says_what_it_is_granted_and_nothing_else(plant, user):
    guest, wrong = plant.guest(user).joined(), []
    for topic in TOPICS:
        allowed = guest.say(ROOT + topic, b"") == ("puback", 0)
        if allowed is not granted(user, "write", topic):
            wrong.append(f"{user} says {topic}: {allowed}")
    for topic in OUTSIDE[:3]:
        if guest.say(topic, b"", retain=True) != ("puback", NOT_AUTHORIZED):
            wrong.append(f"{user} says {topic}")
    guest.leave()
    assert wrong == []


def test_a_user_hears_what_it_is_granted_and_nothing_else(plant):
    listeners = [plant.guest(user).joined() for user in (*USERS, DEVICE) if user not in SPEAKERS]
    speakers = {user: plant.guest(user).joined() for user in SPEAKERS}
    everybody = [*listeners, *speakers.values()]
    for guest in everybody:
        assert guest.ask("#") == ("suback", 1)
        assert guest.ask("fd/main/d/#") == ("suback", 1)
    heard = {guest.user: set() for guest in everybody}
    said = set()
    for topic in TOPICS:
        for user, guest in speakers.items():
            if topic != "k" and granted(user, "write", topic):
                _say(guest, topic, heard)
                said.add(topic)
                break
    assert len(said) >= 2 * len(KINDS) + 3, f"too little was said to hear: {said}"
    _say(speakers[CONTROL], "k", heard)  # for all, so it comes last to everybody
    wrong = []
    for guest in everybody:
        while "k" not in heard[guest.user]:
            _hear(guest, heard)
        expected = {topic for topic in said if granted(guest.user, "read", topic)} | {"k"}
        if heard[guest.user] != expected:
            wrong.append(f"{guest.user} hears {sorted(heard[guest.user] ^ expected)}")
        guest.leave()
    assert wrong == []


def _say(guest, topic, heard):
    guest.mqtt.publish(ROOT + topic, b"x", 1)
    while (told := guest.next())[0] == "message":
        heard[guest.user].add(told[1].removeprefix(ROOT))
    assert told == ("puback", 0), (guest.user, topic, told)


def _hear(guest, heard):
    kind, topic, _ = guest.next()
    assert kind == "message"
    heard[guest.user].add(topic.removeprefix(ROOT))


@pytest.mark.parametrize("user", [*USERS, DEVICE])
def test_the_brokers_own_words_are_heard_by_few(plant, user):
    guest = plant.guest(user).joined()
    assert guest.ask("$SYS/#") == ("suback", 1)
    wanted = {f"$SYS/broker/{topic}" for topic in SYSTEM_READERS.get(user, ()) if "#" not in topic}
    heard = set()
    while not wanted <= heard:  # the broker says them every ten seconds
        heard.add(guest.next()[1])
    guest.mqtt.subscribe("fd/main/no/such", 1)
    while (told := guest.next())[0] == "message":
        heard.add(told[1])
    guest.leave()
    shapes = [f"$SYS/broker/{topic}" for topic in SYSTEM_READERS.get(user, ())]
    others = [t for t in heard if not any(paho.topic_matches_sub(shape, t) for shape in shapes)]
    assert others == [], f"{user} hears {others} within {PATIENCE_S} s"


def test_a_share_of_somebody_elses_messages_is_not_had(plant):
    """A shared subscription is no way around the table."""
    thief = plant.guest(DEVICE).joined()
    for topic in ("$share/g/fd/main/d/+/tel", "$share/g/#", "$share/g/fd/main/d/dev-2/want"):
        assert thief.ask(topic)[0] == "suback"
    victim, control = plant.guest(OTHER).joined(), plant.guest(CONTROL).joined()
    assert victim.say("fd/main/d/dev-2/tel") == ("puback", 0)
    assert control.say("fd/main/d/dev-2/want") == ("puback", 0)
    assert control.say("fd/main/d/dev-1/want", b"mine") == ("puback", 0)
    assert thief.next() == ("message", "fd/main/d/dev-1/want", b"mine"), "its own, and no other"
    for guest in (thief, victim, control):
        guest.leave()


def test_a_will_is_bound_by_the_table_like_any_other_word(plant):
    control = plant.guest(DATA).joined()
    assert control.ask("fd/main/d/+/link") == ("suback", 1)
    liar = plant.guest(OTHER, will=("fd/main/d/dev-1/link", b"forged")).joined()
    liar.drop()
    honest = plant.guest(DEVICE, will=("fd/main/d/dev-1/link", b"honest")).joined()
    honest.drop()
    assert control.next() == ("message", "fd/main/d/dev-1/link", b"honest")
    control.leave()


def test_a_capture_proves_to_be_the_recorder_and_hears_who_comes_and_goes(plant, tmp_path):
    heard = tmp_path / "heard.csv"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "devicesdk", "capture", "--broker", f"mqtts://localhost:{plant.port}", "--for", "5m",
         "--certificates", str(plant.tls), "--out", str(heard)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "recording" in recorder.stderr.readline()
        plant.until_logged(r" as recorder .*u'recorder'")
        device = plant.guest(DEVICE).joined()
        link = codec.encode(Link(boot_id=1, session=1, online=True))
        assert device.say(f"fd/main/d/{DEVICE}/link", link) == ("puback", 0)
        device.leave()
        recorder.send_signal(signal.SIGINT)
        told, complaints = recorder.communicate(timeout=PATIENCE_S)
        assert recorder.returncode == 0, complaints
    finally:
        recorder.kill()
        recorder.wait(PATIENCE_S)
    assert "used: link" in told
    assert "1 devices" in told or "1 device" in told, told
    assert DEVICE in heard.read_text()
