"""The TUF roles that a device has come to trust, and how each new one is taken in.

Decides the client's workflow of the TUF specification (5.3 to 5.6): root n to n+1 by the thresholds of
both, then timestamp, snapshot, targets, each held against the one before it; versions never go back,
sizes are bounded before anything is parsed. Leaves out how metadata comes to a device, what is done
about it and what time it is (devicesdk/agent/trust.py): expiry is a number here, compared by whoever
knows the time. Metadata that has expired is taken in like any other, because it still guards against
older versions; nothing may be *acted* on while `expired` names a role.

A `TrustedSet` is a value that remembers its successors: ten thousand devices of one process that hear
the same bytes in the same state share one verification and one object. Only successes are remembered;
tampered bytes are other bytes and are really checked.

Imports `tuf`, so a device without roles never imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (  # type: ignore[attr-defined]  # its public names
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError, SerializationError

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Verifier, RememberingVerifier
from devicesdk.wire import codec, limits
from devicesdk.wire.errors import BadMessage, BadSignature
from devicesdk.wire.messages import TrustHead

CUSTOM: Final = "fleetdrill"
"""Name of our section in role metadata and in the custom part of a target."""
SUCCESSORS_MAX: Final = 8
"""Successors that a set remembers; past it all are forgotten and verified anew."""
REMEMBERED_MAX: Final = 1_024
"""Sets and heads that an anchor remembers, of each; full: all are forgotten."""
CHECK_BYTES: Final = 8

_BYTES_MAX: Final[dict[type[Signed], int]] = {
    Root: limits.ROOT_ROLE_BYTES_MAX,
    Timestamp: limits.TIMESTAMP_ROLE_BYTES_MAX,
    Snapshot: limits.SNAPSHOT_ROLE_BYTES_MAX,
    Targets: limits.TARGETS_ROLE_BYTES_MAX,
}
_CHAIN: Final[tuple[type[Signed], ...]] = (Timestamp, Snapshot, Targets)
_BROKEN: Final = (
    RepositoryError,
    DeserializationError,
    SerializationError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)


class Custom(msgspec.Struct, frozen=True):
    """Our section of a role's metadata."""

    issued_ms: int = 0
    """Wall-clock UTC of its making: no device that has seen it believes in an earlier time."""
    keys: dict[str, tuple[str, ...]] = {}
    """Of a root: Ed25519 keys (hex) of `director` and `flags`, by role."""
    floors: dict[str, int] = {}
    """Of targets: lowest release that may still be installed, by bundle id."""


class About(msgspec.Struct, frozen=True):
    """Our section of a target."""

    release: int
    hardware: tuple[str, ...]


class Listing(NamedTuple):
    """What targets say of one manifest."""

    path: str
    """``id/version``."""
    size_bytes: int
    release: int
    hardware: tuple[str, ...]


class Blob(NamedTuple):
    """Role metadata that is missing."""

    role: str
    digest: bytes
    size_bytes: int


class Held:
    """One role's metadata: its exact bytes, and what is in them."""

    __slots__ = ("custom", "data", "digest", "expires_ms", "listed", "signed")

    def __init__(self, data: bytes, signed: Any) -> None:
        self.data = data
        self.digest = sha256(data).digest()
        self.signed = signed
        self.expires_ms = round(signed.expires.timestamp()) * 1000
        self.custom = _custom(signed)
        self.listed: dict[bytes, Listing] = _listings(signed) if isinstance(signed, Targets) else {}


