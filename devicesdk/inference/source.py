"""A bundle's source directory: what a builder wrote, read and checked.

Decides the layout ``bundle.json``, one ONNX file a variant, ``kit.npz``. Leaves out the records that
publishing needs as well (devicesdk/bundle/source.py), signing, archives and chunks (devicesdk/bundle)
and everything about running.

Rules: whole numbers only in ``bundle.json`` (canonical JSON has no floats); every file is named with
its size and SHA-256 and refused when they differ; a file name is a plain name, never a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from devicesdk.bundle.source import (
    BUNDLE_FILE,
    FILE_BYTES_MAX,
    SCHEMA,
    Baseline,
    Budgets,
    Count,
    FileName,
    FileRecord,
    Hex,
    SemVer,
    SourceError,
    Strict,
    VariantRecord,
    check_carry,
    check_file,
    check_prefer,
)
from devicesdk.inference import preprocess
from devicesdk.inference.kit import Kit, KitRule, unpack_kit
from devicesdk.inference.preprocess import Edges

__all__ = [
    "BUNDLE_FILE", "FILE_BYTES_MAX", "SCHEMA", "Baseline", "Budgets", "BundleSource", "BundleSpec",
    "Count", "FileName", "FileRecord", "Hex", "KitRecord", "SourceError", "Strict", "VariantRecord",
    "load_source",
]  # fmt: skip


class KitRecord(FileRecord, frozen=True, kw_only=True):
    """The kit's file and its rule."""

    samples: Count
    rule: KitRule


class BundleSpec(Strict, frozen=True, kw_only=True):
    """The whole of ``bundle.json``."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    id: FileName
    version: SemVer
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
    twins: dict[str, FileRecord] = msgspec.field(default_factory=dict)
    """``variant/kernel-class`` to the same model as that kernel would compute it. Simulators only:
    never shipped to a device."""
    carry: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Variant to lighter ones that travel inside its image, best first; ``rule`` needs no file."""
    needs: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Variant to processor flags that it is built for."""

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
    check_prefer(str(path), spec.prefer, spec.variants)
    check_carry(str(path), spec.carry, spec.variants)
    if spec.preprocess[-1:] != (preprocess.CENTRE,):
        raise SourceError(f"expected preprocess in {path} to end in {preprocess.CENTRE!r}")
    return spec


def _read(directory: Path, record: FileRecord) -> bytes:
    path = directory / record.file
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise SourceError(f"expected {path}, found no such file; build the bundle again") from error
    return check_file(str(path), record, content)
