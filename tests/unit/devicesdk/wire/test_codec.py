import msgpack
import pytest

from devicesdk.wire import codec, limits
from devicesdk.wire.errors import BadMessage, Nack, Wait
from devicesdk.wire.messages import (
    Control,
    ControlVerb,
    Event,
    Get,
    Have,
    KillList,
    Link,
    Telemetry,
    UpdatePolicy,
    UpdateState,
    Want,
)

EXAMPLES = [
    Want(
        device="a",
        generation=3,
        deployment="r",
        manifest=b"m" * 32,
        manifest_bytes=9,
        policy=UpdatePolicy(plugged=True),
    ),
    Have(
        boot_id=1, seq=2, running=b"r" * 32, state=UpdateState.TRIAL, trial=True, reason="because"
    ),
    Link(boot_id=1, session=2, online=False),
    Get(transfer=1, seq=2, blob=b"b" * 32, base=0, count=8, bitmap=b"\xff"),
    Control(verb=ControlVerb.WAIT, transfer=1, retry_after_ms=500, why=Wait.BUSY),
    Control(verb=ControlVerb.NACK, seq=4, code=Nack.GONE),
    Event(boot_id=1, seq=1, kind="update", state=UpdateState.FAILED, reason="link"),
    KillList(version=7, features=("gauge",)),
    Telemetry(boot_id=1, seq=9, bundle=b"8" * 8, frames=4, confidence=bytes(20), errors={"nan": 1}),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_wire(message):
    assert codec.decode(type(message), codec.encode(message)) == message


def test_fields_at_their_default_cost_nothing():
    assert set(msgpack.unpackb(codec.encode(Have(boot_id=1, seq=2)))) == {"b", "q"}


def test_a_field_of_a_newer_peer_is_kept_and_sent_on():
    newer = msgpack.packb({"b": 1, "q": 2, "on": True, "zz": [1, 2]})
    link = codec.decode(Link, newer)
    assert link.extra == {"zz": [1, 2]}
    assert codec.decode(Link, codec.encode(link)) == link


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "incomplete"),
        (b"\xc1", "c1"),
        (msgpack.packb([1]), "object"),
        (msgpack.packb({"b": 1}), "q"),
        (msgpack.packb({"b": -1, "q": 1, "on": True}), "b"),
        (msgpack.packb({"b": 1, "q": "x", "on": True}), "q"),
        (msgpack.packb({1: 1}), "found"),
    ],
)
def test_garbage_is_refused_with_the_field_that_is_wrong(body, word):
    with pytest.raises(BadMessage, match=word):
        codec.decode(Link, body)


def test_a_message_past_its_bound_is_refused_before_it_is_parsed():
    with pytest.raises(BadMessage, match="at most 10 bytes, found 11"):
        codec.decode(Link, bytes(11), bytes_max=10)


def test_a_frame_is_24_bytes_and_the_chunk():
    frame = codec.Frame(7, 3, b"digest88", 41, 2)
    payload = codec.encode_frame(frame, b"chunk")
    assert len(payload) == limits.FRAME_HEADER_BYTES + 5
    found, chunk = codec.decode_frame(payload)
    assert (found, bytes(chunk), found.last) == (frame, b"chunk", True)


@pytest.mark.parametrize(
    "payload", [b"", bytes(24), b"\x02" + bytes(30), bytes([1, 1]) + bytes(30)]
)
def test_a_frame_that_is_none_is_refused(payload):
    with pytest.raises(BadMessage, match="data frame"):
        codec.decode_frame(payload)


def test_a_report_cannot_push_the_generation_past_what_the_next_want_can_say():
    with pytest.raises(BadMessage, match="g"):
        codec.decode(Have, msgpack.packb({"b": 1, "q": 1, "g": 2**53}))


def test_error_counts_are_bounded_in_name_and_number():
    body = {"b": 1, "q": 1, "d": b"", "n": 1, "er": {"x": 2**64 - 1}}
    with pytest.raises(BadMessage, match="er"):
        codec.decode(Telemetry, msgpack.packb(body))
