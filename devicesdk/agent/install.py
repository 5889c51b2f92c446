"""From a want to a verified image that passed its kit, in the inactive slot.

    manifest > hash list > image > whole digest > kit > READY
             > delta, applied  >

Decides the next step: `advance` looks at what is there and asks for what is missing; it is called
whenever something changed. So a step that was done before (a blob in a file, an image in a slot) is
never done again, whoever did it: an earlier deployment, an earlier boot. Leaves out whether a want
is followed at all and what becomes of the outcome (update.py), how blobs come (download.py), and when a delta is worth trying (delta.py).

Rules: nothing is believed before its signature or digest; the inactive slot is marked invalid
durably before its first byte is overwritten, and valid only after the whole image was read back with
its digest; a slot that was verified in an earlier boot is read back again before it runs.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, TypeAlias

from msgspec.structs import replace

from devicesdk.agent.books import Books
from devicesdk.agent.delta import Deltas
from devicesdk.agent.download import DONE, INTEGRITY, LINK, Download, Source
from devicesdk.agent.effects import ApplyDelta, Delete, Effect, HashFile, ReadFile, RunKit
from devicesdk.agent.job import DELTA_FILE, HASHES_FILE, MANIFEST_FILE, SMALL_DELTA_FILE, Job
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.agent.sites import KIT_AGAIN
from devicesdk.agent.slots import EMPTY, Slots
from devicesdk.agent.snapshot import Slot
from devicesdk.agent.stimuli import DeltaApplied, FileHashed, FileRead, KitRan
from devicesdk.agent.trust import Trust
from devicesdk.bundle.chunks import HashList
from devicesdk.bundle.manifest import Manifest, decode_manifest
from devicesdk.wire import limits
from devicesdk.wire.errors import BadManifest, Nack, ProtocolError
from devicesdk.wire.messages import DeltaRef, UpdateState

IMAGE_FAILURES_MAX: Final = 2

Outcome: TypeAlias = tuple[UpdateState, str] | None
"""`READY`, or how the want ended and why; None: something is under way."""
READY: Final[tuple[UpdateState, str]] = (UpdateState.STAGED, "")

_ENDED_BY_NACK: Final = {
    Nack.SUPERSEDED: UpdateState.SUPERSEDED,
    Nack.QUARANTINED: UpdateState.REJECTED,
}


_ANSWERED_BY: Final[dict[type, type]] = {
    ReadFile: FileRead,
    HashFile: FileHashed,
    ApplyDelta: DeltaApplied,
    RunKit: KitRan,
}


class Install:
    """The steps of the update in hand."""

    __slots__ = (
        "_awaiting",
        "_books",
        "_deltas",
        "_download",
        "_shared",
        "_skip",
        "_slots",
        "_trust",
    )

    def __init__(
        self,
        shared: Shared,
        slots: Slots,
        download: Download,
        books: Books,
        deltas: Deltas,
        trust: Trust,
    ) -> None:
        self._shared = shared
        self._slots = slots
        self._download = download
        self._books = books
        self._deltas = deltas
        self._trust = trust
        self._awaiting: type | None = None
        self._skip: dict[type, int] = {}

    def booted(self) -> None:
        """A cut between "the slot is verified" and "its map is gone" leaves a map that lies: that of the whole
        image, or of the whole delta that made it. The map of half a blob is that of a hash list being fetched
        (an image or a delta is begun when the slot is not verified any more), and is true. Not where the disk refused
        to delete an image's before a delta: the digest of the whole finds that, for one fetch of it all."""
        if self._slots[self._slots.inactive].verified and self._download.kept_whole:
            self._download.forget_map()
            self._shared.out.append(Delete(DELTA_FILE))  # the same cut may have left it behind

    def hold(self) -> None:
        """Ask for nothing more."""
        if not self._trust.fetching:
            self._download.hold()

    def drop(self) -> None:
        """Nobody wants the update in hand any more; what was fetched stays."""
        if not self._trust.fetching:
            self._download.stop()
        if self._awaiting is not None:
            self._skip[self._awaiting] = self._skip.get(self._awaiting, 0) + 1
            self._awaiting = None

    def never_asked(self, effect: Effect) -> None:
        """A question that was asked after a refused write, and so never: no answer to it will come."""
        answer = _ANSWERED_BY.get(type(effect))
        if answer is None:
            return
        if self._awaiting is answer:
            self._awaiting = None
        elif self._skip.get(answer):
            self._skip[answer] -= 1

    def storage_failed(self, job: Job) -> None:
        """Nobody knows which of the last writes are there: the map would lie."""
        self._download.forget_map()
        self._deltas.storage_failed(job)

    @property
    def waits(self) -> bool:
        """Whether an answer or a blob is on its way."""
        if self._awaiting is not None:
            return True
        return self._download.source is not None and not self._trust.fetching

    # -- what happens -------------------------------------------------------------------------------

    def fetched(self, job: Job, now: int) -> Outcome:
        """The download ended."""
        download = self._download
        source, ended = download.source, download.ended
        if source is None or ended is None:
            return None
        if ended == DONE:
            return self._blob_here(job, source, now)
        if ended != LINK and self._deltas.fails(job, source.blob, download.nack):
            download.stop()
            self._deltas.give_up(job, ended)
            return self.advance(job, now)
        if ended == INTEGRITY:
            self._slots.blame(job.want.manifest)
        if download.nack is None:
            return UpdateState.FAILED, ended
        return _ENDED_BY_NACK.get(download.nack, UpdateState.FAILED), ended

    def file_read(self, job: Job | None, read: FileRead, now: int) -> Outcome:
        """A small file's contents."""
        if not self._expected(FileRead) or job is None:
            return None
        if read.file == MANIFEST_FILE:
            job.manifest_file = read.data or b""
        elif read.file == SMALL_DELTA_FILE:
            job.delta_file = read.data or b""
        else:
            job.hashes_file = read.data or b""
        return self.advance(job, now)

    def file_hashed(self, job: Job | None, hashed: FileHashed, now: int) -> Outcome:
        """The digest of the image as storage has it."""
        if not self._expected(FileHashed) or job is None:
            return None
        slots = self._slots
        here = slots[slots.inactive]
        if here.verified:
            job.checked = hashed.digest == here.image
            if not job.checked:
                # It was good once: storage has changed it since. Fetch it again.
                self._invalidate()
        elif job.variant is not None and hashed.digest == job.variant.image.raw:
            self._fill(job, hashed.digest)
        elif self._image_is_bad(job):
            return UpdateState.FAILED, INTEGRITY
        return self.advance(job, now)

    def delta_applied(self, job: Job | None, applied: DeltaApplied, now: int) -> Outcome:
        """What became of a delta; one of a job that was dropped has kept the slot busy until now."""
        if not self._expected(DeltaApplied) or job is None:
            return None
        if job.delta is None or not job.delta_here:
            return self.advance(job, now)
        if not applied.ok:
            self._deltas.give_up(job, applied.reason)
            return self.advance(job, now)
        assert job.variant is not None, "a delta to an unknown variant"
        job.delta_used = True
        self._books.enter(UpdateState.DOWNLOADED)
        return self._hash(job.variant.image.size_bytes)

    def kit_ran(self, job: Job | None, ran: KitRan, now: int) -> Outcome:
        """The validation kit's verdict."""
        if not self._expected(KitRan) or job is None:
            return None
        if ran.passed:
            job.kit_passed = True
            return self.advance(job, now)
        self._slots.ban(job.want.manifest)
        self._shared.note(NoteKind.QUARANTINED, len(self._slots.bad))
        reason = f"validation:{ran.reason}" if ran.reason else "validation"
        return UpdateState.FAILED, reason[: limits.REASON_CHARS_MAX]

    # -- steps --------------------------------------------------------------------------------------

    def advance(self, job: Job, now: int) -> Outcome:
        """Ask for whatever is missing next."""
        if self._awaiting is not None:
            return None
        if job.vetted != self._trust.serial:
            why_not = self._trust.why_not(job.want, now)
            if why_not is not None:
                return self._not_now(why_not)
            job.vetted = self._trust.serial
        slots, variant = self._slots, job.variant
        here = slots[slots.inactive]
        if here.verified and here.manifest == job.want.manifest:
            return self._stage(job, here)
        if variant is None:
            return self._need_manifest(job, now)
        if here.verified and here.image == variant.image.raw:
            # The same bytes under another manifest, and so perhaps under another kit.
            manifest = job.want.manifest
            same = replace(
                here,
                manifest=manifest,
                variant=variant.name,
                proven=False,
                also=variant.also,
                confidence=job.confidence,
            )
            slots.fill(same)
            self._shared.save_state()
            return self._stage(job, same)
        ref = self._deltas.wanted(job, self._download)
        if ref is not None:
            return self._need_delta(job, ref, now)
        if job.hashes is None:
            return self._need_hashes(job, now)
        return self._need_image(job, now)

    def _not_now(self, why_not: tuple[UpdateState, str]) -> Outcome:
        if why_not[0] is not UpdateState.WAITING:
            return why_not
        self.hold()
        self._books.enter(*why_not)
        return None

    def _need_manifest(self, job: Job, now: int) -> Outcome:
        if job.manifest_file is None:
            return self._read(MANIFEST_FILE)
        if sha256(job.manifest_file).digest() == job.want.manifest:
            return self._open_manifest(job, job.manifest_file, now)
        size = job.want.manifest_bytes
        chunk_bytes = limits.CHUNK_BYTES_DEFAULT
        source = Source(job.want.manifest, size, chunk_bytes, MANIFEST_FILE, None)
        return self._fetch(job, source, job.manifest_file, now)

    def _open_manifest(self, job: Job, envelope: bytes, now: int) -> Outcome:
        identity = self._shared.identity
        try:
            manifest = decode_manifest(self._trust.payload(envelope, job.want.manifest))
        except ProtocolError:
            return UpdateState.REJECTED, "manifest:untrusted"
        if not self._trust.agrees(job.want.manifest, manifest):
            return UpdateState.REJECTED, "manifest:disagrees"
        variant = manifest.variant_for(
            identity.hardware_class, identity.memory_mib, identity.capabilities
        )
        if variant is None:
            return UpdateState.REJECTED, "hardware"
        if variant.image.size_bytes > self._shared.config.slot_bytes_max:
            return UpdateState.REJECTED, "space"
        job.variant = variant
        job.confidence = reference_of(manifest, identity.hardware_class)
        return self.advance(job, now)

    def _need_hashes(self, job: Job, now: int) -> Outcome:
        variant = job.variant
        assert variant is not None, "hashes of an unknown variant"
        if job.hashes_file is None:
            return self._read(HASHES_FILE)
        wanted = variant.hashes
        if sha256(job.hashes_file).digest() == wanted.raw:
            try:
                size_bytes = variant.image.size_bytes
                job.hashes = HashList(job.hashes_file, size_bytes, variant.chunk_bytes)
            except BadManifest:  # signed, and still not the hash list of this image
                return UpdateState.REJECTED, "manifest:hashes"
            return self.advance(job, now)
        chunk_bytes = limits.CHUNK_BYTES_DEFAULT
        source = Source(wanted.raw, wanted.size_bytes, chunk_bytes, HASHES_FILE, None)
        return self._fetch(job, source, job.hashes_file, now)

    def _need_image(self, job: Job, now: int) -> Outcome:
        variant = job.variant
        assert variant is not None, "an image of an unknown variant"
        if self._slots[self._slots.inactive] != EMPTY:
            self._invalidate()
        if self._skip.pop(DeltaApplied, 0):  # a dropped job's answer is on its way: wait for it
            self._awaiting = DeltaApplied
            return None
        image = variant.image
        source = Source(
            image.raw, image.size_bytes, variant.chunk_bytes, self._slot_file(), job.hashes
        )
        return self._fetch(job, source, None, now)

    def _need_delta(self, job: Job, ref: DeltaRef, now: int) -> Outcome:
        if self._slots[self._slots.inactive] != EMPTY:
            self._invalidate()
        if self._skip.pop(DeltaApplied, 0):  # a dropped job's answer is on its way: wait for it
            self._awaiting = DeltaApplied
            return None
        step = self._deltas.next(job, ref)
        if isinstance(step, Source):
            return self._fetch(job, step, job.hashes_file if ref.hashes else job.delta_file, now)
        if step is None:
            return self.advance(job, now)
        if isinstance(step, ReadFile):
            self._awaiting = FileRead
        else:
            self._awaiting = DeltaApplied
            if not self._download.kept_bytes(ref.blob):  # an image's, which is written over now
                self._download.forget_map()
        self._shared.out.append(step)
        return None

    def _fetch(self, job: Job, source: Source, stored: bytes | None, now: int) -> Outcome:
        download, books = self._download, self._books
        books.enter(UpdateState.DOWNLOADING)
        if not job.told:
            job.told = True
            books.tell()
            self._shared.save_state()
        if download.source is not None and download.source.blob == source.blob:
            download.go_on(now)
        else:
            download.begin(source, stored, now)
        return self.fetched(job, now)

    def _blob_here(self, job: Job, source: Source, now: int) -> Outcome:
        download = self._download
        if source.file == MANIFEST_FILE:
            job.manifest_file = download.keep()
        elif source.file == HASHES_FILE:
            job.hashes_file = download.keep()
        elif source.file == SMALL_DELTA_FILE:
            job.delta_file = download.keep()
        download.stop()
        if source.hashes is None:
            return self.advance(job, now)
        if source.file == DELTA_FILE:
            job.delta_here = True
            return self.advance(job, now)
        self._books.enter(UpdateState.DOWNLOADED)
        return self._hash(source.size_bytes)

    def _image_is_bad(self, job: Job) -> bool:
        """All chunks were right and the whole is not: once that is a bad day, twice it is over. Not
        where a delta made it."""
        if job.delta_used:
            self._deltas.give_up(job, "digest")
            return False
        job.image_failures += 1
        self._shared.note(NoteKind.IMAGE_BAD, job.image_failures)
        self._download.forget_map()
        if job.image_failures < IMAGE_FAILURES_MAX:
            return False
        self._slots.blame(job.want.manifest)
        return True

    def _fill(self, job: Job, digest: bytes) -> None:
        variant = job.variant
        assert variant is not None, "an image of an unknown variant"
        self._slots.fill(
            Slot(
                manifest=job.want.manifest,
                variant=variant.name,
                image=digest,
                size_bytes=variant.image.size_bytes,
                verified=True,
                also=variant.also,
                confidence=job.confidence,
            )
        )
        job.checked = True
        self._books.enter(UpdateState.VERIFIED)
        self._books.tell()
        self._shared.save_state()
        if job.delta_used:
            self._deltas.used(job)
        self._download.forget_map()

    def _stage(self, job: Job, here: Slot) -> Outcome:
        """The inactive slot holds what is wanted: read it back, run its kit."""
        if not job.checked and here.image:
            self._books.enter(UpdateState.DOWNLOADED)
            return self._hash(here.size_bytes)
        if job.kit_passed or (here.proven and not self._shared.hardship.fires(KIT_AGAIN)):
            return READY
        self._books.enter(UpdateState.VERIFIED)
        self._awaiting = KitRan
        self._shared.out.append(RunKit(self._slots.inactive, here.manifest, here.variant))
        return None

    def _invalidate(self) -> None:
        slots = self._slots
        slots.invalidate()
        self._shared.note(NoteKind.SLOT_INVALID, int(slots.inactive == "b"))
        self._shared.save_state()

    # -- asking -------------------------------------------------------------------------------------

    def _read(self, file: str) -> Outcome:
        self._awaiting = FileRead
        self._shared.out.append(ReadFile(file))
        return None

    def _hash(self, size_bytes: int) -> Outcome:
        self._awaiting = FileHashed
        self._shared.out.append(HashFile(self._slot_file(), size_bytes))
        return None

    def _expected(self, answer: type) -> bool:
        """Whether this answer belongs to the job in hand; one of a dropped job does not."""
        if self._skip.get(answer):
            self._skip[answer] -= 1
            return False
        if self._awaiting is not answer:
            return False
        self._awaiting = None
        return True

    def _slot_file(self) -> str:
        return f"slot-{self._slots.inactive}"


def reference_of(manifest: Manifest, hardware_class: str) -> bytes:
    """The reference histogram of confidences for a hardware class, as `snapshot.Slot.confidence`."""
    baseline = manifest.baseline
    counts = baseline.get(f"confidence@{hardware_class}") or baseline.get("confidence") or []
    most = max(counts, default=0.0)
    if most <= 0.0:
        return b""
    return bytes(min(255, max(0, round(255.0 * count / most))) for count in counts)
