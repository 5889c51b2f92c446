"""A bundle's source directory: what a builder wrote, read and checked.

Decides the layout ``bundle.json``, one ONNX file a variant, ``kit.npz``. Leaves out signing, archives
and chunks (devicesdk/bundle) and everything about running.

Rules: whole numbers only in ``bundle.json`` (canonical JSON has no floats); every file is named with
its size and SHA-256 and refused when they differ; a file name is a plain name, never a path.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devicesdk.inference import preprocess
from devicesdk.inference.kit import Kit, KitRule, unpack_kit
from devicesdk.inference.preprocess import Edges

SCHEMA: Final = 1
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
BUNDLE_FILE: Final = "bundle.json"

FileName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]


class SourceError(ValueError):
    """A bundle directory is incomplete, altered or written for another version of this program."""


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what stands in ``bundle.json``: an unknown key is a typing error of its author."""


class FileRecord(Strict, frozen=True, kw_only=True):
    """One file beside ``bundle.json``."""

    file: FileName
    bytes: Count
    sha256: Hex


class Baseline(Strict, frozen=True, kw_only=True):
    """Counts of a healthy population in the bundle's pinned bins; each histogram has its own sum.

    No bin is empty (one is added to each), so a quotient of probabilities is always finite.
    """

    frames: Count
    confidence: tuple[int, ...]
    entropy: tuple[int, ...]
    features: tuple[tuple[int, ...], ...]


class VariantRecord(FileRecord, frozen=True, kw_only=True):
    """One build of the model."""

    precision: str
    macs: Count
    """Multiply-accumulates of one inference: devices turn it into time and energy."""
    memory_kib: Count
    """Weights and the largest pair of activations, float32 or int8 as the variant computes."""
    baseline: Baseline


class Budgets(Strict, frozen=True, kw_only=True):
    """What the model may cost on a device before a gate calls it a regression."""

    latency_ms_p95_max: Count
    memory_mib_max: Count
    power_mw_max: Count


class KitRecord(FileRecord, frozen=True, kw_only=True):
    """The kit's file and its rule."""

    samples: Count
    rule: KitRule


class BundleSpec(Strict, frozen=True, kw_only=True):
    """The whole of ``bundle.json``."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    id: FileName
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    release: Count
    """Rises with every release whatever its version says: a device never goes back by accident."""
    licence: str
    summary: str
    opset: Count
    runtime_min: str
    input_shape: tuple[int, int, int]
    """Channels, height, width; the batch dimension is free."""
    labels: Count
    preprocess: tuple[str, ...]
    variants: dict[FileName, VariantRecord]
    prefer: dict[str, tuple[str, ...]]
    """Hardware class to variants, best first; the class ``default`` serves all others."""
    budgets: Budgets
    edges: Edges
    kit: KitRecord
    twins: dict[str, FileRecord] = {}
    """``variant/kernel-class`` to the same model as that kernel would compute it. Simulators only:
    never shipped to a device."""

    def preferred(self, hardware_class: str) -> tuple[str, ...]:
        """Variants for a hardware class, best first."""
        return self.prefer.get(hardware_class, self.prefer["default"])


class BundleSource(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle directory in memory."""

    spec: BundleSpec
    models: dict[str, bytes]
    """Variant to ONNX bytes."""
    twins: dict[str, bytes]
    kit: Kit

    def digest(self, variant: str) -> bytes:
        """SHA-256 of a variant's file, 32 bytes: the name under which it is run."""
        return bytes.fromhex(self.spec.variants[variant].sha256)


def load_source(directory: Path) -> BundleSource:
    """Read and check a bundle directory.

    Raises:
        SourceError: a file is missing, altered or of the wrong form; says which and what to do.
    """
    spec = _read_spec(directory / BUNDLE_FILE)
    models = {name: _read(directory, record) for name, record in spec.variants.items()}
    twins = {name: _read(directory, record) for name, record in spec.twins.items()}
    kit = unpack_kit(_read(directory, spec.kit))
    if len(kit.pixels) != spec.kit.samples:
        raise SourceError(
            f"expected {spec.kit.samples} samples in the kit, found {len(kit.pixels)}"
        )
    for name in spec.variants:
        kit.golden(name)
    return BundleSource(spec=spec, models=models, twins=twins, kit=kit)


def _read_spec(path: Path) -> BundleSpec:
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=BundleSpec)
    except FileNotFoundError as error:
        raise SourceError(f"expected {path}, found no such file; is this a bundle?") from error
    except msgspec.MsgspecError as error:
        raise SourceError(f"expected a bundle description in {path}, found: {error}") from error
    for hardware_class in ("default", *spec.prefer):
        for name in spec.prefer.get(hardware_class, ("",)):
            if name not in spec.variants:
                raise SourceError(
                    f"expected class {hardware_class!r} in {path} to prefer variants out of "
                    f"{sorted(spec.variants)}, found {name!r}"
                )
    if spec.preprocess[-1:] != (preprocess.CENTRE,):
        raise SourceError(f"expected preprocess in {path} to end in {preprocess.CENTRE!r}")
    return spec


def _read(directory: Path, record: FileRecord) -> bytes:
    path = directory / record.file
    if record.bytes > FILE_BYTES_MAX:
        raise SourceError(
            f"expected at most {FILE_BYTES_MAX} bytes in {path}, found {record.bytes}"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"expected {path}, found no such file; build the bundle again") from error
    found = sha256(content).hexdigest()
    if len(content) != record.bytes or found != record.sha256:
        raise SourceError(
            f"expected {path} with {record.bytes} bytes and SHA-256 {record.sha256}, found "
            f"{len(content)} bytes and {found}: it was altered after the bundle was built; "
            "build it again or restore the file"
        )
    return content
