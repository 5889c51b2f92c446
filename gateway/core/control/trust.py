"""The TUF roles of a tenant, as its gateway keeps and says them.

Decides which root and targets are the newest, makes the snapshot and the timestamp that follow from them,
and renews both before they expire. Leaves out what devices believe (devicesdk/bundle/trusted_set.py), the
signing of root and targets, whose keys are elsewhere, and who may fetch a blob (transfers).

Rules: a root is taken when the one before it and it itself vouch for it, targets when the newest root
does and they have not expired, so that nothing is said that devices would refuse; nothing is taken that was made in the future, because no
device that has seen it would believe an earlier instant again; versions only grow; what was signed is a row
before it is said; the timestamp is retained state, so the newest replaces all others. A gateway whose keys
the root does not name says nothing new, and says so in a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

from devicesdk.bundle.roles import is_root, show, version_of
from devicesdk.bundle.trusted_set import Anchor, TrustedSet
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.errors import BadMessage, BadSignature, ProtocolError
from devicesdk.wire.messages import TrustHead
from devicesdk.wire.timebase import DAY, MS, format_duration
from gateway.core import notes, rows
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.effects import KeepBlob, Note, Persist
from gateway.core.internal import BlobKnown
from gateway.core.limits import ControlLimits
from gateway.core.rows import RoleRow

TARGETS: Final = "targets"
SNAPSHOT: Final = "snapshot"
TIMESTAMP: Final = "timestamp"
FLOOR: Final = "floor"
"""Not a role: the version below which nothing is signed, after a restore (gateway/core/recovery.py)."""
SNAPSHOT_LIVES_NS: Final = 365 * DAY
"""The timestamp is what is renewed: it vouches for the snapshot."""
CLOCKS_APART_MAX_NS: Final = DAY
"""How far the clock of whoever signs may be ahead of the gateway's."""


