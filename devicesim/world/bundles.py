"""Bundles enter the world: a source directory's contents become a signed manifest and blobs.

Decides what runs on the world's devices and puts everything they fetch into the gateway's blob store.
Leaves out the manifest itself (devicesdk/bundle/build.py, as for a real fleet), reading files and key
ceremonies: the signer is handed in.
"""

from __future__ import annotations

import msgspec

from devicesdk.bundle.build import build_bundle, whole_mib
from devicesdk.bundle.manifest import Manifest
from devicesdk.bundle.trust import Signer
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT
from devicesim.world.device_parts import Model, ModelShelf
from devicesim.world.inference import InferencePool
from devicesim.world.places import BlobPlace
from devicesim.world.senses import AnySource


class InstalledBundle(msgspec.Struct, frozen=True):
    """A bundle that the world knows."""

    manifest: Manifest
    digest: bytes
    """SHA-256 of the signed envelope."""
    envelope_bytes: int
    source: AnySource

    @property
    def name(self) -> str:
        """``id@version``."""
        return self.manifest.name


def install(
    source: AnySource,
    signer: Signer,
    blobs: BlobPlace,
    pool: InferencePool,
    shelf: ModelShelf,
    chunk_bytes: int = CHUNK_BYTES_DEFAULT,
) -> InstalledBundle:
    """Sign a bundle, store its blobs, and make its models runnable on devices."""
    built = build_bundle(source.spec, source.models, chunk_bytes)
    manifest = built.manifest
    digest, everything = built.sealed(signer)
    for blob in everything.values():
        blobs.add(blob)
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
                memory_mib=whole_mib(record.memory_kib),
                latency_ms_max=manifest.budgets.latency_ms_max,
                memory_mib_max=manifest.budgets.memory_mib_max,
                kit_samples=source.spec.kit.samples,
                pool=pool,
            ),
        )
    return InstalledBundle(manifest, digest, len(everything[digest]), source)
