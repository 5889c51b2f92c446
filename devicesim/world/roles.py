"""The owner of a world's fleet: all keys of the TUF roles, made of its seed, and what is signed with them.

Decides who signs what at every time of a run, and what a rotation changes. Leaves out what the gateway says
and what devices believe: both run the code that runs on real ones. The gateway's signers ask for the keys
of the moment, so that a rotation reaches a gateway that runs.

Rules: the same seed gives the same keys and signatures; a rotated key is named by role and count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from devicesdk.bundle.roles import (
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Listed,
    Quorum,
    RoleKey,
    make_root,
    make_snapshot,
    make_targets,
    make_timestamp,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Signer, Signer
from devicesdk.wire.timebase import DAY, MS

SHARES: Final = {ROOT: (3, 2), TARGETS: (2, 2), SNAPSHOT: (1, 1), TIMESTAMP: (1, 1)}
"""Keys and threshold of each role."""
LIVES_MS: Final = 10 * 365 * DAY // MS
"""Of root and targets: their expiry is not what drills are about, that of the timestamp is."""


class Hand:
    """A signer whose key may be another one each time it signs."""

    __slots__ = ("_key",)

    def __init__(self, key: Callable[[], Signer]) -> None:
        self._key = key

    def seal(self, payload: bytes) -> bytes:
        """Sign with the key of the moment."""
        return self._key().seal(payload)


class WorldRoles:
    """The keys of one world.

    Args:
        seed: of the world.
        start_ms: wall-clock UTC at instant 0.
    """

    __slots__ = ("_counts", "_listed", "_old_root", "_seed", "_start_ms", "roots", "versions")

    def __init__(self, seed: int, start_ms: int) -> None:
        self._seed, self._start_ms = seed, start_ms
        self._counts = dict.fromkeys((*ROLES, ROLE_DIRECTOR, ROLE_FLAGS), 0)
        self._listed: tuple[Listed, ...] = ()
        self._old_root: list[RoleKey] = []
        self.roots: list[bytes] = []
        self.versions = 0
        self.rotate((), 0)

    # -- keys -----------------------------------------------------------------------------------

    def keys(self, role: str) -> list[RoleKey]:
        """The private keys of a TUF role as they are now."""
        return [RoleKey(self._entropy(f"{role}.{n}", role)) for n in range(SHARES[role][0])]

    def online(self, role: str) -> Ed25519Signer:
        """The key of `director` or `flags` as it is now."""
        return Ed25519Signer(role, self._entropy(role, role))

    def hand(self, role: str) -> Hand:
        """What a gateway signs with as `director` or `flags`."""
        kept: dict[int, Ed25519Signer] = {}

        def now() -> Ed25519Signer:
            count = self._counts[role]
            if count not in kept:
                kept[count] = self.online(role)
            return kept[count]

        return Hand(now)

    def _entropy(self, name: str, role: str) -> bytes:
        text = f"{self._seed}\0role key\0{name}\0{self._counts[role]}"
        return blake2b(text.encode(), digest_size=32).digest()

    # -- offline --------------------------------------------------------------------------------

    def rotate(self, roles: Iterable[str], now: int) -> bytes:
        """Replace the keys of these roles; returns the root that says so, signed by old and new."""
        for role in roles:
            self._counts[role] += 1
        issued = self._utc_ms(now)
        quorums = {
            role: Quorum(tuple(key.public for key in self.keys(role)), SHARES[role][1])
            for role in ROLES
        }
        said = {role: [self.online(role).public] for role in (ROLE_DIRECTOR, ROLE_FLAGS)}
        draft = make_root(len(self.roots) + 1, quorums, said, issued, issued + LIVES_MS)
        new = self.keys(ROOT)
        signers = {key.id: key for key in (*new, *self._old_root)}
        self._old_root = new
        self.roots.append(signed_by(draft, *signers.values()))
        return self.roots[-1]

    def targets(self, manifests: Iterable[Listed] | None, now: int) -> bytes:
        """Targets that list these manifests (None: as before), signed by the keys of now."""
        if manifests is not None:
            self._listed = tuple(manifests)
        self.versions += 1
        issued = self._utc_ms(now)
        draft = make_targets(self.versions, self._listed, {}, issued, issued + LIVES_MS)
        return signed_by(draft, *self.keys(TARGETS))

    def spoiled(self, manifests: Iterable[Listed], now: int, *, expired: bool) -> bytes:
        """Targets that nobody should believe: expired yesterday, or signed by keys that no root names."""
        self.versions += 1
        issued = self._utc_ms(now)
        lives = -DAY // MS if expired else LIVES_MS
        draft = make_targets(
            self.versions,
            tuple(manifests),
            {},
            issued - 2 * DAY // MS if expired else issued,
            issued + lives,
        )
        gone = [RoleKey(self._entropy(f"gone.{n}", TARGETS)) for n in range(SHARES[TARGETS][0])]
        return signed_by(draft, *(self.keys(TARGETS) if expired else gone))

    # -- online: what the gateway asks for ------------------------------------------------------

    def snapshot(self, version: int, targets: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed snapshot."""
        return signed_by(
            make_snapshot(version, targets, issued_ms, expires_ms), *self.keys(SNAPSHOT)
        )

    def timestamp(self, version: int, snapshot: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed timestamp."""
        return signed_by(
            make_timestamp(version, snapshot, issued_ms, expires_ms), *self.keys(TIMESTAMP)
        )

    def _utc_ms(self, now: int) -> int:
        return self._start_ms + now // MS
