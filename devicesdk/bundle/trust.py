"""Who may say what: Ed25519 signatures over exact bytes, one key a role.

Decides what is signed (role, NUL, payload: a kill list cannot pass for a want) and which keys are
trusted for which role. Leaves out key storage and TUF's role metadata: whoever needs a signature
checked is handed a `Verifier`, so that the full TUF client can take this one's place, and the world
can pass one that remembers what it has verified.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from devicesdk.wire import codec, limits
from devicesdk.wire.errors import BadMessage, BadSignature
from devicesdk.wire.messages import Signed

ROLE_TARGETS: Final = "targets"
"""Signs manifests; kept offline."""
ROLE_DIRECTOR: Final = "director"
"""Signs each device's want; online."""
ROLE_FLAGS: Final = "flags"
"""Signs flag snapshots and kill lists; the chunk server does not hold it."""


class Verifier(Protocol):
    """Checks an envelope for a role."""

    def open(self, role: str, envelope: bytes, bytes_max: int = limits.MANIFEST_BYTES_MAX) -> bytes:
        """Return the payload of a `Signed` envelope.

        Raises:
            BadMessage: not an envelope, or too large.
            BadSignature: the key is not trusted for this role, or the signature does not verify.
        """
        ...


class Signer(Protocol):
    """Signs payloads for one role."""

    def seal(self, payload: bytes) -> bytes:
        """Return the bytes of a `Signed` envelope around `payload`."""
        ...


def signed_bytes(role: str, payload: bytes) -> bytes:
    """What the signature covers: the role keeps a payload from being replayed as another kind."""
    return b"fleetdrill/" + role.encode() + b"\0" + payload


def key_id(public: bytes) -> bytes:
    """Short name of a public key (32 raw bytes): the first 8 bytes of its SHA-256."""
    return sha256(public).digest()[:8]


def payload_named(envelope: bytes, digest: bytes) -> bytes:
    """The payload of an envelope that is trusted by its digest: who signed it was settled with that.

    Raises:
        BadMessage: not an envelope.
        BadSignature: not the envelope of this digest.
    """
    found = sha256(envelope).digest()
    if found != digest:
        raise BadSignature(f"expected envelope {digest.hex()[:16]}, found {found.hex()[:16]}")
    return codec.decode(Signed, envelope, limits.MANIFEST_BYTES_MAX + 256).payload


class Ed25519Signer:
    """A role's private key.

    Args:
        role: one of the ``ROLE_*`` names.
        seed: 32 bytes of entropy: the private key itself.
    """

    __slots__ = ("_key", "_role", "public")

    def __init__(self, role: str, seed: bytes) -> None:
        self._role = role
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def seal(self, payload: bytes) -> bytes:
        """Sign `payload` for this role and wrap it."""
        signature = self._key.sign(signed_bytes(self._role, payload))
        return codec.encode(
            Signed(payload=payload, key_id=key_id(self.public), signature=signature)
        )


class Ed25519Verifier:
    """The keys a device trusts, by role.

    Args:
        keys: role name to the raw public keys (32 bytes each) trusted for it.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: dict[str, tuple[bytes, ...]]) -> None:
        self._keys = {
            (role, key_id(public)): Ed25519PublicKey.from_public_bytes(public)
            for role, publics in keys.items()
            for public in publics
        }

    def open(self, role: str, envelope: bytes, bytes_max: int = limits.MANIFEST_BYTES_MAX) -> bytes:
        """Return the payload of an envelope signed by a key trusted for `role`."""
        signed = codec.decode(Signed, envelope, bytes_max + 256)
        key = self._keys.get((role, signed.key_id))
        if key is None:
            raise BadSignature(
                f"expected a key trusted for {role}, found key {signed.key_id.hex()}; "
                f"enrol the device again or rotate its keys"
            )
        try:
            key.verify(signed.signature, signed_bytes(role, signed.payload))
        except InvalidSignature as error:
            raise BadSignature(
                f"expected a valid {role} signature by key {signed.key_id.hex()}, found one that does "
                f"not match {len(signed.payload)} bytes of payload"
            ) from error
        if len(signed.payload) > bytes_max:
            raise BadMessage(f"expected at most {bytes_max} bytes, found {len(signed.payload)}")
        return signed.payload


class RememberingVerifier:
    """Verifies each distinct envelope once: for hosts that run many devices in one process.

    Only successes are remembered, by the digest of all bytes; tampered bytes are other bytes and are
    really checked. Bounded: the oldest half is forgotten when full.
    """

    __slots__ = ("_inner", "_last", "_seen", "entries_max")

    def __init__(self, inner: Verifier, entries_max: int = 65_536) -> None:
        self._inner = inner
        self._last: tuple[str, bytes, bytes] = ("", b"", b"")
        """Role, envelope and payload of the last: what a whole fleet hears comes once for each device."""
        self._seen: dict[tuple[str, bytes], bytes] = {}
        self.entries_max = entries_max

    def open(self, role: str, envelope: bytes, bytes_max: int = limits.MANIFEST_BYTES_MAX) -> bytes:
        """As `Ed25519Verifier.open`, from memory when these very bytes were verified before."""
        last = self._last
        if envelope == last[1] and role == last[0] and len(last[2]) <= bytes_max:
            return last[2]
        name = (role, sha256(envelope).digest())
        payload = self._seen.get(name)
        if payload is None or len(payload) > bytes_max:
            payload = self._inner.open(role, envelope, bytes_max)
            if len(self._seen) >= self.entries_max:
                for old in list(self._seen)[: self.entries_max // 2]:
                    del self._seen[old]
            self._seen[name] = payload
        self._last = (role, envelope, payload)
        return payload
