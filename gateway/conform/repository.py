"""The roles of a harness: a small repository of its own, and the message that carries its newest state.

Decides keys, versions and lives of the metadata, and what a forged root looks like. Leaves out what metadata are
(devicesdk/bundle/roles.py), when they are said (rotations.py) and who serves them (desk.py).

Rules: everything is made from one secret seed beside the plain keys, and all roots are kept, so a device that was
enrolled with the first one can be examined again; versions of the other roles are seconds of UTC at least, so they grow from run
to run without being kept.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devicesdk.bundle.roles import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    OnlineRoles,
    Quorum,
    RoleKey,
    listed,
    make_root,
    make_targets,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Signer
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import TrustHead
from gateway.conform.parcels import Blob, Parcel

FOLDER: Final = "roles"
SEED_FILE: Final = "seed"
SEED_BYTES: Final = 32
ROOTS_MAX: Final = limits.ROOT_HINTS_BYTES_MAX // limits.ROOT_HINT_BYTES
YEAR_MS: Final = 365 * 86_400_000
WEEK_MS: Final = 7 * 86_400_000


class Repository:
    """Root, targets, snapshot, timestamp; and the keys of director and flags, which the root lists.

    Args:
        folder: of the harness's keys; made if it is missing.
        now_ms: UTC.

    Raises:
        ValueError: what is there is not a repository that this made.
    """

    def __init__(self, folder: Path, now_ms: int) -> None:
        self._place = folder / FOLDER
        self._now_ms = now_ms
        self._version = now_ms // 1000
        self._seed = self._secret()
        self.roots = self._kept()
        self._targets = self._snapshot = self._timestamp = b""
        if not self.roots:
            self._keep(self._root(1))
        self.release()

    @property
    def anchor(self) -> Path:
        """The file that a device has to be enrolled with."""
        return self._root_file(1)

    # -- keys --------------------------------------------------------------------------------

    def signer(self, role: str, version: int = 0) -> Ed25519Signer:
        """Who signs for director or flags under a root of this version; 0: the newest."""
        return Ed25519Signer(role, self._raw(role, version or len(self.roots)))

    def _raw(self, name: str, version: int = 0) -> bytes:
        return sha256(b"%b %b %d" % (self._seed, name.encode(), version)).digest()

    def _keys(self, role: str, count: int) -> tuple[RoleKey, ...]:
        return tuple(RoleKey(self._raw(role, number)) for number in range(count))

    # -- metadata ----------------------------------------------------------------------------

    def release(self, *parcels: Parcel) -> None:
        """List these, and nothing else; all three roles get a newer version."""
        self._version += 1
        version, now_ms = self._version, self._now_ms
        entries = [listed(parcel.said, parcel.manifest.data) for parcel in parcels]
        draft = make_targets(version, entries, {}, now_ms, now_ms + YEAR_MS)
        self._targets = signed_by(draft, *self._keys(TARGETS, 2))
        online = OnlineRoles(*self._keys(SNAPSHOT, 1), *self._keys(TIMESTAMP, 1))
        self._snapshot = online.snapshot(version, self._targets, now_ms, now_ms + WEEK_MS)
        self._timestamp = online.timestamp(version, self._snapshot, now_ms, now_ms + WEEK_MS)

    def rotate(self) -> None:
        """The next root, with other keys for director and flags.

        Raises:
            ValueError: a device could not follow so many.
        """
        if len(self.roots) >= ROOTS_MAX:
            raise ValueError(
                f"expected fewer than {ROOTS_MAX} rotations, found {len(self.roots)}; begin with a new"
                " folder of keys, and enrol the device again"
            )
        self._keep(self._root(len(self.roots) + 1))

    def forged_root(self) -> bytes:
        """The next root as one stolen root key can make it: below the threshold."""
        return self._root(len(self.roots) + 1, signatures=1)

    def _root(self, version: int, signatures: int = 2) -> bytes:
        root, targets = self._keys(ROOT, 3), self._keys(TARGETS, 2)
        quorums = {
            ROOT: Quorum(tuple(key.public for key in root), 2),
            TARGETS: Quorum(tuple(key.public for key in targets), 2),
            SNAPSHOT: Quorum(tuple(key.public for key in self._keys(SNAPSHOT, 1))),
            TIMESTAMP: Quorum(tuple(key.public for key in self._keys(TIMESTAMP, 1))),
        }
        said = {
            role: [Ed25519Signer(role, self._raw(role, version)).public]
            for role in (ROLE_DIRECTOR, ROLE_FLAGS)
        }
        draft = make_root(version, quorums, said, self._now_ms, self._now_ms + YEAR_MS)
        return signed_by(draft, *root[:signatures])

    # -- what is said ------------------------------------------------------------------------

    def head(self, *more: bytes) -> bytes:
        """The message of `t/timestamp`; `more` roots are named after those that are in force."""
        roots = [*self.roots, *more]
        hints = b"".join(
            sha256(root).digest() + len(root).to_bytes(4, "big") for root in reversed(roots)
        )
        return codec.encode(
            TrustHead(
                timestamp=self._timestamp,
                root=len(roots),
                roots=hints[: limits.ROOT_HINTS_BYTES_MAX],
                snapshot=self._snapshot,
                targets=self._targets,
            )
        )

    def blobs(self, *more: bytes) -> list[Blob]:
        """What a device may fetch without a want."""
        data = [*self.roots, self._targets, self._snapshot, *more]
        return [Blob(one, limits.CHUNK_BYTES_DEFAULT) for one in data]

    # -- files -------------------------------------------------------------------------------

    def _secret(self) -> bytes:
        self._place.mkdir(parents=True, exist_ok=True)
        file = self._place / SEED_FILE
        if not file.exists():
            file.touch(0o600)
            file.write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
        seed = file.read_bytes()
        if len(seed) != SEED_BYTES:
            raise ValueError(
                f"expected {SEED_BYTES} bytes in {file}, found {len(seed)}; remove the folder"
            )
        return seed

    def _kept(self) -> list[bytes]:
        roots: list[bytes] = []
        while (file := self._root_file(len(roots) + 1)).exists():
            roots.append(file.read_bytes())
        return roots

    def _keep(self, root: bytes) -> None:
        self._root_file(len(self.roots) + 1).write_bytes(root)
        self.roots.append(root)

    def _root_file(self, version: int) -> Path:
        return self._place / f"{version}.root.json"
