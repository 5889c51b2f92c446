import pytest

from devicesdk.bundle import trust
from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage, BadSignature
from devicesdk.wire.messages import Signed

SIGNER = trust.Ed25519Signer(trust.ROLE_TARGETS, bytes(32))
OTHER = trust.Ed25519Signer(trust.ROLE_FLAGS, b"\1" * 32)
VERIFIER = trust.Ed25519Verifier(
    {trust.ROLE_TARGETS: (SIGNER.public,), trust.ROLE_FLAGS: (OTHER.public,)}
)


def test_what_was_sealed_for_a_role_opens_for_that_role():
    assert VERIFIER.open(trust.ROLE_TARGETS, SIGNER.seal(b"manifest")) == b"manifest"


def test_an_envelope_does_not_open_for_another_role():
    with pytest.raises(BadSignature, match="trusted for flags"):
        VERIFIER.open(trust.ROLE_FLAGS, SIGNER.seal(b"x"))


def test_the_same_key_in_two_roles_still_keeps_the_roles_apart():
    both = trust.Ed25519Verifier({"targets": (SIGNER.public,), "director": (SIGNER.public,)})
    with pytest.raises(BadSignature, match="does not match"):
        both.open("director", SIGNER.seal(b"x"))


@pytest.mark.parametrize("place", [0, 10, 40, -1])
def test_a_flipped_bit_anywhere_is_refused(place):
    signed = codec.decode(Signed, SIGNER.seal(b"manifest"))
    body = bytearray(signed.payload + signed.signature)
    body[place] ^= 1
    bad = Signed(payload=bytes(body[:8]), key_id=signed.key_id, signature=bytes(body[8:]))
    with pytest.raises(BadSignature):
        VERIFIER.open(trust.ROLE_TARGETS, codec.encode(bad))


def test_a_payload_past_its_bound_is_refused():
    with pytest.raises(BadMessage, match="at most"):
        VERIFIER.open(trust.ROLE_TARGETS, SIGNER.seal(bytes(100)), bytes_max=50)


class Counting:
    def __init__(self):
        self.calls = 0

    def open(self, role, envelope, bytes_max=65536):
        self.calls += 1
        return VERIFIER.open(role, envelope, bytes_max)


def test_the_same_envelope_is_verified_once_and_tampered_bytes_are_really_checked():
    inner = Counting()
    remembering = trust.RememberingVerifier(inner, entries_max=4)
    envelope = SIGNER.seal(b"once")
    for _ in range(5):
        assert remembering.open(trust.ROLE_TARGETS, envelope) == b"once"
    assert inner.calls == 1
    with pytest.raises((BadSignature, BadMessage)):
        remembering.open(trust.ROLE_TARGETS, envelope[:-1] + bytes([envelope[-1] ^ 1]))
    assert inner.calls == 2


def test_the_memory_is_bounded_and_forgets_the_oldest():
    inner = Counting()
    remembering = trust.RememberingVerifier(inner, entries_max=4)
    envelopes = [SIGNER.seal(bytes([i])) for i in range(8)]
    for envelope in envelopes:
        remembering.open(trust.ROLE_TARGETS, envelope)
    remembering.open(trust.ROLE_TARGETS, envelopes[-1])
    assert inner.calls == 8
    remembering.open(trust.ROLE_TARGETS, envelopes[0])
    assert inner.calls == 9