class TrustedSet:
    """A root, and as much of timestamp, snapshot and targets as follows from it."""

    __slots__ = (
        "_next", "encoded", "floor_ms", "keys", "root", "snapshot", "targets", "timestamp", "verifier",
    )  # fmt: skip

    def __init__(self, chain: tuple[Held, ...], before: TrustedSet | None = None) -> None:
        self.root = chain[0]
        self.timestamp, self.snapshot, self.targets = (*chain[1:], None, None, None)[:3]
        self._next: dict[tuple[type[Signed], bytes], TrustedSet] = {}
        self.floor_ms = max(one.custom.issued_ms for one in chain)
        """No instant before this one can be now."""
        self.keys = self.root.custom.keys
        """Keys that sign wants, flags and kills, by role."""
        same = before is not None and before.keys == self.keys
        self.verifier: RememberingVerifier = (
            before.verifier if before is not None and same else _verifier(self.keys)
        )
        """Checks wants, flags and kills."""
        self.encoded = _encode(chain)
        """What a device keeps: the same bytes for all devices in this state."""

    @property
    def version(self) -> int:
        """Version of the root."""
        return int(self.root.signed.version)

    # -- taking in ------------------------------------------------------------------------------

    def with_root(self, data: bytes) -> TrustedSet:
        """Take the next root in. What it no longer vouches for is forgotten: metadata of a key that was
        stolen and revoked cannot hold the versions of its successors down (5.3.11).

        Raises:
            BadMessage: too large, not a root, or not the next one.
            BadSignature: not signed by the thresholds of this root and of itself.
        """
        return self._then(Root, data, self._root)

    def with_timestamp(self, data: bytes) -> TrustedSet:
        """Take a timestamp in.

        Raises:
            BadMessage: too large, not a timestamp, or older than the one that is trusted.
            BadSignature: not signed as the root says.
        """
        return self._then(Timestamp, data, self._timestamp)

    def with_snapshot(self, data: bytes) -> TrustedSet:
        """Take the snapshot in that the timestamp names.

        Raises:
            BadMessage: not the one that is named, or it takes a version back.
            BadSignature: not signed as the root says.
        """
        return self._then(Snapshot, data, self._snapshot)

    def with_targets(self, data: bytes) -> TrustedSet:
        """Take the targets in that the snapshot names.

        Raises:
            BadMessage: not the ones that are named.
            BadSignature: not signed as the root says.
        """
        return self._then(Targets, data, self._targets)

    def _then(
        self, role: type[Signed], data: bytes, take: Callable[[bytes], TrustedSet]
    ) -> TrustedSet:
        name = (role, data)
        after = self._next.get(name)
        if after is None:
            after = take(data)
            if len(self._next) >= SUCCESSORS_MAX:
                self._next.clear()
            self._next[name] = after
        return after

    def _root(self, data: bytes) -> TrustedSet:
        new = _read(Root, data, self.root.signed)
        version = new.signed.version
        if version != self.version + 1:
            raise BadMessage(f"expected root {self.version + 1}, found root {version}")
        _check(new, new.signed, Root)
        after = TrustedSet((new,), self)
        for held in (self.timestamp, self.snapshot, self.targets):
            if held is None or not _vouches(new.signed, held):
                break
            after = TrustedSet((*after._chain(), held), after)
        return after

    def _chain(self) -> tuple[Held, ...]:
        held = (self.root, self.timestamp, self.snapshot, self.targets)
        return tuple(one for one in held if one is not None)

    def _with(self, place: int, new: Held) -> TrustedSet:
        """This set with another role in its place; what follows stays, to be held against."""
        chain = self._chain()
        return TrustedSet((*chain[:place], new, *chain[place + 1 :]), self)

    def _timestamp(self, data: bytes) -> TrustedSet:
        old = self.timestamp
        if old is not None and old.data == data:
            return self
        new = _read(Timestamp, data, self.root.signed)
        _named(new.signed.snapshot_meta, Snapshot)
        if old is not None:
            _not_back("timestamp", old.signed.version, new.signed.version, equal=False)
            meta = old.signed.snapshot_meta
            _not_back("snapshot", meta.version, new.signed.snapshot_meta.version)
        # The snapshot that was trusted stays, to be held against the one that is named now.
        return self._with(1, new)

    def _snapshot(self, data: bytes) -> TrustedSet:
        assert self.timestamp is not None, "a snapshot before a timestamp"
        meta = self.timestamp.signed.snapshot_meta
        _is_named(Snapshot, data, meta)
        new = _read(Snapshot, data, self.root.signed)
        _same_version("snapshot", meta, new)
        _named(_targets_meta(new.signed), Targets)
        if self.snapshot is not None:
            for name, before in self.snapshot.signed.meta.items():
                after = new.signed.meta.get(name)
                if after is None:
                    raise BadMessage(f"expected {name} in the snapshot as before, found nothing")
                _not_back(name, before.version, after.version)
        return self._with(2, new)

    def _targets(self, data: bytes) -> TrustedSet:
        assert self.snapshot is not None, "targets before a snapshot"
        meta = _targets_meta(self.snapshot.signed)
        _is_named(Targets, data, meta)
        new = _read(Targets, data, self.root.signed)
        _same_version("targets", meta, new)
        return self._with(3, new)

    def check_targets(self, data: bytes) -> None:
        """Hold targets that no snapshot names yet against the root: whoever names them asks first.

        Raises:
            BadMessage: too large, or not targets.
            BadSignature: not signed as the root says.
        """
        _read(Targets, data, self.root.signed)

    # -- looking --------------------------------------------------------------------------------

    def missing(self) -> Blob | None:
        """What has to come next for targets to be current; None when they are (or no timestamp is)."""
        if self.timestamp is None:
            return None
        digest, size = _named(self.timestamp.signed.snapshot_meta, Snapshot)
        if self.snapshot is None or self.snapshot.digest != digest:
            return Blob("snapshot", digest, size)
        digest, size = _named(_targets_meta(self.snapshot.signed), Targets)
        if self.targets is None or self.targets.digest != digest:
            return Blob("targets", digest, size)
        return None

    def expired(self, now_ms: int) -> str:
        """The first role, from the root on, that has expired at an instant (UTC, ms); empty: none."""
        if now_ms >= self.root.expires_ms:
            return "root"
        if self.timestamp is not None and now_ms >= self.timestamp.expires_ms:
            return "timestamp"
        if self.missing() is not None or self.snapshot is None or self.targets is None:
            return ""  # what is held is on its way out: its expiry says nothing
        if now_ms >= self.snapshot.expires_ms:
            return "snapshot"
        return "targets" if now_ms >= self.targets.expires_ms else ""

    def listing(self, manifest: bytes) -> Listing | None:
        """What the targets say of the manifest with this digest; None: they do not know it."""
        return None if self.targets is None else self.targets.listed.get(manifest)

    def floor_of(self, bundle: str) -> int:
        """The lowest release of a bundle that may still be installed."""
        return 0 if self.targets is None else self.targets.custom.floors.get(bundle, 0)


