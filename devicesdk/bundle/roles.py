"""Making the metadata of the TUF roles: what the owner of a fleet and its gateway sign.

Decides the contents of root, targets, snapshot and timestamp, our own section in them, and who signs
what. Leaves out what a device believes (trusted_set.py), where keys lie (gateway/adapters/ceremony.py)
and when anything is signed (gateway/core/control/trust.py).

    root       offline, threshold: keys of all roles; also those of `director` and `flags`
    targets    offline, threshold: every manifest that may be installed, with release and hardware
    snapshot   online: digest and version of targets
    timestamp  online: digest and version of snapshot; renewed before it expires

Rules: the same inputs give the same bytes (Ed25519, canonical JSON); an instant is handed in; a draft
is metadata without signatures, and each holder of a key adds one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.metadata import (  # type: ignore[attr-defined]  # its public names
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signature,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from devicesdk.bundle.manifest import Manifest
from devicesdk.bundle.trusted_set import CUSTOM, About, Custom, Held
from devicesdk.wire.errors import BadMessage

ROOT: Final = Root.type
TARGETS: Final = Targets.type
SNAPSHOT: Final = Snapshot.type
TIMESTAMP: Final = Timestamp.type
ROLES: Final = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)


class RoleKey:
    """A private key of a role.

    Args:
        seed: 32 bytes of entropy: the private key itself.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = public_key(self._key.public_key().public_bytes_raw())

    @property
    def id(self) -> str:
        """The key's name in metadata."""
        return str(self.public.keyid)

    def sign(self, data: bytes) -> bytes:
        """Add this key's signature to metadata; one that it made before is replaced."""
        metadata = Metadata[Any].from_bytes(data)
        signature = self._key.sign(metadata.signed_bytes).hex()
        metadata.signatures[self.id] = Signature(self.id, signature)
        return metadata.to_bytes()


class Quorum(NamedTuple):
    """Who signs for a role."""

    keys: tuple[Key, ...]
    threshold: int = 1


class Listed(NamedTuple):
    """A manifest that targets list."""

    path: str
    digest: bytes
    size_bytes: int
    release: int
    hardware: tuple[str, ...]


def public_key(raw: bytes) -> Key:
    """The key whose 32 raw public bytes these are; its name is the SHA-256 of its canonical JSON (TUF
    specification, 4.2)."""
    said = {"keytype": "ed25519", "keyval": {"public": raw.hex()}, "scheme": "ed25519"}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return Key.from_dict(sha256(canonical.encode()).hexdigest(), said)


def path_of(manifest: Manifest) -> str:
    """Under which name targets list a manifest."""
    return f"{manifest.id}/{manifest.version}"


def listed(manifest: Manifest, envelope: bytes) -> Listed:
    """What targets say of a manifest.

    Args:
        manifest: the manifest.
        envelope: its exact bytes as devices fetch them.
    """
    hardware = dict.fromkeys(word for one in manifest.variants for word in one.hardware)
    digest = sha256(envelope).digest()
    return Listed(path_of(manifest), digest, len(envelope), manifest.release, tuple(hardware))


def make_root(
    version: int,
    quorums: Mapping[str, Quorum],
    said: Mapping[str, Iterable[bytes]],
    issued_ms: int,
    expires_ms: int,
) -> bytes:
    """A draft of a root.

    Args:
        version: 1 for the first, then one more each.
        quorums: who signs, for each of `ROLES`.
        said: raw public keys of `director` and `flags`, by role.
        issued_ms: instant of the making, UTC.
        expires_ms: instant from which nobody may act on it.
    """
    keys = {str(key.keyid): key for quorum in quorums.values() for key in quorum.keys}
    roles = {
        name: Role([str(key.keyid) for key in quorum.keys], quorum.threshold)
        for name, quorum in quorums.items()
    }
    online = {name: tuple(key.hex() for key in raw) for name, raw in said.items()}
    root = Root(
        version=version,
        expires=_moment(expires_ms),
        keys=keys,
        roles=roles,
        consistent_snapshot=True,
        unrecognized_fields=_section(Custom(issued_ms, keys=online)),
    )
    return _draft(root)


def make_targets(
    version: int,
    manifests: Iterable[Listed],
    floors: Mapping[str, int],
    issued_ms: int,
    expires_ms: int,
) -> bytes:
    """A draft of targets.

    Args:
        version: more than the last.
        manifests: everything that may be installed.
        floors: lowest release that may be installed, by bundle id; 0 where none is named.
        issued_ms: instant of the making, UTC.
        expires_ms: instant from which nobody may act on it.
    """
    entries = {one.path: _target(one) for one in manifests}
    custom = Custom(issued_ms, floors=dict(floors))
    return _draft(Targets(version, None, _moment(expires_ms), entries, None, _section(custom)))


