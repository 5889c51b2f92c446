"""Bundles enter the world: a source directory's contents become a signed manifest and blobs.

Decides what runs on the world's devices and puts everything they fetch into the gateway's blob store.
Leaves out the manifest itself (devicesdk/bundle/build.py, as for a real fleet), reading files and key
ceremonies: the signer is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from devicesdk.agent.install import reference_of
from devicesdk.bundle.build import build_bundle, whole_mib
from devicesdk.bundle.manifest import RULE, Manifest
from devicesdk.bundle.roles import Listed, listed
from devicesdk.bundle.sealed import seal
from devicesdk.bundle.source import carried
from devicesdk.bundle.trust import Signer
from devicesdk.inference.preprocess import PIXELS
from devicesdk.inference.rule import RULE_MACS
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT
from devicesdk.wire.timebase import MS, SECOND
from devicesim.world.device_parts import Model, ModelShelf
from devicesim.world.inference import InferencePool
from devicesim.world.places import BlobPlace
from devicesim.world.senses import AnySource
from gateway.core.effects import Infer

GATEWAY_MACS_PER_S: Final = 2_000_000_000
"""A server's core, float32: what two threads beside a busy loop leave."""


class InstalledBundle(msgspec.Struct, frozen=True):
    """A bundle that the world knows."""

    manifest: Manifest
    digest: bytes
    """SHA-256 of the signed envelope."""
    envelope_bytes: int
    source: AnySource
    listed: Listed
    """What targets say of it."""
    deltas: bool = True
    """Whether devices may come to it by a delta."""

    @property
    def name(self) -> str:
        """``id@version``."""
        return self.manifest.name


class GatewayModels:
    """The models as the gateway runs them for devices that ask.

    Args:
        pool: runs them.
        bundles: what may be asked for.
    """

    __slots__ = ("_models", "_pool")

    def __init__(self, pool: InferencePool, bundles: Iterable[InstalledBundle]) -> None:
        self._pool = pool
        self._models = {
            variant.image.raw: (bundle.source.digest(variant.name), variant.macs)
            for bundle in bundles
            for variant in bundle.manifest.variants
        }

    def __call__(self, effect: Infer) -> tuple[bytes, int]:
        """Outputs of an ask, and how long it took in ns; no outputs where it is not its input."""
        found = self._models.get(effect.image)
        if found is None or len(effect.pixels) != effect.frames * PIXELS:
            return b"", MS
        digest, macs = found
        pixels = np.frombuffer(effect.pixels, dtype=np.uint8).astype(np.float32) - 128.0
        outputs = self._pool.outputs(digest, pixels.reshape(effect.frames, PIXELS))
        return outputs, MS + effect.frames * macs * SECOND // GATEWAY_MACS_PER_S


def install(
    source: AnySource,
    signer: Signer,
    blobs: BlobPlace,
    pool: InferencePool,
    shelf: ModelShelf,
    chunk_bytes: int = CHUNK_BYTES_DEFAULT,
    *,
    deltas: bool = True,
    memory: float = 1.0,
) -> InstalledBundle:
    """Sign a bundle, store its blobs, and make its models runnable on devices; there they take `memory`
    times what the manifest says."""
    images = _images(source)
    built = build_bundle(source.spec, images, chunk_bytes)
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
                memory_mib=whole_mib(round(record.memory_kib * memory)),
                latency_ms_max=manifest.budgets.latency_ms_max,
                memory_mib_max=manifest.budgets.memory_mib_max,
                kit_samples=source.spec.kit.samples,
                pool=pool,
                also=source.spec.carry.get(name, ()),
                confidence=reference_of(manifest, ""),
            ),
        )
    if any(RULE in names for names in source.spec.carry.values()):
        _put_rule(source, digest, pool, shelf)
    envelope = everything[digest]
    return InstalledBundle(
        manifest, digest, len(envelope), source, listed(manifest, envelope), deltas
    )


def _images(source: AnySource) -> dict[str, bytes]:
    """What devices fetch: the models, and in those that carry others, the others too."""
    carry = source.spec.carry
    return {
        name: seal(model, name, b"", b"", carried(name, carry, source.models))
        if carry.get(name)
        else model
        for name, model in source.models.items()
    }


def _put_rule(source: AnySource, manifest: bytes, pool: InferencePool, shelf: ModelShelf) -> None:
    """Put the reader that is no model on the shelf, under a digest of its own."""
    digest = sha256(b"rule/" + manifest).digest()
    pool.register_rule(source, digest)
    shelf.put(
        manifest,
        RULE,
        Model(
            name=RULE,
            digest=digest,
            macs=RULE_MACS,
            precision="fp32",
            memory_mib=1,
            latency_ms_max=1e9,
            memory_mib_max=1e9,
            kit_samples=0,
            pool=pool,
        ),
    )
