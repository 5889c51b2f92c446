"""From what a builder wrote to what a device fetches: a manifest, and blobs by their digest.

Decides the manifest of a bundle: variants by hardware class, best first; hash lists; budgets; the
reference histograms, as counts. Leaves out reading files (whoever publishes), signatures (trust.py) and
where blobs are stored.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

import msgspec

from devicesdk.bundle.chunks import build_hash_list, split
from devicesdk.bundle.manifest import (
    BlobRef,
    Budgets,
    Manifest,
    Variant,
    decode_manifest,
    encode_manifest,
)
from devicesdk.bundle.source import Baseline, SourceError, VariantRecord
from devicesdk.bundle.source import Budgets as BudgetRecord
from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, limits
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT
from devicesdk.wire.messages import Signed

DEFAULT = "default"
"""The hardware class that stands for all that are not named."""


class Digested(Protocol):
    """A file's digest in hex."""

    @property
    def sha256(self) -> str:
        """64 digits."""
        ...


class Kinded(Protocol):
    """A task by its name."""

    @property
    def kind(self) -> str:
        """Such as ``classify``."""
        ...


class Described(Protocol):
    """What is said of a bundle: a `source.Release`, or a description that says more."""

    @property
    def id(self) -> str:
        """Name of the bundle."""
        ...

    @property
    def version(self) -> str:
        """Semantic version."""
        ...

    @property
    def release(self) -> int:
        """Rises with every release."""
        ...

    @property
    def variants(self) -> dict[str, VariantRecord]:
        """Builds of the model by name."""
        ...

    @property
    def prefer(self) -> dict[str, tuple[str, ...]]:
        """Hardware class to variants, best first; ``default`` serves all others."""
        ...

    @property
    def budgets(self) -> BudgetRecord:
        """What the model may cost."""
        ...

    @property
    def kit(self) -> Digested:
        """The kit's file."""
        ...

    @property
    def opset(self) -> int:
        """ONNX operator set."""
        ...

    @property
    def runtime_min(self) -> str:
        """Oldest version of the inference runtime; empty: any."""
        ...

    @property
    def runtime_max(self) -> str:
        """Newest ONNX Runtime."""
        ...

    @property
    def hardware(self) -> tuple[str, ...]:
        """Machines it is built for."""
        ...

    @property
    def operations(self) -> str:
        """Digest of the pinned operations."""
        ...

    @property
    def task(self) -> Kinded | None:
        """What the model is for; None: it reads dials."""
        ...

    @property
    def sbom(self) -> Digested | None:
        """The bill of materials."""
        ...

    @property
    def carry(self) -> dict[str, tuple[str, ...]]:
        """Variant to lighter ones inside its image."""
        ...

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """Variant to processor flags that it is built for."""
        ...


class Built(msgspec.Struct, frozen=True):
    """A manifest, and the blobs that it names (images and hash lists), by digest."""

    manifest: Manifest
    blobs: dict[bytes, bytes]

    def sealed(self, signer: Signer) -> tuple[bytes, dict[bytes, bytes]]:
        """Sign the manifest.

        Returns:
            The digest of the envelope, by which the bundle is known, and all blobs: the envelope too.
        """
        envelope = signer.seal(encode_manifest(self.manifest))
        digest = sha256(envelope).digest()
        return digest, {**self.blobs, digest: envelope}


def build_bundle(
    described: Described, models: dict[str, bytes], chunk_bytes: int = CHUNK_BYTES_DEFAULT
) -> Built:
    """Make the manifest and blobs of a bundle.

    Args:
        described: what its builder says of it.
        models: the model file of each variant.
        chunk_bytes: what devices fetch at a time; a power of two.
    """
    blobs: dict[bytes, bytes] = {}
    classes = [name for name in described.prefer if name != DEFAULT]
    variants = tuple(
        msgspec.structs.replace(
            _variant(name, described.variants[name], models[name], hardware, blobs, chunk_bytes),
            also=described.carry.get(name, ()),
            needs=described.needs.get(name, ()),
            runtime_min=described.runtime_min,
        )
        for hardware in (*classes, DEFAULT)
        for name in described.prefer.get(hardware, ())
    )
    return Built(
        Manifest(
            id=described.id,
            version=described.version,
            release=described.release,
            variants=variants,
            kit=described.kit.sha256,
            budgets=Budgets(
                latency_ms_max=float(described.budgets.latency_ms_p95_max),
                memory_mib_max=float(described.budgets.memory_mib_max),
            ),
            baseline=_references(described, classes),
            opset=described.opset,
            runtime=(described.runtime_min, described.runtime_max),
            hardware=described.hardware,
            task="" if described.task is None else described.task.kind,
            operations=described.operations,
            sbom="" if described.sbom is None else described.sbom.sha256,
        ),
        blobs,
    )


def with_envelope(
    described: Described, models: dict[str, bytes], envelope: bytes
) -> tuple[bytes, dict[bytes, bytes]]:
    """As `Built.sealed`, with the envelope of whoever signed the bundle before.

    The signature is for those to check who know the keys.

    Raises:
        BadMessage: not an envelope.
        BadManifest: it is around no manifest.
        SourceError: it is around the manifest of another bundle.
    """
    payload = codec.decode(Signed, envelope, limits.MANIFEST_BYTES_MAX + 256).payload
    chunk_bytes = decode_manifest(payload).variants[0].chunk_bytes
    built = build_bundle(described, models, chunk_bytes)
    if encode_manifest(built.manifest) != payload:
        raise SourceError(
            "expected the signature of the manifest that these files make, found another one's: build and "
            "sign the bundle again"
        )
    digest = sha256(envelope).digest()
    return digest, {**built.blobs, digest: envelope}


def whole_mib(kib: int) -> int:
    """KiB in MiB, rounded up, at least 1."""
    return max(1, -(-kib // 1024))


def _variant(
    name: str,
    record: VariantRecord,
    image: bytes,
    hardware: str,
    blobs: dict[bytes, bytes],
    chunk_bytes: int,
) -> Variant:
    hashes = build_hash_list(split(image, chunk_bytes))
    return Variant(
        name=name,
        image=_keep(image, blobs),
        hashes=_keep(hashes, blobs),
        chunk_bytes=chunk_bytes,
        hardware=("*",) if hardware == DEFAULT else (hardware,),
        macs=record.macs,
        memory_mib=whole_mib(record.memory_kib),
    )


def _keep(blob: bytes, blobs: dict[bytes, bytes]) -> BlobRef:
    digest = sha256(blob).digest()
    blobs[digest] = blob
    return BlobRef(digest.hex(), len(blob))


def _references(described: Described, classes: list[str]) -> dict[str, list[float]]:
    """The histograms of the best variant of each class."""
    histograms: dict[str, list[float]] = {}
    if DEFAULT in described.prefer:
        histograms = _histograms(described.variants[described.prefer[DEFAULT][0]].baseline, "")
    for hardware in classes:
        best = described.variants[described.prefer[hardware][0]].baseline
        histograms.update(_histograms(best, f"@{hardware}"))
    return histograms


def _histograms(baseline: Baseline, suffix: str) -> dict[str, list[float]]:
    """The reference histograms by name; a suffix names the hardware class that they are for."""
    return {
        f"confidence{suffix}": _counts(baseline.confidence),
        f"entropy{suffix}": _counts(baseline.entropy),
        **{f"feature{i}{suffix}": _counts(counts) for i, counts in enumerate(baseline.features)},
    }


def _counts(counts: tuple[int, ...]) -> list[float]:
    """Counts, not shares: their sum says how large the reference was."""
    return [float(count) for count in counts]