class RoleSigners(Protocol):
    """Makes signed snapshots and timestamps; instants are UTC, ms."""

    def snapshot(self, version: int, targets: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed snapshot that names these targets."""
        ...

    def timestamp(self, version: int, snapshot: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed timestamp that names this snapshot."""
        ...


class Trust:
    """The roles of one tenant.

    Args:
        limits: the topic root, how long a timestamp lives, when it is renewed.
        signers: of snapshot and timestamp; None: there are no roles.
    """

    __slots__ = ("_floor", "_limits", "_outbox", "_roles", "_set", "_signers", "_topic", "due")

    def __init__(self, limits: ControlLimits, outbox: Outbox, signers: RoleSigners | None) -> None:
        self._limits, self._outbox, self._signers = limits, outbox, signers
        self._topic = topics.Topics(limits.root).timestamp
        self._floor = 1
        self._roles: dict[str, RoleRow] = {}
        """By ``root/{n}``, targets, snapshot, timestamp."""
        self._set: TrustedSet | None = None
        self.due: tuple[int, str] | None = None
        """When the timestamp has to be renewed, UTC ns."""

    @property
    def on(self) -> bool:
        """Whether devices go by roles: a root is known."""
        return self._set is not None

    @property
    def root(self) -> int:
        """Version of the newest root; 0: there is none."""
        return 0 if self._set is None else self._set.version

    @property
    def rows(self) -> Mapping[str, RoleRow]:
        """Metadata by role; for reading."""
        return self._roles

    def lists(self, manifest: bytes, size_bytes: int) -> bool:
        """Whether the newest targets list a manifest; always without roles."""
        if self._set is None:
            return True
        listing = self._set.listing(manifest)
        return listing is not None and listing.size_bytes == size_bytes

    # -- taking in ------------------------------------------------------------------------------

    def register(self, data: bytes, at: int, out: Batch) -> bool:
        """Take a root or targets in; True when a root came, after which everything signed is said anew."""
        if self._signers is None:
            out.append(
                Note(notes.ROLE_REFUSED, "this gateway has no keys for timestamp and snapshot")
            )
            return False
        try:
            _refuse_future(data, at)
            _refuse_past(data, at)
            kind = self._take(data, out)
        except ProtocolError as error:
            out.append(Note(notes.ROLE_REFUSED, str(error)[:200]))
            return False
        if not kind:
            return False
        assert self._set is not None
        self._follow(at, out)
        out.append(Note(notes.ROLE_REGISTERED, kind, self._set.version))
        return kind == "root"

    def _take(self, data: bytes, out: Batch) -> str:
        """Take it in as what it is; empty when it is known already."""
        if any(row.data == data for row in self._roles.values()):
            return ""
        if self._set is None:
            self._set = Anchor(data).born
        elif is_root(data):
            self._set = self._set.with_root(data)
        else:
            self._set.check_targets(data)
            self._newer(data)
            self._keep(TARGETS, data, out)
            return TARGETS
        self._keep(f"root/{self._set.version}", data, out)
        return "root"

    def _newer(self, data: bytes) -> None:
        """Hold targets against those before them.

        Raises:
            BadMessage: they are not newer.
        """
        old = self._roles.get(TARGETS)
        before, after = 0 if old is None else version_of(old.data), version_of(data)
        if after <= before:
            raise BadMessage(f"expected targets newer than {before}, found {after}")

    # -- saying ---------------------------------------------------------------------------------

    def _follow(self, at: int, out: Batch) -> None:
        """Make the snapshot and the timestamp that follow from root and targets."""
        targets = self._roles.get(TARGETS)
        if targets is None or self._signers is None or self._set is None:
            return
        lives = at + SNAPSHOT_LIVES_NS
        snapshot = self._signers.snapshot(self._next(SNAPSHOT), targets.data, at // MS, lives // MS)
        self._keep(SNAPSHOT, snapshot, out)
        self._stamp(at, out)

    def _stamp(self, at: int, out: Batch) -> None:
        """A fresh timestamp for the snapshot, said to all."""
        assert self._signers is not None
        snapshot = self._roles[SNAPSHOT].data
        expires = at + self._limits.timestamp_lives_ns
        stamp = self._signers.timestamp(self._next(TIMESTAMP), snapshot, at // MS, expires // MS)
        row = RoleRow(stamp)
        self._roles[TIMESTAMP] = row
        out.append(Persist(rows.ROLE, TIMESTAMP, row))
        if self._vouched(out):
            self.publish(out)

    def _vouched(self, out: Batch) -> bool:
        """Whether devices of the newest root would take what we are about to say."""
        assert self._set is not None
        try:
            chain = self._set.with_timestamp(self._roles[TIMESTAMP].data)
            missing = chain.missing()
            if missing is not None and missing.role == SNAPSHOT:
                chain = chain.with_snapshot(self._roles[SNAPSHOT].data)
                missing = chain.missing()
            if missing is not None:
                chain = chain.with_targets(self._roles[TARGETS].data)
        except (BadMessage, BadSignature) as error:
            out.append(Note(notes.ROLE_WAITS, str(error)[:200]))
            self.due = None  # with these keys it would only happen again
            return False
        self._set = chain
        assert chain.timestamp is not None
        left = self._limits.timestamp_lives_ns - self._limits.timestamp_renewed_ns
        self.due = chain.timestamp.expires_ms * MS - left, "the timestamp is renewed"
        return True

    def publish(self, out: Batch) -> None:
        """Say the newest state of the roles, if devices can be told anything."""
        if self._set is None or self._set.timestamp is None or self._set.missing() is not None:
            return
        snapshot, targets = self._roles[SNAPSHOT].data, self._roles[TARGETS].data
        head = TrustHead(
            timestamp=self._set.timestamp.data,
            root=self._set.version,
            roots=self._hints(),
            snapshot=snapshot if len(snapshot) <= limits.RIDING_BYTES_MAX else b"",
            targets=targets if len(targets) <= limits.RIDING_BYTES_MAX else b"",
        )
        self._outbox.put(self._topic, topics.TIMESTAMP, codec.encode(head), out)

    def _hints(self) -> bytes:
        """Digest and size of each root, newest first; a fleet of one root needs none."""
        most = limits.ROOT_HINTS_BYTES_MAX // limits.ROOT_HINT_BYTES
        hints = []
        for version in range(self.root, max(1, self.root - most), -1):
            row = self._roles.get(f"root/{version}")
            if row is None:
                break
            hints.append(sha256(row.data).digest() + len(row.data).to_bytes(4, "big"))
        return b"".join(hints)

    # -- time -----------------------------------------------------------------------------------

    def run(self, at: int, out: Batch) -> None:
        """Renew the timestamp, if it is time; the snapshot too, in its last half."""
        if self.due is None or at < self.due[0]:
            return
        assert self._set is not None
        snapshot = self._set.snapshot
        if snapshot is None or snapshot.expires_ms * MS - at < SNAPSHOT_LIVES_NS // 2:
            self._follow(at, out)
        else:
            self._stamp(at, out)

    # -- rows -----------------------------------------------------------------------------------

    def restore(self, key: str, row: RoleRow) -> None:
        """Take back a durable row."""
        if key == FLOOR:
            self._floor = int(row.data)
            return
        self._roles[key] = row

    def restored(self, out: Batch) -> None:
        """All rows are back: believe the newest root, and tell transfers what may be fetched."""
        roots = sorted(int(key[5:]) for key in self._roles if key.startswith("root/"))
        if not roots:
            return
        self._set = Anchor(self._roles[f"root/{roots[-1]}"].data).born
        if TIMESTAMP in self._roles:
            self._vouched([])
        for key, row in self._roles.items():
            if key != TIMESTAMP:
                out.append(_known(row.data))

    def started(self, at: int, out: Batch) -> None:
        """The time is known, and these may be other keys than the last process had: what they cannot
        vouch for is signed anew."""
        if self._set is not None and (self._set.timestamp is None or self._set.missing()):
            self._follow(at, out)

    def keep_all(self, out: Batch) -> None:
        """Say the blobs of all roles again: a crash may have come between a row and its blob."""
        out += [KeepBlob(row.data) for key, row in self._roles.items() if key != TIMESTAMP]

    def _keep(self, key: str, data: bytes, out: Batch) -> None:
        row = RoleRow(data)
        self._roles[key] = row
        out.append(Persist(rows.ROLE, key, row))
        out.append(KeepBlob(data))
        out.append(_known(data))

    def _next(self, key: str) -> int:
        row = self._roles.get(key)
        return self._floor if row is None else max(version_of(row.data) + 1, self._floor)


def _refuse_future(data: bytes, at: int) -> None:
    """Hold the instant of a role's making against the gateway's time.

    Raises:
        BadMessage: it is further ahead than clocks may be apart, or these are no metadata.
    """
    ahead = show(data).issued_ms * MS - at
    if ahead > CLOCKS_APART_MAX_NS:
        raise BadMessage(
            f"expected a role that was made by now, found one of {format_duration(ahead)} from now: the clock "
            f"of this gateway, or of whoever signed, is wrong"
        )


def _refuse_past(data: bytes, at: int) -> None:
    """Hold the expiry of targets against the gateway's time; an old root may be a link of the chain.

    Raises:
        BadMessage: no device would act on them, and none could be updated until there are newer ones.
    """
    expires = show(data).expires_ms * MS
    if not is_root(data) and expires <= at:
        raise BadMessage(
            f"expected targets that hold, found some that expired {format_duration(at - expires)} ago: let "
            f"their owner sign them anew"
        )


def _known(data: bytes) -> Any:
    digest = sha256(data).digest()
    return BlobKnown(digest, len(data), limits.CHUNK_BYTES_DEFAULT, public=True)
