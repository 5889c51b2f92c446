"""Whether to fetch a delta instead of an image, and what becomes of it.

    hash list (of a large one) > delta > apply to the slot that runs > whole digest, as of any image

Decides when a want's delta is worth trying, and what comes next on that way. Leaves out fetching
(download.py), the steps before and after (install.py), and applying itself, which is an effect.

Rules: a delta is a hint. It is tried when it leads from what runs to what the *manifest* names, its encoder
is known, there is room, and less of the image is here already than it saves: what was fetched is finished
rather than fetched again in another form. Whatever goes wrong with it (it never comes right, cannot be applied, makes the
wrong image, there is no room after all) costs this delta and nothing else: it is noted, told to the gateway,
remembered durably so that it is never tried again, and the image is fetched in the same attempt. The slot
that runs is only read.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from devicesdk.agent.download import Download, Source
from devicesdk.agent.effects import ApplyDelta, Delete, ReadFile
from devicesdk.agent.job import DELTA_FILE, HASHES_FILE, SMALL_DELTA_FILE, Job
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.snapshot import State
from devicesdk.bundle.chunks import HashList, chunk_count
from devicesdk.bundle.delta import ENCODERS
from devicesdk.wire import limits
from devicesdk.wire.errors import BadManifest, Nack
from devicesdk.wire.messages import DeltaRef

_NOT_ITS_FAULT: Final = (Nack.SUPERSEDED, Nack.QUARANTINED)
FAILED_MAX: Final = 8
"""Deltas remembered as useless; full: the oldest is forgotten, and at worst tried once more."""


class Deltas:
    """The way by a delta."""

    __slots__ = ("_outbox", "_shared", "_slots", "failed")

    def __init__(self, shared: Shared, slots: Slots, outbox: Outbox, state: State) -> None:
        self._shared, self._slots, self._outbox = shared, slots, outbox
        self.failed = state.deltas_failed
        """Never tried again, oldest first."""

    def wanted(self, job: Job, download: Download) -> DeltaRef | None:
        """The delta on whose way the job is; None: the image itself is fetched."""
        ref = job.want.delta
        if ref is not None and not (self._fits(ref, job) and _saves(ref, job, download)):
            ref = None
        if ref != job.delta:  # another want of the same manifest may name another
            self._forget(job)
            job.delta = ref
            if ref is not None:
                assert job.variant is not None, "a delta to an unknown variant"
                size = job.variant.image.size_bytes
                self._shared.note(NoteKind.DELTA_CHOSEN, ref.size_bytes, size)
        return ref

    def _fits(self, ref: DeltaRef, job: Job) -> bool:
        variant = job.variant
        if variant is None or ref.blob in self.failed or ref.encoder not in ENCODERS:
            return False
        small = ref.size_bytes <= limits.DELTA_UNHASHED_BYTES_MAX
        return (
            ref.target == variant.image.raw
            and ref.size_bytes <= self._shared.config.delta_bytes_max
            and (small or len(ref.hashes) == limits.DIGEST_BYTES)
            and not ref.chunk_bytes & (ref.chunk_bytes - 1)
            and self._fits_base(ref.base)
        )

    def _fits_base(self, base: bytes) -> bool:
        if not base:
            return True
        running = self._slots.running
        # Nobody told the digest of a factory image: whoever applies the delta looks at the bytes.
        return running.verified and running.image in (base, b"")

    def next(self, job: Job, ref: DeltaRef) -> Source | ReadFile | ApplyDelta | None:
        """What is missing next; None: this delta turned out to be of no use."""
        if job.delta_here:
            return self._apply(job, ref)
        if ref.hashes:
            return self._large(job, ref)
        if job.delta_file is None:
            return ReadFile(SMALL_DELTA_FILE)
        if sha256(job.delta_file).digest() == ref.blob:
            job.delta_here = True
            return self._apply(job, ref)
        return Source(ref.blob, ref.size_bytes, ref.chunk_bytes, SMALL_DELTA_FILE, None)

    def _large(self, job: Job, ref: DeltaRef) -> Source | ReadFile | None:
        """Chunks in any order into a file, so their hashes first; these share the image's file."""
        if job.delta_hashes is None:
            if job.hashes_file is None:
                return ReadFile(HASHES_FILE)
            if sha256(job.hashes_file).digest() != ref.hashes:
                size = limits.DIGEST_BYTES * chunk_count(ref.size_bytes, ref.chunk_bytes)
                return Source(ref.hashes, size, limits.CHUNK_BYTES_DEFAULT, HASHES_FILE, None)
            try:
                job.delta_hashes = HashList(job.hashes_file, ref.size_bytes, ref.chunk_bytes)
            except BadManifest:
                self.give_up(job, "hashes")
                return None
        return Source(ref.blob, ref.size_bytes, ref.chunk_bytes, DELTA_FILE, job.delta_hashes)

    def _apply(self, job: Job, ref: DeltaRef) -> ApplyDelta:
        active, variant = self._slots.active, job.variant
        assert variant is not None, "a delta to an unknown variant"
        return ApplyDelta(
            file=f"slot-{self._slots.inactive}",
            size_bytes=variant.image.size_bytes,
            delta=DELTA_FILE if ref.hashes else SMALL_DELTA_FILE,
            delta_bytes=ref.size_bytes,
            base=f"slot-{active}" if active else "",
        )

    def fails(self, job: Job, blob: bytes, nack: Nack | None) -> bool:
        """Whether a fetch that ended badly was that of the delta, and nobody took the update away."""
        ref = job.delta
        return ref is not None and blob in (ref.blob, ref.hashes) and nack not in _NOT_ITS_FAULT

    def used(self, job: Job) -> None:
        """The image that came of it has the digest that was signed."""
        assert job.delta is not None, "an image came of no delta"
        assert job.variant is not None, "an image of an unknown variant"
        size = job.variant.image.size_bytes
        self._shared.note(NoteKind.DELTA_APPLIED, job.delta.size_bytes, size)
        self._clean_up(job)

    def give_up(self, job: Job, reason: str) -> None:
        """This delta is of no use: never again on this device."""
        assert job.delta is not None, "no delta to give up"
        self._blame(job.delta, reason, job)
        self._shared.save_state()
        self._clean_up(job)

    def storage_failed(self, job: Job) -> None:
        """There may be room for an image where there is none for a delta beside it."""
        if job.delta is not None:
            self.give_up(job, "storage")

    def _blame(self, ref: DeltaRef, reason: str, job: Job) -> None:
        if ref.blob not in self.failed:
            self.failed = (*self.failed, ref.blob)[-FAILED_MAX:]
        self._shared.note(NoteKind.DELTA_FAILED, ref.size_bytes)
        self._outbox.event(
            "delta",
            reason=reason,
            digest=ref.blob,
            generation=job.want.generation,
            deployment=job.want.deployment,
            attempt=job.want.attempt,
        )

    def _clean_up(self, job: Job) -> None:
        ref = job.delta
        if ref is not None:
            self._shared.out.append(Delete(DELTA_FILE if ref.hashes else SMALL_DELTA_FILE))
        self._forget(job)

    def _forget(self, job: Job) -> None:
        job.delta = job.delta_file = job.delta_hashes = None
        job.delta_here = job.delta_used = False


def _saves(ref: DeltaRef, job: Job, download: Download) -> bool:
    """Whether less has to come this way; once a delta has a file of its own, its map has taken the place
    of the image's, and the answer stays."""
    assert job.variant is not None, "a delta to an unknown variant"
    image = job.variant.image
    return ref.size_bytes < image.size_bytes - download.kept_bytes(image.raw)
