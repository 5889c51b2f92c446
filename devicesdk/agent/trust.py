"""What this device believes of what it may install: the TUF roles, from its enrolment on.

Decides which role metadata is needed next and what becomes of it, and whether a wanted manifest may be
installed. Leaves out the roles' own rules (devicesdk/bundle/trusted_set.py), the time (proved_time.py),
how blobs come (download.py) and the life of an update (update.py).
A device that was enrolled with keys only has no roles: everything here is then off.

    heard t/timestamp > root n+1, n+2 ... > timestamp > snapshot > targets > may this be installed?

Theory of operation. A newer root is fetched as soon as it is heard of, whatever else goes on, because it
may revoke the keys of wants, flags and kills; the rest of the chain is walked when an update asks
`why_not`. One fetch is under way at a time, and it takes the download over from an image, which goes on
where it stopped. What time it is as far as anybody has proved it is told in proved_time.py.

Rules: what was taken in is durable before anything depends on it; a blob that was refused is not fetched
again before another message comes; every wait has a timer, or ends with a message.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from devicesdk.agent.download import DONE, Download, Source
from devicesdk.agent.effects import Save
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.proved_time import ProvedTime
from devicesdk.agent.shared import Shared
from devicesdk.agent.stimuli import Arrived
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS, payload_named
from devicesdk.wire import limits, topics
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import UpdateState, Want
from devicesdk.wire.timebase import HOUR, MS, NEVER, SECOND

if TYPE_CHECKING:
    from devicesdk.agent.snapshot import State
    from devicesdk.bundle.manifest import Manifest
    from devicesdk.bundle.trusted_set import Anchor, TrustedSet
    from devicesdk.wire.messages import TrustHead

TRUST_FILE: Final = "trust"
RELEASES_MAX: Final = 64
"""Bundle ids whose highest release is remembered; full: the one that was set first goes."""
RETRY_NS_MIN: Final = 30 * SECOND
RETRY_NS_MAX: Final = HOUR
ASIDE_KINDS: Final = (topics.KILL, topics.FLAGS, topics.WANT)
"""Of each the last message of an unknown signer is kept until a newer root has come."""

WAITS: Final = "trust"
"""Why an update waits while role metadata is on its way, or was never heard of."""
EXPIRED: Final = "trust:expired"
CLOCK: Final = "trust:clock"
REFUSED: Final = "trust:refused"
UNLISTED: Final = "trust:unlisted"

Verdict = tuple[UpdateState, str]


class Trust:
    """The roles of one device.

    Args:
        shared: common ground; its verifier is replaced as roots come.
        download: the one transfer.
        state: what the device knows.
        anchor: what it was enrolled with; None: no roles.
        saved: the file ``trust``.
    """

    __slots__ = (
        "_anchor", "_aside", "_download", "_failures", "_fetching", "_head", "_refused", "_releases", "_saved", "_set",
        "_shared", "_time", "at", "director_changed", "flags_changed", "serial",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        download: Download,
        state: State,
        anchor: Anchor | None,
        saved: bytes | None,
    ) -> None:
        self._shared, self._download, self._anchor = shared, download, anchor
        self._set: TrustedSet | None = None if anchor is None else anchor.load(saved)
        self._saved = saved
        self._head: TrustHead | None = None
        """The last message; unverified but for what was taken into the set."""
        self._fetching = ""
        """The role under way; empty: none."""
        self._refused = b""
        """Digest of what was fetched, or heard, and refused."""
        self.at = NEVER
        """When a pause after a failed fetch is over."""
        self._failures = 0
        self._time = ProvedTime(shared)
        self._aside: dict[str, Arrived] = {}
        self._releases = dict(state.releases)
        self.serial = 0
        """Changes with everything that `why_not` depends on but time."""
        self.director_changed = self.flags_changed = False
        """A root revoked a key of that role; whoever acts on it says so."""
        if self._set is not None:
            shared.roles = True
            shared.verifier = self._set.verifier

    @property
    def enabled(self) -> bool:
        """Whether this device goes by roles."""
        return self._set is not None

    @property
    def nonce(self) -> int:
        """Number that asks for the time; 0: nothing is asked."""
        return self._time.nonce

    @property
    def fetching(self) -> bool:
        """Whether the download is ours."""
        return bool(self._fetching)

    @property
    def root(self) -> int:
        """Version of the root that is trusted; 0 without roles."""
        return 0 if self._set is None else self._set.version

    @property
    def releases(self) -> tuple[tuple[str, int], ...]:
        """Highest release that was committed, by bundle id."""
        return tuple(self._releases.items())

    def is_past(self, instant_ms: int, now: int) -> bool | None:
        """Whether an instant has passed; None: only our own clock says so, and the time was asked for.

        Without roles nobody could be asked: the device's own clock is believed.
        """
        own = self._shared.wall_ms(now)
        if self._set is None:
            return own is not None and own > instant_ms
        return self._time.is_past(instant_ms, own, now)

    def proved_ms(self, now: int) -> int:
        """UTC as far as it is proved, ms; 0: nobody has said anything."""
        return 0 if self._set is None else self._time.proved_ms(now)

    def time_told(self, want: Want, now: int) -> bool:
        """A want of the director's may carry the answer to our question; True when it did."""
        if not self._time.told(want.nonce, want.issued_ms, now):
            return False
        self.serial += 1
        return True

    def booted(self, now: int) -> None:
        """The clock of this boot begins."""
        if self._set is not None:
            self._time.floor(self._set.floor_ms, now)

    # -- what comes -----------------------------------------------------------------------------

    def heard(self, payload: bytes, now: int) -> None:
        """The newest state of the roles came.

        Raises:
            ProtocolError: not such a message.
        """
        if self._anchor is None:
            return
        head = self._anchor.head(payload)
        if head is self._head:
            return
        self._head, self._refused = head, b""
        self.at, self._failures = NEVER, 0
        self.serial += 1
        self._catch_up(now)

    def online(self, now: int) -> None:
        """Publishing makes sense again."""
        if not self.fetching and self.at == NEVER:
            self._catch_up(now)

    def due(self, now: int) -> bool:
        """A pause after a failed fetch is over; True when it was."""
        if now < self.at:
            return False
        self.at = NEVER
        self.serial += 1
        self._catch_up(now)
        return True

    def fetched(self, now: int) -> None:
        """The download, which is ours, ended."""
        download, role = self._download, self._fetching
        source = download.source
        assert source is not None, "a fetch of ours without a source"
        self._fetching = ""
        if download.ended == DONE:
            data = download.take()
            download.stop()
            self._take(role, data, source.blob, now)
        else:
            download.stop()
            self._pause(now)
        self.serial += 1
        self._catch_up(now)

    def _pause(self, now: int) -> None:
        self._failures += 1
        pause = min(RETRY_NS_MIN << min(self._failures - 1, 20), RETRY_NS_MAX)
        wait = self._shared.dice.between(pause // 2, pause)
        self._shared.note(NoteKind.ROLE_LATE, self._failures, wait // MS)
        self.at = now + wait

    def set_aside(self, arrived: Arrived) -> bool:
        """A message whose signer is not known: kept while a root that names him may be on its way."""
        if self._set is None or arrived.kind not in ASIDE_KINDS:
            return False
        if self._head is not None and self._head.root <= self._set.version:
            return False
        self._aside[arrived.kind] = arrived
        return True

    def taken_aside(self) -> list[Arrived]:
        """Hand back what was set aside, once there is no newer root to be had."""
        if not self._aside or self._set is None or self._head is None:
            return []
        if self._head.root > self._set.version and not self._refused:
            return []
        aside, self._aside = list(self._aside.values()), {}
        return aside

    # -- roots ----------------------------------------------------------------------------------

    def _catch_up(self, now: int) -> None:
        """Fetch the next root, if there is one that may be fetched now."""
        if self._head is None or self._set is None or self.fetching or self.at != NEVER:
            return
        if self._head.root > self._set.version:
            blob = self._head.root_blob(self._set.version + 1)
            if blob is None:
                self._shared.note(NoteKind.ROOT_MISSING, self._set.version, self._head.root)
            elif 0 < blob[1] <= limits.ROOT_ROLE_BYTES_MAX:
                self._fetch("root", *blob, now)

    def _fetch(self, role: str, blob: bytes, size_bytes: int, now: int) -> None:
        if blob == self._refused:
            return
        self._download.stop()
        self._fetching = role
        source = Source(blob, size_bytes, limits.CHUNK_BYTES_DEFAULT, TRUST_FILE, None, True)
        self._download.begin(source, None, now)

    def _take(self, role: str, data: bytes, name: bytes, now: int) -> None:
        """Take metadata in, or remember that it was refused."""
        before = self._set
        assert before is not None, "metadata without roles"
        try:
            if role == "root":
                after = before.with_root(data)
            elif role == "timestamp":
                after = before.with_timestamp(data)
            elif role == "snapshot":
                after = before.with_snapshot(data)
            else:
                after = before.with_targets(data)
        except ProtocolError:
            self._refused = name
            self._shared.note(NoteKind.ROLE_REFUSED, _NUMBERS[role], before.version)
            return
        if after is before:
            return
        self._set = after
        self._time.floor(after.floor_ms, now)
        self.serial += 1
        if after.version != before.version:
            self._adopt_keys(before, after)
            self._shared.note(NoteKind.ROOT_TAKEN, after.version)

    def _adopt_keys(self, before: TrustedSet, after: TrustedSet) -> None:
        self._shared.verifier = after.verifier
        if _lost(before.keys.get(ROLE_DIRECTOR, ()), after.keys.get(ROLE_DIRECTOR, ())):
            self.director_changed = True
        if _lost(before.keys.get(ROLE_FLAGS, ()), after.keys.get(ROLE_FLAGS, ())):
            self.flags_changed = True

    # -- may this be installed ------------------------------------------------------------------

    def why_not(self, want: Want, now: int) -> Verdict | None:
        """Why what is wanted may not be installed now; None: it may.

        A verdict of `WAITING` changes with what comes, any other is final. The time of this call is the
        time that everything is judged by: an update that was let go on is not stopped by a clock.
        """
        past = self.is_past(want.expires_ms, now) if want.expires_ms else False
        if past is not False:
            final = (UpdateState.CANCELED, "expired")
            return final if past else (UpdateState.WAITING, CLOCK)
        if self._set is None:
            return None
        waits = self._walk(now)
        self.keep()
        if waits:
            return UpdateState.WAITING, waits
        return self._judge(want)

    def _walk(self, now: int) -> str:
        """Take in what is there, fetch what is not; why an update has to wait, empty: it has not."""
        head = self._head
        if head is None or self.fetching or self.at != NEVER:
            return WAITS
        self._catch_up(now)
        if self._fetching:
            return WAITS
        if not self._is_held(head.timestamp) and head.timestamp != self._refused:
            self._take("timestamp", head.timestamp, head.timestamp, now)
        return self._walk_down(head, now)

    def _walk_down(self, head: TrustHead, now: int) -> str:
        """From the timestamp that is trusted to its targets. An older one was refused, and changes
        nothing: what is newer and was proved goes on to hold."""
        while True:
            trusted = self._set
            assert trusted is not None, "a walk without roles"
            late = self._expired(trusted, now)
            if late:
                return late
            missing = trusted.missing()
            if missing is None:
                return "" if trusted.targets is not None else REFUSED
            if missing.digest == self._refused:
                return REFUSED
            riding = head.snapshot if missing.role == "snapshot" else head.targets
            if sha256(riding).digest() != missing.digest:
                self._fetch(*missing, now)
                return WAITS
            self._take(missing.role, riding, missing.digest, now)

    def _is_held(self, timestamp: bytes) -> bool:
        held = None if self._set is None else self._set.timestamp
        return held is not None and held.data == timestamp

    def _expired(self, trusted: TrustedSet, now: int) -> str:
        """Why an update has to wait for fresh roles, or for the time; empty: it has not."""
        if trusted.expired(self._time.proved_ms(now)):
            return EXPIRED
        doubt = self._time.doubt_ms(self._shared.wall_ms(now), now)
        if doubt is None or not trusted.expired(doubt):
            return ""
        self._time.ask()
        return CLOCK

    def _judge(self, want: Want) -> Verdict | None:
        assert self._set is not None, "roles without a root"
        listing = self._set.listing(want.manifest)
        if listing is None:
            return UpdateState.WAITING, UNLISTED
        if listing.size_bytes != want.manifest_bytes:
            return UpdateState.REJECTED, "trust:length"
        if not {"*", self._shared.identity.hardware_class}.intersection(listing.hardware):
            return UpdateState.REJECTED, "hardware"
        bundle = _bundle_of(listing.path)
        if listing.release < self._set.floor_of(bundle):
            return UpdateState.REJECTED, "trust:floor"
        if listing.release < self._releases.get(bundle, 0) and not want.back:
            return UpdateState.REJECTED, "trust:release"
        return None

    def payload(self, envelope: bytes, digest: bytes) -> bytes:
        """The manifest inside an envelope of this digest, which `why_not` has let pass.

        With roles the targets vouch for the envelope's digest; without, its own signature does.

        Raises:
            ProtocolError: not an envelope, or not signed by a targets key.
        """
        if self._set is None:
            return self._shared.verifier.open(ROLE_TARGETS, envelope)
        return payload_named(envelope, digest)

    def agrees(self, digest: bytes, manifest: Manifest) -> bool:
        """Whether a manifest says of itself what the targets say of it."""
        if self._set is None:
            return True
        listing = self._set.listing(digest)
        said = (f"{manifest.id}/{manifest.version}", manifest.release)
        return listing is not None and said == (listing.path, listing.release)

    def committed(self, manifest: bytes) -> None:
        """A bundle runs for good now: no older release of it without a want that means it; the caller
        saves."""
        listing = None if self._set is None else self._set.listing(manifest)
        if listing is None:
            return
        bundle, releases = _bundle_of(listing.path), self._releases
        if listing.release > releases.get(bundle, 0):
            if len(releases) >= RELEASES_MAX and bundle not in releases:
                del releases[next(iter(releases))]
            releases[bundle] = listing.release

    # -- storage --------------------------------------------------------------------------------

    def keep(self) -> None:
        """Make what was taken in durable, before whatever effect comes next."""
        if self._set is None or self._anchor is None:
            return
        encoded = self._set.encoded
        if encoded is self._saved or encoded == self._saved:
            return
        if self._saved is not None or self._set is not self._anchor.born:
            self._shared.out.append(Save(TRUST_FILE, encoded))
            self._saved = encoded

    def forget_saved(self) -> None:
        """The last save did not reach storage: the next one is not skipped."""
        self._saved = b""


_NUMBERS: Final = {"root": 0, "timestamp": 1, "snapshot": 2, "targets": 3}


def _lost(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether a key went: one that came revokes nothing."""
    return any(key not in after for key in before)


def _bundle_of(path: str) -> str:
    return path.rpartition("/")[0]
