from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Publish
from devicesdk.wire import codec
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Event, Get, Have, Link, Signed, Telemetry, Want
from devicesim.world.broker.packets import Message
from devicesim.world.hearing import Hearing, Listener
from gateway.core import effects as gw

HOST = SimpleNamespace(device="kiosk-0000")
WANT = Want(
    device="kiosk-0000", generation=3, deployment="r1", manifest=b"m" * 32, manifest_bytes=9
)


class Everything(Listener):
    def __init__(self):
        self.heard = []

    def said_have(self, host, have, now):
        self.heard.append((host.device, have, now))

    said_event = said_window = asked = heard_want = said_have

    def wanted(self, device, want, now):
        self.heard.append((device, want, now))

    def heard_chunk(self, host, frame, nbytes, now):
        self.heard.append((host.device, frame, nbytes, now))


@pytest.fixture
def ear():
    return Everything()


@pytest.fixture
def hearing(ear):
    hearing = Hearing()
    hearing.add(ear)
    return hearing


def signed(message):
    return codec.encode(Signed(payload=codec.encode(message), key_id=b"k" * 8, signature=b"s" * 64))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("have", Have(boot_id=2, seq=5, generation=3, running=b"r" * 32, trial=True)),
        ("get", Get(transfer=1, seq=2, blob=b"b" * 32, base=4, count=3)),
        ("ev", Event(boot_id=1, seq=1, kind="alarm", value=950)),
    ],
)
def test_what_a_device_says_is_decoded(hearing, ear, kind, message):
    hearing.published(HOST, Publish(kind, codec.encode(message), 1, False), 7)
    assert ear.heard == [("kiosk-0000", message, 7)]


def test_of_a_window_the_name_and_the_size_are_read(hearing, ear):
    window = Telemetry(boot_id=2, seq=9, bundle=b"b" * 8, frames=4, confidence=b"\1\2", chip_c=60)
    hearing.published(HOST, Publish("tel", codec.encode(window), 1, False), 7)
    ((_, found, _),) = ear.heard
    assert (found.boot_id, found.seq, found.frames) == (2, 9, 4)


def test_what_nobody_listens_for_is_not_decoded():
    hearing = Hearing()
    hearing.add(Listener())
    hearing.published(HOST, Publish("tel", b"not a window", 1, False), 7)
    hearing.received(HOST, Message("t", b"not a frame", kind="dat"), 7)


def test_presence_is_nobodys_business_here(hearing, ear):
    link = codec.encode(Link(boot_id=1, session=1, online=True))
    hearing.published(HOST, Publish("link", link, 1, True), 7)
    assert ear.heard == []


def test_a_want_is_decoded_when_it_is_published_and_known_again_when_it_arrives(hearing, ear):
    payload = signed(WANT)
    hearing.gateway_published(gw.Publish("t", "want", payload, 1, retain=True), 5)
    hearing.received(HOST, Message("t", payload, kind="want"), 6)
    assert ear.heard == [("kiosk-0000", WANT, 5), ("kiosk-0000", WANT, 6)]
    assert ear.heard[0][1] is ear.heard[1][1]


def test_a_frame_is_its_header_and_its_size(hearing, ear):
    frame = Frame(1, 2, b"digest88", 3, 1)
    hearing.received(HOST, Message("t", codec.encode_frame(frame, b"x" * 100), kind="dat"), 6)
    assert ear.heard == [("kiosk-0000", frame, 100, 6)]
