"""Models that no scenario named: what an operator published while the fleet was running.

Decides how a device of the world comes to run what it fetched. Leaves out fetching and verifying, which its agent did.

Theory of operation. A world's models are shared by its devices and known by bundle and variant. One that is asked for
and not known is read where the gateway keeps it: the same bytes, by the same digest, that the device has in its flash.

Rules: devices here read dials; any other model fails its validation kit on them, with the reason ``strange``, and the
gateway is told so like any other failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from devicesdk.agent.install import reference_of
from devicesdk.bundle.manifest import Manifest, Variant, decode_manifest
from devicesdk.inference.beside import Beside, SealError, unseal
from devicesdk.inference.kit import unpack_kit
from devicesdk.inference.onnx import ModelError, metadata_of, open_session
from devicesdk.inference.source import BundleSource, SourceError
from devicesdk.wire import codec, limits
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import Signed
from devicesim.world.device_parts import KitJudgement, Model, ModelShelf
from devicesim.world.inference import InferencePool
from devicesim.world.senses import GAUGE, kind_of
from gateway.ports import BlobError, Blobs

STRANGE: Final = "strange"
ENVELOPE_BYTES_MAX: Final = limits.MANIFEST_BYTES_MAX + 1024


class StrangeModel(Model, frozen=True):
    """A model that devices here cannot run."""

    def judge_kit(self, kernel: str, latency_ns: int) -> KitJudgement:
        """No."""
        del kernel, latency_ns
        return KitJudgement(passed=False, reason=STRANGE, worst_permille=1000)


class Arrivals:
    """Looks models up; those that are not known, where the gateway keeps them.

    Args:
        shelf: of the world.
        pool: where they run.
        blobs: of the gateway.
    """

    def __init__(self, shelf: ModelShelf, pool: InferencePool, blobs: Blobs) -> None:
        self._shelf, self._pool, self._blobs = shelf, pool, blobs
        self._known: Callable[[tuple[bytes, str]], Model] = shelf.get
        shelf.get = self.get

    def get(self, key: tuple[bytes, str]) -> Model:
        """The model of a bundle's variant.

        Raises:
            BlobError: the gateway does not have it any more.
        """
        try:
            return self._known(key)
        except KeyError:
            model = self._fetch(*key)
            self._shelf.put(*key, model)
            return model

    def _fetch(self, digest: bytes, name: str) -> Model:
        size = min(self._blobs.size_bytes(digest), ENVELOPE_BYTES_MAX)
        envelope = codec.decode(Signed, self._blobs.read(digest, 0, size), ENVELOPE_BYTES_MAX)
        manifest = decode_manifest(envelope.payload)
        variant = next((one for one in manifest.variants if one.name == name), None)
        if variant is None:
            raise BlobError(f"expected a variant {name} in {manifest.name}, found none")
        image = self._blobs.read(variant.image.raw, 0, variant.image.size_bytes)
        source = _source_of(manifest, variant, image)
        if source is not None:
            try:
                self._pool.register(source)
            except ValueError:  # too many models, or the same one with other bins
                source = None
        return _model(manifest, variant, source, self._pool)


def _source_of(manifest: Manifest, variant: Variant, image: bytes) -> BundleSource | None:
    """The image as something that runs here; None where it is not."""
    try:
        beside = unseal(metadata_of(open_session(image)))
        if beside is None or variant.also or not _reads_dials(manifest, beside):
            return None
        kit = unpack_kit(beside.kit)
        kit.golden(variant.name)
    except (ModelError, SealError, SourceError, ProtocolError, ValueError, KeyError):
        return None
    variants = {variant.name: beside.spec.variants[variant.name]}
    spec = replace(beside.spec, variants=variants, twins={})
    return BundleSource(spec=spec, models={variant.name: image}, twins={}, kit=kit)


def _reads_dials(manifest: Manifest, beside: Beside) -> bool:
    return beside.spec.task is None and kind_of(manifest.id) == GAUGE


def _model(
    manifest: Manifest, variant: Variant, source: BundleSource | None, pool: InferencePool
) -> Model:
    kind = StrangeModel if source is None else Model
    precision = "" if source is None else source.spec.variants[variant.name].precision
    return kind(
        name=variant.name,
        digest=variant.image.raw if source is None else source.digest(variant.name),
        macs=variant.macs,
        precision="int8" if "int8" in precision else "fp32",
        memory_mib=variant.memory_mib,
        latency_ms_max=manifest.budgets.latency_ms_max,
        memory_mib_max=manifest.budgets.memory_mib_max,
        kit_samples=0 if source is None else source.spec.kit.samples,
        pool=pool,
        confidence=reference_of(manifest, ""),
    )
