"""The bundles that may be shipped, by name and by digest.

Decides what a name stands for. Leaves out the bytes (the blob store's) and who must not get a bundle
(the twins' quarantine).

Rules: a name ``id@version`` stands for one digest for ever; registering the same bundle again does
nothing; the blobs of a bundle are its envelope, hash lists and images.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from devicesdk.bundle.manifest import Manifest, check_variant
from devicesdk.wire import limits as wire_limits
from devicesdk.wire.errors import BadManifest
from gateway.core import names, notes, rows
from gateway.core.control.outbox import Batch
from gateway.core.effects import Note, Persist
from gateway.core.internal import BlobKnown, BundleKnown, ModelKnown
from gateway.core.limits import ControlLimits
from gateway.core.rows import BundleRow
from gateway.core.stimuli import RegisterBundle

NEAR_NAMES_MAX: Final = 100
"""Names that a mistyped one is held against: those that begin alike, the newest."""
NEAR_CHARS_MAX: Final = 64


class Bundle:
    """A registered bundle; `blobs` is one tuple for all devices that it is granted to."""

    __slots__ = ("blobs", "digest", "envelope_bytes", "manifest")

    def __init__(self, digest: bytes, manifest: Manifest, envelope_bytes: int) -> None:
        self.digest = digest
        self.manifest = manifest
        self.envelope_bytes = envelope_bytes
        blobs = {digest: None}
        for variant in manifest.variants:
            blobs[variant.hashes.raw] = None
            blobs[variant.image.raw] = None
        self.blobs = tuple(blobs)


class Catalog:
    """All bundles.

    Args:
        limits: bounds.
    """

    __slots__ = ("_limits", "by_digest", "by_name")

    def __init__(self, limits: ControlLimits) -> None:
        self._limits = limits
        self.by_digest: dict[bytes, Bundle] = {}
        self.by_name: dict[str, Bundle] = {}

    def register(self, stimulus: RegisterBundle, out: Batch) -> Bundle | None:
        """Take a bundle in; None when it is refused or known already."""
        manifest = stimulus.manifest
        if stimulus.digest in self.by_digest:
            return None
        refusal = self._refusal(stimulus)
        if refusal:
            out.append(Note(notes.BUNDLE_REFUSED, f"{manifest.name}: {refusal}"))
            return None
        row = BundleRow(manifest, stimulus.envelope_bytes)
        out.append(Persist(rows.BUNDLE, stimulus.digest.hex(), row))
        bundle = self._add(stimulus.digest, row)
        self.announce(bundle, out)
        out.append(Note(notes.BUNDLE_REGISTERED, manifest.name, len(manifest.variants)))
        return bundle

    def restore(self, key: str, row: BundleRow) -> None:
        """Take back a durable row."""
        self._add(bytes.fromhex(key), row)

    def unpublished(self, name: str) -> str:
        """That nothing is called so, and what is nearest. Not for a loop: it compares up to `NEAR_NAMES_MAX`."""
        alike = [known for known in self.by_name if known[:1] == name[:1]][-NEAR_NAMES_MAX:]
        near = get_close_matches(name[:NEAR_CHARS_MAX], alike, n=1)
        hint = f"; the nearest is {near[0]}" if near else ""
        return f"nothing named {name} was published yet{hint}"

    def announce(self, bundle: Bundle, out: Batch) -> None:
        """Tell the other machines what there is."""
        default = wire_limits.CHUNK_BYTES_DEFAULT
        out.append(BlobKnown(bundle.digest, bundle.envelope_bytes, default))
        for variant in bundle.manifest.variants:
            out.append(BlobKnown(variant.hashes.raw, variant.hashes.size_bytes, default))
            image = variant.image
            out.append(BlobKnown(image.raw, image.size_bytes, variant.chunk_bytes))
        out.append(BundleKnown(bundle.digest[:8], bundle.manifest.baseline))
        variants = tuple((v.name, v.image.raw, v.macs) for v in bundle.manifest.variants)
        out.append(ModelKnown(bundle.digest, variants))

    def _refusal(self, stimulus: RegisterBundle) -> str:
        manifest = stimulus.manifest
        if len(stimulus.digest) != wire_limits.DIGEST_BYTES or stimulus.envelope_bytes < 1:
            return "expected a digest of 32 bytes and an envelope that is not empty"
        if len(self.by_digest) >= self._limits.bundles_max:
            return f"there are {self._limits.bundles_max} bundles already; raise bundles_max"
        if manifest.name in self.by_name:
            known = self.by_name[manifest.name].digest.hex()[:16]
            return f"the name stands for digest {known} already; give it a new version"
        if unaskable := names.refusal(manifest.id):
            return unaskable
        if not manifest.variants:
            return "expected at least one variant, found none"
        try:
            for variant in manifest.variants:
                check_variant(variant)
        except BadManifest as error:
            return str(error)
        return self._chunk_conflict(manifest)

    def _chunk_conflict(self, manifest: Manifest) -> str:
        """One image is cut in one way: chunks are served by the image's digest alone."""
        cuts = {
            v.image.digest: v.chunk_bytes
            for b in self.by_name.values()
            for v in b.manifest.variants
        }
        for variant in manifest.variants:
            known = cuts.setdefault(variant.image.digest, variant.chunk_bytes)
            if known != variant.chunk_bytes:
                return f"the image of {variant.name} is already served in chunks of {known} bytes"
        return ""

    def _add(self, digest: bytes, row: BundleRow) -> Bundle:
        bundle = Bundle(digest, row.manifest, row.envelope_bytes)
        self.by_digest[digest] = bundle
        self.by_name[row.manifest.name] = bundle
        return bundle
