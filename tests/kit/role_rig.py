"""A repository of TUF roles with all its keys, and a device that was enrolled with its root.

`Repository` signs whatever a test wants signed, also what nobody should; `RoleRig` is an `agent_rig.Rig`
whose device goes by roles, whose clock is the test's, and whose gateway has no answer for blobs that it
does not have.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.bundle.roles import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Listed,
    Quorum,
    RoleKey,
    listed,
    make_root,
    make_snapshot,
    make_targets,
    make_timestamp,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Signer, Ed25519Verifier
from devicesdk.bundle.trusted_set import Anchor
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import Get, TrustHead, UpdatePolicy, Want
from tests_kit.agent_bundles import DEVICE, SIGNERS, Bundle, Gateway
from tests_kit.agent_charts import CALM
from tests_kit.agent_rig import Rig

NOW_MS = 1_750_000_000_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
WEEK_MS = 7 * DAY_MS
NOBODY = Ed25519Verifier({})
"""What a device with roles is told to believe beside its root: nothing."""


def key(number: int) -> RoleKey:
    """The key that is made of a number."""
    return RoleKey(sha256(b"role key %d" % number).digest())


class Keys:
    """Who signs what at one time."""

    def __init__(self) -> None:
        self.root = [key(1), key(2), key(3)]
        self.targets = [key(11), key(12)]
        self.snapshot, self.timestamp = key(21), key(31)
        self.thresholds = {ROOT: 2, TARGETS: 2}
        self.director = SIGNERS[ROLE_DIRECTOR]
        self.flags = SIGNERS[ROLE_FLAGS]

    def quorums(self) -> dict[str, Quorum]:
        return {
            ROOT: Quorum(tuple(k.public for k in self.root), self.thresholds[ROOT]),
            TARGETS: Quorum(tuple(k.public for k in self.targets), self.thresholds[TARGETS]),
            SNAPSHOT: Quorum((self.snapshot.public,)),
            TIMESTAMP: Quorum((self.timestamp.public,)),
        }


class Repository:
    """Roles of a fleet, from the first root on."""

    def __init__(self, *bundles: Bundle, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms
        self.keys = Keys()
        self.roots: list[bytes] = []
        self.targets = self.snapshot = self.timestamp = b""
        self.versions = {TARGETS: 0, SNAPSHOT: 0, TIMESTAMP: 0}
        self.blobs: dict[bytes, tuple[bytes, int]] = {}
        self.rotate()
        self.release(*bundles)

    @property
    def anchor(self) -> Anchor:
        """What a device of the first hour is enrolled with."""
        return Anchor(self.roots[0])

    def rotate(self, *, signers: list[RoleKey] | None = None, lives_ms: int = YEAR_MS) -> bytes:
        """The next root, of the keys as they are now, signed by old and new root keys."""
        version = len(self.roots) + 1
        said = {
            ROLE_DIRECTOR: [self.keys.director.public],
            ROLE_FLAGS: [self.keys.flags.public],
        }
        draft = make_root(version, self.keys.quorums(), said, self.now_ms, self.now_ms + lives_ms)
        both = {k.id: k for k in [*self.keys.root, *getattr(self, "_old_root", [])]}
        root = signed_by(draft, *(both.values() if signers is None else signers))
        self._old_root = list(self.keys.root)
        self.roots.append(root)
        self._keep(root)
        return root

    def release(
        self,
        *bundles: Bundle,
        floors: dict[str, int] | None = None,
        entries: list[Listed] | None = None,
        lives_ms: int = YEAR_MS,
    ) -> None:
        """List these bundles, and no others."""
        entries = [listed(b.manifest, b.envelope) for b in bundles] if entries is None else entries
        draft = make_targets(
            self._next(TARGETS), entries, floors or {}, self.now_ms, self.now_ms + lives_ms
        )
        self.targets = signed_by(draft, *self.keys.targets)
        self.snap()

    def snap(self, lives_ms: int = YEAR_MS) -> None:
        """A snapshot of the targets, and a timestamp of the snapshot."""
        draft = make_snapshot(
            self._next(SNAPSHOT), self.targets, self.now_ms, self.now_ms + lives_ms
        )
        self.snapshot = signed_by(draft, self.keys.snapshot)
        self.stamp()

    def stamp(self, lives_ms: int = WEEK_MS, version: int | None = None) -> bytes:
        """A fresh timestamp; returns the message that carries it."""
        number = self._next(TIMESTAMP) if version is None else version
        draft = make_timestamp(number, self.snapshot, self.now_ms, self.now_ms + lives_ms)
        self.timestamp = signed_by(draft, self.keys.timestamp)
        for data in (self.targets, self.snapshot):
            self._keep(data)
        return self.head()

    def head(self, *, riding: bool = True, **fields: Any) -> bytes:
        """The message as a gateway publishes it, with these fields changed."""
        hints = b"".join(
            sha256(root).digest() + len(root).to_bytes(4, "big")
            for root in list(reversed(self.roots))[:256]
        )
        fits = riding and len(self.targets) <= limits.RIDING_BYTES_MAX
        said: dict[str, Any] = {
            "timestamp": self.timestamp,
            "root": len(self.roots),
            "roots": hints,
            "snapshot": self.snapshot if riding else b"",
            "targets": self.targets if fits else b"",
            **fields,
        }
        return codec.encode(TrustHead(**said))

    def _next(self, role: str) -> int:
        self.versions[role] += 1
        return self.versions[role]

    def _keep(self, data: bytes) -> None:
        self.blobs[sha256(data).digest()] = (data, limits.CHUNK_BYTES_DEFAULT)


class Blobs(Gateway):
    """Answers with silence where it has nothing."""

    def answer(self, payload: bytes) -> list[bytes]:
        get = codec.decode(Get, payload)
        if get.blob not in self.blobs:
            self.gets.append(get)
            return []
        return super().answer(payload)


class RoleRig(Rig):
    """A device that goes by the roles of a repository."""

    def __init__(
        self,
        repository: Repository,
        *bundles: Bundle,
        factory: Bundle | None = None,
        wall_ms: int | None = NOW_MS,
        **more: Any,
    ) -> None:
        super().__init__(*bundles, factory=factory, **more)
        blobs = self.gateway.blobs
        self.gateway = Blobs()
        self.gateway.blobs = blobs
        self.repository, self.anchor, self.wall_ms = repository, repository.anchor, wall_ms
        self.generation = 0
        self.serve()

    def serve(self) -> None:
        """The gateway has what the repository has."""
        self.gateway.blobs.update(self.repository.blobs)

    def boot(self) -> None:
        self.boot_id += 1
        self._power += 1
        self._drop_connection()
        if self._burst is not None:
            self._count_executed(*self._burst, lost=True)
        self.agent = Agent.restore(
            self.config,
            self.identity,
            NOBODY,
            self.seed,
            self.disk.read("state"),
            self.disk.read("map"),
            anchor=self.anchor,
            trust=self.disk.read("trust"),
        )
        self.hear(hear.Booted(self.boot_id, self.wall_ms, bearer_up=True, conditions=CALM))

    def start(self, **head: Any) -> RoleRig:
        """Boot, connect, and hear the repository's newest state."""
        self.boot()
        self.tell(**head)
        self.run(lambda: self.haves)
        return self

    def tell(self, payload: bytes | None = None, **head: Any) -> None:
        """The gateway publishes the newest state of the roles."""
        self.serve()
        self.publish(topics.TIMESTAMP, self.repository.head(**head) if payload is None else payload)

    def want(self, bundle: Bundle, signer: Ed25519Signer | None = None, **fields: Any) -> None:
        """The director wants a bundle of this device."""
        self.generation = fields.pop("generation", self.generation + 1)
        said: dict[str, Any] = {
            "device": DEVICE,
            "generation": self.generation,
            "deployment": f"r{self.generation}",
            "manifest": bundle.digest,
            "manifest_bytes": len(bundle.envelope),
            "policy": UpdatePolicy(trial_ms=5_000),
            **fields,
        }
        signer = signer or self.repository.keys.director
        self.publish(topics.WANT, signer.seal(codec.encode(Want(**said))))

    def settles(self, bundle: Bundle, for_s: int = 600) -> bool:
        """Whether the device runs a bundle for good after a while."""
        end = self.now + for_s * 10**9
        self.run(lambda: self.committed(bundle) or self.now >= end, steps_max=200_000)
        return self.committed(bundle)

    def answer_time(self, bundle: Bundle, utc_ms: int) -> None:
        """The director answers a question for the time, as the gateway does."""
        self.want(bundle, nonce=self.reported().nonce, issued_ms=utc_ms)

    def fetched(self, blob: bytes) -> bool:
        """Whether the device ever asked for a blob."""
        return any(get.blob == blob for get in self.gateway.gets)
