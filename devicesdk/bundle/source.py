"""What stands in a bundle's ``bundle.json`` about files, variants and their reference histograms.

Decides the records that whoever publishes a bundle needs, and what makes a file the one that was
described. Leaves out reading files, and the parts of the document that only those who run a model need
(devicesdk/inference/source.py, which has the whole of it).

Rules: whole numbers only (canonical JSON has no floats); every file is named with its size and SHA-256
and refused when they differ; a file name is a plain name, never a path.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devicesdk.bundle.manifest import ALSO_MAX, RULE
from devicesdk.bundle.sealed import seal

SCHEMA: Final = 1
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
BUNDLE_FILE: Final = "bundle.json"

FileName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
SemVer = Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]


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


class KitFile(msgspec.Struct, frozen=True, kw_only=True):
    """The kit's file; its rule is for those who run it."""

    file: FileName
    bytes: Count
    sha256: Hex


class TaskHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a task is called; its details are for those who run it."""

    kind: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The part of ``bundle.json`` that a manifest is made of; other keys are not looked at."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    id: FileName
    version: SemVer
    release: Annotated[int, Meta(ge=1)]
    variants: dict[FileName, VariantRecord]
    prefer: dict[str, tuple[str, ...]]
    budgets: Budgets
    kit: KitFile
    opset: Count = 0
    runtime_min: str = ""
    runtime_max: str = ""
    hardware: tuple[FileName, ...] = ()
    operations: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    task: TaskHead | None = None
    sbom: KitFile | None = None
    carry: dict[str, tuple[str, ...]] = {}
    """Variant to lighter ones that travel inside its image, best first; ``rule`` needs no file."""
    needs: dict[str, tuple[str, ...]] = {}
    """Variant to processor flags that it is built for."""


def read_release(read: Callable[[str, int], bytes]) -> tuple[Release, dict[str, bytes]]:
    """Read what is to be published.

    Args:
        read: returns the content of a file of the bundle by its plain name, at most so many bytes
            (one more than allowed is enough to be refused).

    Returns:
        The release, and the image of each variant: its model file, with the description and the kit
        sealed into it, so that a device that fetched it can judge and run it.

    Raises:
        SourceError: the description is not one, or a file is not what it says.
    """
    text = read(BUNDLE_FILE, FILE_BYTES_MAX + 1)
    try:
        release = msgspec.json.decode(text, type=Release)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(
            f"expected a bundle description in {BUNDLE_FILE}, found: {error}"
        ) from error
    check_prefer(BUNDLE_FILE, release.prefer, release.variants)
    check_carry(BUNDLE_FILE, release.carry, release.variants)
    models = {
        name: check_file(record.file, record, read(record.file, FILE_BYTES_MAX + 1))
        for name, record in release.variants.items()
    }
    kit = release.kit
    content = check_file(kit.file, kit, read(kit.file, FILE_BYTES_MAX + 1))
    return release, {
        name: seal(model, name, text, content, carried(name, release.carry, models))
        for name, model in models.items()
    }


def carried(
    variant: str, carry: dict[str, tuple[str, ...]], models: dict[str, bytes]
) -> dict[str, bytes]:
    """The files of the lighter variants that travel inside the image of `variant`, best first."""
    return {name: models.get(name, b"") for name in carry.get(variant, ())}


def check_carry(
    where: str, carry: dict[str, tuple[str, ...]], variants: dict[str, VariantRecord]
) -> None:
    """Check that what travels in an image exists, and that no image carries itself.

    Raises:
        SourceError: one does not, or does.
    """
    for owner, names in carry.items():
        wrong = [n for n in names if n == owner or (n not in variants and n != RULE)]
        if owner not in variants or wrong or len(names) > ALSO_MAX:
            raise SourceError(
                f"expected carry in {where} to map a variant to at most {ALSO_MAX} others out of "
                f"{[*sorted(variants), RULE]}, found {owner!r}: {list(names)}"
            )


def check_prefer(
    where: str, prefer: dict[str, tuple[str, ...]], variants: dict[str, VariantRecord]
) -> None:
    """Check that each hardware class, ``default`` among them, prefers variants that exist.

    Raises:
        SourceError: one does not.
    """
    for hardware_class in ("default", *prefer):
        for name in prefer.get(hardware_class, ("",)) or ("",):
            if name not in variants:
                raise SourceError(
                    f"expected class {hardware_class!r} in {where} to prefer variants out of "
                    f"{sorted(variants)}, found {name!r}"
                )


def check_file(where: str, record: FileRecord | KitFile, content: bytes) -> bytes:
    """Return `content` if it is what was described.

    Raises:
        SourceError: too large, or altered.
    """
    if max(record.bytes, len(content)) > FILE_BYTES_MAX:
        raise SourceError(
            f"expected at most {FILE_BYTES_MAX} bytes in {where}, found "
            f"{max(record.bytes, len(content))}"
        )
    found = sha256(content).hexdigest()
    if len(content) != record.bytes or found != record.sha256:
        raise SourceError(
            f"expected {where} with {record.bytes} bytes and SHA-256 {record.sha256}, found "
            f"{len(content)} bytes and {found}: it was altered after the bundle was built; "
            "build it again or restore the file"
        )
    return content