class Anchor:
    """What a device is enrolled with: a root; and what this process has verified from there.

    Args:
        root: the root's exact bytes. Believed as they are, but for their own threshold.

    Raises:
        BadMessage: not a root.
        BadSignature: not signed by its own threshold.
    """

    __slots__ = ("_heads", "_loaded", "born")

    def __init__(self, root: bytes) -> None:
        held = _parse(Root, root)
        _check(held, held.signed, Root)
        self.born = TrustedSet((held,))
        self._heads: dict[bytes, TrustHead] = {}
        self._loaded: dict[bytes, TrustedSet] = {self.born.encoded: self.born}

    def head(self, payload: bytes) -> TrustHead:
        """Read what `t/timestamp` carries; one object for the same bytes.

        Raises:
            BadMessage: not such a message.
        """
        head = self._heads.get(payload)
        if head is None:
            head = codec.decode(TrustHead, payload, limits.TRUST_HEAD_BYTES_MAX)
            _remember(self._heads, payload, head)
        return head

    def load(self, saved: bytes | None) -> TrustedSet:
        """The set that a device kept; the root that it was born with where there is none, where it
        cannot be read, or where that root is newer."""
        if saved is None:
            return self.born
        found = self._loaded.get(saved)
        if found is None:
            found = self._decode(saved)
            _remember(self._loaded, saved, found)
        return found

    def _decode(self, saved: bytes) -> TrustedSet:
        body, check = saved[:-CHECK_BYTES], saved[-CHECK_BYTES:]
        if sha256(body).digest()[:CHECK_BYTES] != check:
            return self.born
        try:
            parts = msgspec.msgpack.decode(body, type=list[bytes])
            root = _parse(Root, parts[0])
            _check(root, root.signed, Root)
            found = TrustedSet((root,), self.born)
            if found.version < self.born.version:
                return self.born
            # Held against the root alone: what the timestamp names may not have come yet.
            for role, data in zip(_CHAIN, parts[1:], strict=False):
                held = _read(role, data, root.signed)
                found = TrustedSet((*found._chain(), held), found)  # noqa: SLF001 - our own kind
        except (msgspec.DecodeError, IndexError, BadMessage, BadSignature):
            return self.born
        return self._loaded.get(found.encoded, found)


def _remember(memory: dict[bytes, Any], name: bytes, value: object) -> None:
    if len(memory) >= REMEMBERED_MAX:
        memory.clear()
    memory[name] = value


def _encode(held: Iterable[Held]) -> bytes:
    body = msgspec.msgpack.encode([one.data for one in held])
    return body + sha256(body).digest()[:CHECK_BYTES]


