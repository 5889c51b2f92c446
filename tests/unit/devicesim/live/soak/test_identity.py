"""Identities: two messages that a receiver must tell apart have different ones."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import (
    Ask,
    Control,
    ControlVerb,
    Event,
    FlagSnapshot,
    Get,
    Have,
    KillList,
    Link,
    Signed,
    Telemetry,
    TrustHead,
    Want,
)
from devicesim.live.soak.books import KINDS
from devicesim.live.soak.identity import identity


def signed(message: object) -> bytes:
    return codec.encode(Signed(payload=codec.encode(message), key_id=b"k" * 8, signature=b"s" * 64))


CASES = {
    topics.TEL: (codec.encode(Telemetry(boot_id=3, seq=9, bundle=b"", frames=2)), (3, 9)),
    topics.EV: (codec.encode(Event(boot_id=3, seq=4, kind="alarm")), (3, 4)),
    topics.HAVE: (codec.encode(Have(boot_id=2, seq=5)), (2, 5)),
    topics.LINK: (codec.encode(Link(boot_id=2, session=6, online=True)), (2, 6, 0)),
    topics.GET: (
        codec.encode(Get(transfer=65537, seq=2, blob=b"b" * 32, base=0, count=1)),
        (65537, 2),
    ),
    topics.DAT: (codec.encode_frame(Frame(65537, 2, b"12345678", 11, 0), b"x"), (65537, 2, 11)),
    topics.CTL: (codec.encode(Control(verb=ControlVerb.NACK, transfer=7, seq=1)), (7, 1, 1)),
    topics.WANT: (
        signed(
            Want(device="a", generation=8, deployment="r", manifest=b"m" * 32, manifest_bytes=1)
        ),
        (8,),
    ),
    topics.KILL: (signed(KillList(version=5)), (5,)),
    topics.FLAGS: (signed(FlagSnapshot(rev=6, segment="kiosk", document=b"{}")), (6,)),
    topics.ASK: (codec.encode(Ask(number=77, manifest=b"m" * 32, frames=1, pixels=b"p")), (77,)),
    topics.TIMESTAMP: (
        codec.encode(TrustHead(timestamp=b'{"signatures":[],"signed":{"version":4}}', root=2)),
        (2, 4),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_identity_of_each_kind(kind: str) -> None:
    payload, expected = CASES[kind]
    assert identity(kind, payload) == expected


def test_every_kind_has_one() -> None:
    assert set(CASES) == set(KINDS)
    assert set(KINDS) == {*topics.DEVICE_KINDS, *topics.RETAINED_KINDS}, (
        "a kind that no soak counts"
    )


def test_a_last_will_is_another_message_than_the_birth_of_its_session() -> None:
    born = codec.encode(Link(boot_id=2, session=6, online=True))
    died = codec.encode(Link(boot_id=2, session=6, online=False))
    assert identity(topics.LINK, born) < identity(topics.LINK, died)


def test_garbage_has_none() -> None:
    with pytest.raises(msgspec.DecodeError):
        identity(topics.TEL, b"\xff\x00")
