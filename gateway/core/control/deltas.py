"""The deltas that may be offered: which blob leads from which image to which.

Decides which delta a device's want names. Leaves out making deltas and storing their bytes (whoever
publishes), and whether a device follows the hint (its agent).

Rules: a delta is for a pair of images, so it serves every bundle and variant that has them; what a device
runs is what it last said (or what the registry believes of one that never spoke), and its best variant is
guessed from its hardware class, the variant of the same name first. A wrong guess costs nothing: the device
compares both ends with what it runs and with the signed manifest. A delta that devices found useless
`STRIKES_MAX` times is offered no more.
"""

from __future__ import annotations

from typing import Final

from devicesdk.bundle.chunks import chunk_count
from devicesdk.bundle.manifest import Variant
from devicesdk.wire import limits as wire_limits
from devicesdk.wire.messages import DeltaRef
from gateway.core import notes, rows
from gateway.core.control.catalog import Bundle, Catalog
from gateway.core.control.outbox import Batch
from gateway.core.control.twins import Twin, Twins
from gateway.core.effects import Note, Persist
from gateway.core.internal import BlobKnown
from gateway.core.limits import ControlLimits
from gateway.core.rows import DeltaRow
from gateway.core.stimuli import RegisterDelta

STRIKES_MAX: Final = 3


class Deltas:
    """All deltas, by target and base.

    Args:
        limits: bounds.
    """

    __slots__ = ("_by_blob", "_catalog", "_grants", "_limits", "_strikes", "_twins", "by_target")

    def __init__(self, limits: ControlLimits, catalog: Catalog, twins: Twins) -> None:
        self._limits, self._catalog, self._twins = limits, catalog, twins
        self.by_target: dict[bytes, dict[bytes, DeltaRef]] = {}
        self._by_blob: dict[bytes, DeltaRef] = {}
        self._strikes: dict[bytes, int] = {}
        self._grants: dict[bytes, tuple[bytes, ...]] = {}

    def register(self, stimulus: RegisterDelta, out: Batch) -> None:
        """Take a delta in; one between the same images replaces the one before."""
        ref = stimulus.delta
        known = self.by_target.get(ref.target, {}).get(ref.base)
        if known == ref:
            return
        refusal = self._refusal(ref, replaces=known is not None)
        if refusal:
            out.append(Note(notes.DELTA_REFUSED, f"{ref.blob.hex()[:16]}: {refusal}"))
            return
        out.append(Persist(rows.DELTA, _key(ref), DeltaRow(ref)))
        self._add(ref)
        self._announce(ref, out)
        out.append(Note(notes.DELTA_REGISTERED, ref.target.hex()[:16], ref.size_bytes))

    def restore(self, row: DeltaRow) -> None:
        """Take back a durable row."""
        self._add(row.delta)

    def announce(self, out: Batch) -> None:
        """Tell the transfers machine what there is."""
        for ref in self._by_blob.values():
            self._announce(ref, out)

    def failed(self, blob: bytes, device: str, reason: str, out: Batch) -> None:
        """A device found a delta useless and fetches the image."""
        if blob not in self._by_blob:
            return
        self._strikes[blob] = strikes = self._strikes.get(blob, 0) + 1
        out.append(Note(notes.DELTA_FAILED, f"{device}: {reason}", strikes))

    def offered(self, twin: Twin, bundle: Bundle) -> DeltaRef | None:
        """What the want of a device names; None: it shall fetch the image."""
        if not self.by_target:
            return None
        running = self._running(twin)
        for variant in self._candidates(twin, bundle):
            known = self.by_target.get(variant.image.raw)
            if known is None:
                continue
            ref = known.get(running) if running else None
            ref = ref or known.get(b"")
            if ref is not None and self._strikes.get(ref.blob, 0) < STRIKES_MAX:
                return ref
        return None

    def blobs(self, bundle: Bundle) -> tuple[bytes, ...]:
        """What a device may fetch for a bundle; one tuple for all of them."""
        found = self._grants.get(bundle.digest)
        if found is None:
            more = [
                blob
                for variant in bundle.manifest.variants
                for ref in self.by_target.get(variant.image.raw, {}).values()
                for blob in (ref.blob, ref.hashes)
                if blob
            ]
            found = tuple(dict.fromkeys((*bundle.blobs, *more)))
            self._grants[bundle.digest] = found
        return found

    # -- inside --------------------------------------------------------------------------------

    def _running(self, twin: Twin) -> bytes:
        """The image that a device runs, as far as anybody knows."""
        reported = twin.reported
        manifest = reported.running
        if not manifest and twin.desired is not None:
            manifest = twin.desired.previous or twin.desired.manifest
        bundle = self._catalog.by_digest.get(manifest)
        if bundle is None:
            return b""
        candidates = self._candidates(twin, bundle)
        return candidates[0].image.raw if candidates else b""

    def _candidates(self, twin: Twin, bundle: Bundle) -> list[Variant]:
        """The variants that a device may choose, the likeliest first."""
        hardware, name = self._twins.hardware(twin), twin.reported.variant
        fit = [v for v in bundle.manifest.variants if "*" in v.hardware or hardware in v.hardware]
        return sorted(fit, key=lambda variant: variant.name != name) if name else fit

    def _refusal(self, ref: DeltaRef, *, replaces: bool) -> str:
        if len(self._by_blob) >= self._limits.deltas_max and not replaces:
            return f"there are {self._limits.deltas_max} deltas already; raise deltas_max"
        if not ref.hashes and ref.size_bytes > wire_limits.DELTA_UNHASHED_BYTES_MAX:
            return f"expected a hash list above {wire_limits.DELTA_UNHASHED_BYTES_MAX} bytes"
        chunks = chunk_count(ref.size_bytes, ref.chunk_bytes)
        if ref.chunk_bytes & (ref.chunk_bytes - 1) or chunks > wire_limits.BLOB_CHUNKS_MAX:
            return f"expected chunks of a power of two, found {chunks} of {ref.chunk_bytes} bytes"
        images = {
            variant.image.raw: variant.image.size_bytes
            for bundle in self._catalog.by_name.values()
            for variant in bundle.manifest.variants
        }
        if ref.target not in images or (ref.base and ref.base not in images):
            return "expected images of registered bundles; register both bundles first"
        if ref.size_bytes >= images[ref.target]:
            return f"expected less than the image's {images[ref.target]} bytes"
        return ""

    def _add(self, ref: DeltaRef) -> None:
        known = self.by_target.setdefault(ref.target, {})
        old = known.get(ref.base)
        if old is not None:
            self._by_blob.pop(old.blob, None)
        known[ref.base] = self._by_blob[ref.blob] = ref
        self._grants.clear()

    @staticmethod
    def _announce(ref: DeltaRef, out: Batch) -> None:
        out.append(BlobKnown(ref.blob, ref.size_bytes, ref.chunk_bytes))
        if ref.hashes:
            size = wire_limits.DIGEST_BYTES * chunk_count(ref.size_bytes, ref.chunk_bytes)
            out.append(BlobKnown(ref.hashes, size, wire_limits.CHUNK_BYTES_DEFAULT))


def _key(ref: DeltaRef) -> str:
    return f"{ref.target.hex()}:{ref.base.hex()}"