def _verifier(keys: dict[str, tuple[str, ...]]) -> RememberingVerifier:
    roles = (ROLE_DIRECTOR, ROLE_FLAGS)
    return RememberingVerifier(
        Ed25519Verifier({r: tuple(bytes.fromhex(k) for k in keys.get(r, ())) for r in roles})
    )


def _parse(role: type[Signed], data: bytes) -> Held:
    """Read role metadata without believing any of it.

    Raises:
        BadMessage: too large, or not that role's metadata.
    """
    if len(data) > _BYTES_MAX[role]:
        raise BadMessage(
            f"expected a {role.type} role of at most {_BYTES_MAX[role]} bytes, found {len(data)}"
        )
    try:
        signed = Metadata[Any].from_bytes(data).signed
        if type(signed) is not role:
            raise BadMessage(f"expected a {role.type} role, found a {signed.type} role")
        return Held(data, signed)
    except _BROKEN as error:
        raise BadMessage(f"expected a {role.type} role, found {data[:40]!r}..: {error}") from error


def _check(held: Held, by: Root, role: type[Signed]) -> None:
    """Hold the signatures against a root.

    Raises:
        BadSignature: fewer good ones than the threshold.
    """
    try:
        metadata = Metadata[Any].from_bytes(held.data)
        by.verify_delegate(role.type, metadata.signed_bytes, metadata.signatures)
    except _BROKEN as error:
        raise BadSignature(
            f"expected {role.type} {held.signed.version} to be signed as root {by.version} says, "
            f"found: {error}"
        ) from error


def _vouches(root: Root, held: Held) -> bool:
    try:
        _check(held, root, type(held.signed))
    except BadSignature:
        return False
    return True


def _read(role: type[Signed], data: bytes, by: Root) -> Held:
    held = _parse(role, data)
    _check(held, by, role)
    return held


def _custom(signed: Signed) -> Custom:
    found = signed.unrecognized_fields.get(CUSTOM, {})
    custom = msgspec.convert(found, Custom)
    if any(len(bytes.fromhex(key)) != 32 for keys in custom.keys.values() for key in keys):
        raise ValueError("expected keys of 32 bytes in hex")
    return custom


def _listings(signed: Targets) -> dict[bytes, Listing]:
    """Targets by digest. One digest under two names would be two answers, so it is none."""
    listed: dict[bytes, Listing] = {}
    for path, target in signed.targets.items():
        about = msgspec.convert((target.custom or {}).get(CUSTOM), About)
        digest = bytes.fromhex(target.hashes["sha256"])
        if digest in listed:
            raise ValueError(f"expected one name for a manifest, found {path} too")
        listed[digest] = Listing(path, target.length, about.release, about.hardware)
    return listed


def _named(meta: MetaFile, role: type[Signed]) -> tuple[bytes, int]:
    """Digest and size of what is named.

    Raises:
        BadMessage: one of them is not said, or the size is more than such a role may have.
    """
    digest = (meta.hashes or {}).get("sha256", "")
    size = meta.length or 0
    if len(digest) != 2 * limits.DIGEST_BYTES or not 0 < size <= _BYTES_MAX[role]:
        raise BadMessage(
            f"expected sha256 and a length of at most {_BYTES_MAX[role]} bytes of {role.type}, found "
            f"length {size}"
        )
    try:
        return bytes.fromhex(digest), size
    except ValueError as error:
        raise BadMessage(f"expected sha256 in hex, found {digest[:16]!r}") from error


def _targets_meta(signed: Snapshot) -> MetaFile:
    meta = signed.meta.get("targets.json")
    if meta is None:
        raise BadMessage("expected targets.json in the snapshot, found nothing")
    return meta


def _is_named(role: type[Signed], data: bytes, meta: MetaFile) -> None:
    digest, size = _named(meta, role)
    if len(data) != size or sha256(data).digest() != digest:
        raise BadMessage(
            f"expected the {role.type} of {size} bytes that is named, found {len(data)} other bytes"
        )


def _same_version(role: str, meta: MetaFile, held: Held) -> None:
    if held.signed.version != meta.version:
        raise BadMessage(f"expected {role} {meta.version}, found {role} {held.signed.version}")


def _not_back(what: str, before: int, after: int, *, equal: bool = True) -> None:
    if after < before or (after == before and not equal):
        raise BadMessage(f"expected {what} newer than {before}, found {after}")
