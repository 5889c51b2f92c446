"""A bundle's source directory: what a builder wrote, read and checked.

Decides the layout ``bundle.json``, one ONNX file a variant, ``kit.npz``, for the dial reader and for any
other model. Leaves out the records that publishing needs as well (devicesdk/bundle/source.py), signing,
archives and chunks (devicesdk/bundle) and everything about running.

Rules: whole numbers only in ``bundle.json`` (canonical JSON has no floats); every file is named with
its size and SHA-256 and refused when they differ; a file name is a plain name, never a path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from devicesdk.bundle.archive import ARCHIVE_BYTES_MAX, file_reader, unpack
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
from devicesdk.inference import operations, preprocess
from devicesdk.inference.kit import Kit, KitRule, unpack_kit
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.tasks import Task
from devicesdk.inference.tensor_kit import TensorKit, unpack_tensor_kit

__all__ = [
    "BUNDLE_FILE",
    "FILE_BYTES_MAX",
    "SCHEMA",
    "Baseline",
    "Budgets",
    "BundleSource",
    "BundleSpec",
    "Count",
    "FileName",
    "FileRecord",
    "Hex",
    "KitRecord",
    "SourceError",
    "Strict",
    "TensorSource",
    "VariantRecord",
    "decode_spec",
    "directory_reader",
    "load_any",
    "load_source", "reader_of",
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
    input_shape: tuple[int, ...]
    """Of the first input, without the batch dimension; for a dial reader channels, height, width."""
    labels: Count
    """Numbers of an output row: dial bins, classes, components; 0 where it varies."""
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
    task: Task | None = None
    """What the model is for; None: it reads dials, as preprocess.py says."""
    operations: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """Digest of the pinned operations (`operations.digest_of`); empty for dial readers of old."""
    runtime_max: str = ""
    hardware: tuple[FileName, ...] = ()
    """Machines it is built for, such as ``arm64``; empty: any."""
    metrics: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """By variant, what its builder measured, whole numbers with their unit in the name."""
    origin: str = ""
    """Where the model came from, in words: a package and its version, a training script."""
    sbom: FileRecord | None = None
    """The bill of materials, CycloneDX JSON with a model card."""

    @property
    def dtype(self) -> str:
        """Of the first input."""
        return "float32" if self.task is None else self.task.inputs[0].dtype

    carry: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Variant to lighter ones that travel inside its image, best first; ``rule`` needs no file."""
    needs: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Variant to processor flags that it is built for."""

    def preferred(self, hardware_class: str) -> tuple[str, ...]:
        """Variants for a hardware class, best first."""
        return self.prefer.get(hardware_class, self.prefer["default"])


class TensorSource(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle of a model with a task, in memory."""

    spec: BundleSpec
    task: Task
    models: dict[str, bytes]
    """Variant to ONNX bytes."""
    kit: TensorKit

    def digest(self, variant: str) -> bytes:
        """SHA-256 of a variant's file, 32 bytes: the name under which it is run."""
        return bytes.fromhex(self.spec.variants[variant].sha256)


