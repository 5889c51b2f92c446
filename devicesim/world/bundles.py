"""Bundles enter the world: a source directory's contents become a signed manifest and blobs.

Decides the manifest of a bundle (variants by hardware class, best first; hash lists; budgets; the
reference histograms, as counts) and puts everything a device fetches into the gateway's blob store. Leaves out
reading files and key ceremonies: the signer is handed in.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from devicesdk.bundle.chunks import build_hash_list, split
from devicesdk.bundle.manifest import BlobRef, Budgets, Manifest, Variant, encode_manifest
from devicesdk.bundle.trust import Signer
from devicesdk.inference.source import Baseline, BundleSource
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT
from devicesim.world.device_parts import Model, ModelShelf
from devicesim.world.inference import InferencePool
from devicesim.world.store import BlobStore


class InstalledBundle(msgspec.Struct, frozen=True):
    """A bundle that the world knows."""

    manifest: Manifest
    digest: bytes
    """SHA-256 of the signed envelope."""
    envelope_bytes: int
    source: BundleSource

    @property
    def name(self) -> str:
        """``id@version``."""
        return self.manifest.name


def install(
    source: BundleSource, signer: Signer, blobs: BlobStore, pool: InferencePool, shelf: ModelShelf
) -> InstalledBundle:
    """Sign a bundle, store its blobs, and make its models runnable on devices."""
    manifest = _manifest(source, blobs)
    envelope = signer.seal(encode_manifest(manifest))
    digest = blobs.add(envelope)
    pool.register(source)
    for name, record in source.spec.variants.items():
        shelf.put(
            digest,
            name,
            Model(
                name=name,
                digest=source.digest(name),
                macs=record.macs,
                precision="int8" if "int8" in record.precision else "fp32",
                memory_mib=_mib(record.memory_kib),
                latency_ms_max=manifest.budgets.latency_ms_max,
                memory_mib_max=manifest.budgets.memory_mib_max,
                kit_samples=source.spec.kit.samples,
                pool=pool,
            ),
        )
    return InstalledBundle(manifest, digest, len(envelope), source)


def _mib(kib: int) -> int:
    return max(1, -(-kib // 1024))


def _manifest(source: BundleSource, blobs: BlobStore) -> Manifest:
    spec = source.spec
    classes = [name for name in spec.prefer if name != "default"]
    variants: list[Variant] = []
    for hardware in (*classes, "default"):
        for name in spec.preferred(hardware):
            fits = ("*",) if hardware == "default" else (hardware,)
            variants.append(_variant(source, name, fits, blobs))
    first = spec.preferred("default")[0]
    histograms = _histograms(spec.variants[first].baseline, "")
    for hardware in classes:
        best = spec.variants[spec.preferred(hardware)[0]].baseline
        histograms.update(_histograms(best, f"@{hardware}"))
    return Manifest(
        id=spec.id,
        version=spec.version,
        release=spec.release,
        variants=tuple(variants),
        kit=spec.kit.sha256,
        budgets=Budgets(
            latency_ms_max=float(spec.budgets.latency_ms_p95_max),
            memory_mib_max=float(spec.budgets.memory_mib_max),
        ),
        baseline=histograms,
    )


def _variant(
    source: BundleSource, name: str, hardware: tuple[str, ...], blobs: BlobStore
) -> Variant:
    image, record = source.models[name], source.spec.variants[name]
    hashes = build_hash_list(split(image, CHUNK_BYTES_DEFAULT))
    blobs.add(image)
    blobs.add(hashes)
    return Variant(
        name=name,
        image=BlobRef(sha256(image).hexdigest(), len(image)),
        hashes=BlobRef(sha256(hashes).hexdigest(), len(hashes)),
        chunk_bytes=CHUNK_BYTES_DEFAULT,
        hardware=hardware,
        macs=record.macs,
        memory_mib=_mib(record.memory_kib),
    )


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