def make_snapshot(version: int, targets: bytes, issued_ms: int, expires_ms: int) -> bytes:
    """A draft of the snapshot that names these targets."""
    meta = {"targets.json": _meta(targets)}
    custom = _section(Custom(issued_ms))
    return _draft(Snapshot(version, None, _moment(expires_ms), meta, custom))


def make_timestamp(version: int, snapshot: bytes, issued_ms: int, expires_ms: int) -> bytes:
    """A draft of the timestamp that names this snapshot."""
    custom = _section(Custom(issued_ms))
    return _draft(Timestamp(version, None, _moment(expires_ms), _meta(snapshot), custom))


def signed_by(data: bytes, *keys: RoleKey) -> bytes:
    """Add signatures to metadata."""
    for key in keys:
        data = key.sign(data)
    return data


def version_of(data: bytes) -> int:
    """The version that metadata says it has."""
    return int(Metadata[Any].from_bytes(data).signed.version)


class OnlineRoles:
    """What a gateway signs with: one key for snapshots, one for timestamps."""

    __slots__ = ("_snapshot", "_timestamp")

    def __init__(self, snapshot: RoleKey, timestamp: RoleKey) -> None:
        self._snapshot, self._timestamp = snapshot, timestamp

    def snapshot(self, version: int, targets: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed snapshot that names these targets."""
        return self._snapshot.sign(make_snapshot(version, targets, issued_ms, expires_ms))

    def timestamp(self, version: int, snapshot: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed timestamp that names this snapshot."""
        return self._timestamp.sign(make_timestamp(version, snapshot, issued_ms, expires_ms))


class Shown(NamedTuple):
    """What metadata say of themselves; nothing of it is verified."""

    role: str
    version: int
    issued_ms: int
    expires_ms: int
    signers: tuple[str, ...]
    """Key ids of the signatures."""
    quorums: dict[str, Quorum]
    """Of a root: who signs for each role."""
    listed: tuple[Listed, ...]
    """Of targets: what may be installed."""
    floors: dict[str, int]
    data: bytes = b""
    """The exact bytes."""


def show(data: bytes) -> Shown:
    """Read metadata for people.

    Raises:
        BadMessage: not role metadata.
    """
    try:
        metadata = Metadata[Any].from_bytes(data)
        held = Held(data, metadata.signed)
    except (DeserializationError, ValueError, TypeError, KeyError) as error:
        raise BadMessage(f"expected role metadata, found {data[:40]!r}..: {error}") from error
    signed, quorums = metadata.signed, {}
    if isinstance(signed, Root):
        quorums = {
            name: Quorum(tuple(signed.keys[ident] for ident in role.keyids), role.threshold)
            for name, role in signed.roles.items()
        }
    entries = tuple(
        Listed(one.path, digest, one.size_bytes, one.release, one.hardware)
        for digest, one in held.listed.items()
    )
    return Shown(
        role=signed.type,
        version=signed.version,
        issued_ms=held.custom.issued_ms,
        expires_ms=held.expires_ms,
        signers=tuple(metadata.signatures),
        quorums=quorums,
        listed=entries,
        floors=held.custom.floors,
        data=data,
    )


def good_signatures(data: bytes, quorum: Quorum) -> int:
    """How many keys of a quorum have really signed metadata.

    Raises:
        BadMessage: not role metadata.
    """
    try:
        metadata = Metadata[Any].from_bytes(data)
    except DeserializationError as error:
        raise BadMessage(f"expected role metadata, found {data[:40]!r}..: {error}") from error
    return sum(_signed(metadata, key) for key in quorum.keys)


def _signed(metadata: Any, key: Key) -> bool:
    signature = metadata.signatures.get(str(key.keyid))
    if signature is None:
        return False
    try:
        key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError:
        return False
    return True


def is_root(data: bytes) -> bool:
    """Whether bytes call themselves a root; nothing of them is believed.

    Raises:
        BadMessage: not role metadata at all.
    """
    try:
        return isinstance(Metadata[Any].from_bytes(data).signed, Root)
    except DeserializationError as error:
        raise BadMessage(f"expected role metadata, found {data[:40]!r}..: {error}") from error


def _draft(signed: Any) -> bytes:
    return Metadata(signed).to_bytes()


def _moment(ms: int) -> datetime:
    """Whole seconds, as metadata spell it."""
    return datetime.fromtimestamp(ms // 1000, UTC)


def _section(custom: Custom) -> dict[str, Any]:
    said = {name: value for name, value in msgspec.to_builtins(custom).items() if value}
    return {CUSTOM: said}


def _target(one: Listed) -> TargetFile:
    about = msgspec.to_builtins(About(one.release, one.hardware))
    hashes = {"sha256": one.digest.hex()}
    return TargetFile(one.size_bytes, hashes, one.path, {"custom": {CUSTOM: about}})


def _meta(data: bytes) -> MetaFile:
    return MetaFile(version_of(data), len(data), {"sha256": sha256(data).hexdigest()})