class BundleSource(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle directory of a dial reader in memory."""

    spec: BundleSpec
    models: dict[str, bytes]
    """Variant to ONNX bytes."""
    twins: dict[str, bytes]
    kit: Kit

    def digest(self, variant: str) -> bytes:
        """SHA-256 of a variant's file, 32 bytes: the name under which it is run."""
        return bytes.fromhex(self.spec.variants[variant].sha256)


def load_source(path: Path) -> BundleSource:
    """Read and check the bundle of a dial reader: a directory, or an archive.

    Raises:
        SourceError: a file is missing, altered or of the wrong form, or the model reads no dials; says
            which and what to do.
    """
    source = load_any(reader_of(path))
    if isinstance(source, TensorSource):
        raise SourceError(
            f"expected a reader of dials in {path}, found the task {source.task.kind}: it runs on "
            "devices, and not on those of a scenario that draws dials"
        )
    return source


def load_any(read: Callable[[str, int], bytes]) -> BundleSource | TensorSource:
    """Read and check a bundle.

    Args:
        read: returns a file of the bundle by its plain name, at most so many bytes.

    Raises:
        SourceError: a file is altered or of the wrong form, or what `read` raises.
    """
    spec = decode_spec(read(BUNDLE_FILE, FILE_BYTES_MAX + 1))

    def content(record: FileRecord) -> bytes:
        return check_file(record.file, record, read(record.file, FILE_BYTES_MAX + 1))

    models = {name: content(record) for name, record in spec.variants.items()}
    if spec.sbom is not None:
        content(spec.sbom)
    twins = {name: content(record) for name, record in spec.twins.items()}
    packed = content(spec.kit)
    if spec.task is not None:
        tensors = unpack_tensor_kit(packed, spec.task)
        _check_kit(spec, len(tensors.samples))
        for name in spec.variants:
            tensors.golden(name)
        return TensorSource(spec=spec, task=spec.task, models=models, kit=tensors)
    kit = unpack_kit(packed)
    _check_kit(spec, len(kit.pixels))
    for name in spec.variants:
        kit.golden(name)
    return BundleSource(spec=spec, models=models, twins=twins, kit=kit)


def decode_spec(text: bytes) -> BundleSpec:
    """Read a description and check what its parts say of each other.

    Raises:
        SourceError: not one, or they disagree.
    """
    try:
        spec = msgspec.json.decode(text, type=BundleSpec)
        if spec.task is None:
            dial_operations(spec.preprocess)
        else:
            operations.check(spec.preprocess, spec.task.postprocess)
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        operations.OperationError,
    ) as error:
        raise SourceError(
            f"expected a bundle description in {BUNDLE_FILE}, found: {error}"
        ) from error
    check_prefer(BUNDLE_FILE, spec.prefer, spec.variants)
    check_carry(BUNDLE_FILE, spec.carry, spec.variants)
    after = () if spec.task is None else spec.task.postprocess
    pinned = operations.digest_of(spec.preprocess, after)
    if spec.operations != pinned and (spec.operations or spec.task is not None):
        raise SourceError(
            f"expected the digest {pinned} of its operations in {BUNDLE_FILE}, found "
            f"{spec.operations or 'none'}: they were altered after the bundle was built"
        )
    return spec


def dial_operations(listed: tuple[str, ...]) -> None:
    """Check the operations of a dial reader.

    Raises:
        OperationError: they do not end in `preprocess.CENTRE`.
    """
    if listed[-1:] != (preprocess.CENTRE,):
        raise operations.OperationError(f"expected preprocess to end in {preprocess.CENTRE!r}")


def reader_of(path: Path) -> Callable[[str, int], bytes]:
    """Reads the files of a bundle, a directory or an archive, by their plain names.

    Raises:
        SourceError: it is a file and no archive of a bundle.
    """
    if not path.is_file():
        return directory_reader(path)
    with path.open("rb") as file:
        return file_reader(unpack(file.read(ARCHIVE_BYTES_MAX + 1)))


def directory_reader(directory: Path) -> Callable[[str, int], bytes]:
    """Reads the files of a bundle directory by their plain names.

    Raises (when it is called):
        SourceError: there is no such file.
    """

    def read(name: str, bytes_max: int) -> bytes:
        path = directory / name
        try:
            with path.open("rb") as file:
                return file.read(bytes_max)
        except FileNotFoundError as error:
            why = "is this a bundle?" if name == BUNDLE_FILE else "build the bundle again"
            raise SourceError(f"expected {path}, found no such file; {why}") from error

    return read


def _check_kit(spec: BundleSpec, found: int) -> None:
    if found != spec.kit.samples:
        raise SourceError(f"expected {spec.kit.samples} samples in the kit, found {found}")
