"""The signed description of a bundle: what it is, what it needs, what its bytes hash to.

Decides fields and their bounds and the choice of a variant by facts about the device. Leaves out
signatures (trust.py), the chunks (chunks.py) and the archive (a tool's business).

Rules: a manifest is JSON inside a `Signed` envelope; it is named by the SHA-256 of the *envelope*;
nothing of a bundle is believed before the envelope's signature is. The hash list of a variant is the
concatenated SHA-256 of its chunks, itself a blob named by its digest.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devicesdk.wire import limits
from devicesdk.wire.errors import BadManifest
from devicesdk.wire.messages import Capabilities

ALSO_MAX = 8
RULE = "rule"
"""The variant that is no model: the reader that its bundle writes down as a rule."""
_NUMBERS = re.compile(r"\d+")

Positive = Annotated[int, Meta(ge=1)]
Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class BlobRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A blob: SHA-256 in hex, and its size."""

    digest: Hex32
    size_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES_MAX)]

    @property
    def raw(self) -> bytes:
        """The digest as 32 bytes."""
        return bytes.fromhex(self.digest)


class Variant(msgspec.Struct, frozen=True):
    """One model file for some hardware classes."""

    name: str
    image: BlobRef
    hashes: BlobRef
    """The hash list: 32 bytes a chunk."""
    chunk_bytes: Annotated[int, Meta(ge=limits.CHUNK_BYTES_MIN, le=limits.CHUNK_BYTES_MAX)]
    hardware: tuple[str, ...]
    """Hardware classes it fits, ``*`` for any."""
    macs: Positive = 1
    memory_mib: Positive = 1
    also: Annotated[tuple[str, ...], Meta(max_length=ALSO_MAX)] = ()
    """Lighter variants that the image carries, best first: the device can switch without a download."""
    needs: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    """Processor flags that it is built for, such as ``avx512_vnni``; all of them."""
    runtime_min: Annotated[str, Meta(pattern=r"^(\d+(\.\d+){0,3})?$")] = ""
    """Version of the inference runtime that it asks for; empty: any."""

    def runs_on(self, capabilities: Capabilities | None) -> bool:
        """Whether the runtime of a device can run it, as far as it said what it can."""
        if capabilities is None:
            return True
        if capabilities.memory_mib and self.memory_mib > capabilities.memory_mib:
            return False
        if any(flag not in capabilities.cpu for flag in self.needs):
            return False
        known = capabilities.runtime
        return not known or version_of(known) >= version_of(self.runtime_min)


class Budgets(msgspec.Struct, frozen=True):
    """What the kit run on the device may cost at most."""

    latency_ms_max: float = 1e9
    memory_mib_max: float = 1e9


class Manifest(msgspec.Struct, frozen=True):
    """One version of one bundle."""

    id: str
    version: str
    release: Positive
    """Monotone release counter, for the rollback rule of the TUF roles; carried, not judged yet."""
    variants: tuple[Variant, ...]
    kit: str = ""
    """Digest (hex) of the validation kit that the runtime on the device finds beside the image."""
    budgets: Budgets = Budgets()
    baseline: dict[str, list[float]] = {}
    """Pinned histogram probabilities of the training reference, by histogram name."""
    opset: int = 0
    """ONNX operator set of the models; 0 where nobody said."""
    runtime: tuple[str, str] = ("", "")
    """Oldest and newest ONNX Runtime that they are for; an empty end is open."""
    hardware: tuple[str, ...] = ()
    """Machines they are built for, such as ``arm64``; empty: any."""
    task: str = ""
    """What the model is for, such as ``classify``; empty: it reads dials."""
    operations: str = ""
    """Digest (hex) of the pinned operations before and after the model."""
    sbom: str = ""
    """Digest (hex) of the bill of materials in the bundle's archive."""

    @property
    def name(self) -> str:
        """``id@version``."""
        return f"{self.id}@{self.version}"

    def variant_for(
        self, hardware_class: str, memory_mib: int, capabilities: Capabilities | None = None
    ) -> Variant | None:
        """The first listed variant that fits the device, or None: the bundle is not for it.

        Args:
            hardware_class: of the device.
            memory_mib: for models.
            capabilities: what its runtime can do; None: nobody knows, so it is not asked.
        """
        for variant in self.variants:
            fits = "*" in variant.hardware or hardware_class in variant.hardware
            if fits and variant.memory_mib <= memory_mib and variant.runs_on(capabilities):
                return variant
        return None


def version_of(text: str) -> tuple[int, ...]:
    """A version's numbers, for comparing: ``1.20.1+cpu`` is (1, 20, 1, 0)."""
    numbers = [int(found) for found in _NUMBERS.findall(text.partition("+")[0])[:4]]
    return (*numbers, 0, 0, 0, 0)[:4]


_ADDED: Final = ("opset", "runtime", "hardware", "task", "operations", "sbom")
"""Fields that came later: left out where nobody said anything, so that older manifests keep their bytes."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Canonical JSON: keys in declared order, no spaces; the same manifest gives the same bytes."""
    told = msgspec.to_builtins(manifest)
    for field in msgspec.structs.fields(Manifest):
        if field.name in _ADDED and getattr(manifest, field.name) == field.default:
            del told[field.name]
    return msgspec.json.encode(told)


def decode_manifest(payload: bytes) -> Manifest:
    """Read a manifest's JSON after its signature was verified.

    Raises:
        BadManifest: too large, not JSON, a field is missing or out of bounds, or a hash list's size
            does not fit its image.
    """
    if len(payload) > limits.MANIFEST_BYTES_MAX:
        raise BadManifest(
            f"expected a manifest of at most {limits.MANIFEST_BYTES_MAX} bytes, found {len(payload)}"
        )
    try:
        manifest = msgspec.json.decode(payload, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"expected a bundle manifest, found {payload[:40]!r}: {error}") from error
    for variant in manifest.variants:
        check_variant(variant)
    return manifest


def check_variant(variant: Variant) -> None:
    """Check that chunk size, image size and hash list fit each other.

    Raises:
        BadManifest: they do not.
    """
    if variant.chunk_bytes & (variant.chunk_bytes - 1):
        raise BadManifest(f"expected a power of two as chunk size, found {variant.chunk_bytes}")
    chunks = -(-variant.image.size_bytes // variant.chunk_bytes)
    if chunks > limits.BLOB_CHUNKS_MAX or variant.hashes.size_bytes != 32 * chunks:
        raise BadManifest(
            f"expected a hash list of {32 * chunks} bytes for {chunks} chunks of {variant.name} (at "
            f"most {limits.BLOB_CHUNKS_MAX} chunks), found {variant.hashes.size_bytes} bytes"
        )
