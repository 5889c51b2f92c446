"""The commands ``fleetdrill bundle build|inspect|verify|quantize|diff``.

Decides options, exit codes and what goes to which stream: results to standard output, errors and notes to
standard error. Leaves out all work. Publishing joins this group when the gateway is installed.

Exit codes: 0 done; 1 a check said no (a variant reads rubbish, a kit fails, something looks like a secret, two
bundles differ); 2 an option, a model, a sample or an archive cannot be used.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast, get_args

import typer

from devicesdk.packing.options import (
    After,
    AsJson,
    Before,
    Calibration,
    Datasets,
    Key,
    LabelsFile,
    LatencyMs,
    Licence,
    Limits,
    Machines,
    MemoryMib,
    ModelFile,
    Name,
    Origin,
    Out,
    Output,
    PowerMw,
    Preferences,
    Release,
    Samples,
    SamplesMax,
    Source,
    SpanText,
    Summary,
    TaskName,
    Timestamp,
    Tolerance,
    Uses,
    VariantNames,
    Version,
)

if TYPE_CHECKING:
    from devicesdk.bundle.trust import Ed25519Signer
    from devicesdk.inference.source import BundleSpec
    from devicesdk.packing.builder import Labels, Packed
    from devicesdk.packing.checking import Check
    from devicesdk.packing.study import Said

T = TypeVar("T")
EXIT_DONE, EXIT_NO, EXIT_INVALID = range(3)
EXTRA: Final = "bundle"
TARGETS_KEY: Final = "targets.key"

bundle_app = typer.Typer(
    name="bundle", help="Build, check and publish model bundles.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(bundle_app)


@bundle_app.command("build")
def build_command(
    *,
    model: ModelFile,
    samples: Samples,
    name: Name = "",
    version: Version = "1.0.0",
    release: Release = 1,
    task: TaskName = "",
    output: Output = "",
    preprocess: Before = "",
    postprocess: After = None,
    labels: LabelsFile = None,
    span: SpanText = "",
    variants: VariantNames = "",
    prefer: Preferences = None,
    calibration: Calibration = None,
    samples_max: SamplesMax = 2000,
    budget_latency_ms: LatencyMs = 1000,
    budget_memory_mib: MemoryMib = 0,
    budget_power_mw: PowerMw = 5000,
    tolerance: Tolerance = 20,
    licence: Licence = "",
    summary: Summary = "",
    origin: Origin = "",
    dataset: Datasets = None,
    use: Uses = None,
    limit: Limits = None,
    machine: Machines = None,
    key: Key = None,
    timestamp: Timestamp = "",
    out: Out = Path(),
    as_json: AsJson = False,
) -> None:
    """Build a bundle of any ONNX model: variants, kit, bins, bill of materials."""

    def work() -> tuple[Packed, Path]:
        from devicesdk.packing import builder, files
        from devicesdk.packing.kits import Bar
        from devicesdk.packing.samples import read_samples

        orders = builder.Orders(
            model=_content(_found(model)),
            samples=read_samples(samples, samples_max),
            said=_said(task, output, preprocess, postprocess, labels, span),
            labels=builder.Labels(
                id=name or _name_of(_found(model)), version=version, release=release, licence=licence,
                summary=summary, origin=origin, datasets=tuple(map(_dataset, dataset or ())),
                uses=tuple(use or ()), limits=tuple(limit or ()), hardware=tuple(machine or ()),
                timestamp=_timestamp(timestamp),
            ),
            wanted=_words(variants),
            prefer=dict(map(_preference, prefer or ())),
            calibration=read_samples(calibration, samples_max) if calibration else (),
            bar=Bar(tolerance=tolerance),
            costs=builder.Costs(budget_latency_ms, budget_memory_mib, budget_power_mw),
        )  # fmt: skip
        packed = builder.build(orders, _signer(key))
        return packed, files.write_archive(packed.members, packed.spec, out)

    _tell(*_guarded(work), as_json=as_json)


@bundle_app.command("quantize")
def quantize_command(
    bundle: Source,
    *,
    variants: Annotated[str, typer.Option(help="Variants to add, such as int8-rr,fp16.")],
    samples: Samples,
    version: Annotated[str, typer.Option(help="Of the new bundle.")],
    release: Annotated[int | None, typer.Option(min=1, help="One more by default.")] = None,
    samples_max: Annotated[int, typer.Option(min=2, help="Use so many, evenly spread.")] = 2000,
    key: Key = None,
    timestamp: Timestamp = "",
    out: Out = Path(),
    as_json: AsJson = False,
) -> None:
    """Add variants to a bundle; what is in it stays as it is."""

    def work() -> tuple[Packed, Path]:
        from devicesdk.packing import adding, files
        from devicesdk.packing.samples import read_samples

        opened = files.open_bundle(bundle)
        labels = _labels_of(opened.spec(), version, release, _timestamp(timestamp))
        additions = adding.Additions(
            names=_words(variants), samples=read_samples(samples, samples_max), labels=labels
        )
        packed = adding.add(opened, additions, _signer(key))
        return packed, files.write_archive(packed.members, packed.spec, out)

    _tell(*_guarded(work), as_json=as_json)


@bundle_app.command("inspect")
def inspect_command(bundle: Source, *, as_json: AsJson = False) -> None:
    """Say what a bundle is: sizes, variants, budgets, bins, digests, licences."""

    def work() -> str:
        from devicesdk.packing import files, showing

        opened = files.open_bundle(bundle)
        return json.dumps(showing.facts(opened)) if as_json else "\n".join(showing.words(opened))

    typer.echo(_guarded(work))


@bundle_app.command("verify")
def verify_command(
    bundle: Source,
    *,
    key: Annotated[
        Path | None, typer.Option(help="trust.json or a public key: whose signature is expected.")
    ] = None,
    kit: Annotated[bool, typer.Option(help="Run the validation kit on this machine.")] = True,
    as_json: AsJson = False,
) -> None:
    """Check archive, digests, manifest, signature, and the kit on this machine."""

    def work() -> list[Check]:
        from devicesdk.packing import checking, files

        public = files.read_public(key) if key is not None else ()
        return checking.verify(files.open_bundle(bundle), public, run_kits=kit)

    checks = _guarded(work)
    if as_json:
        typer.echo(json.dumps({"checks": [check._asdict() for check in checks]}))
    else:
        for check in checks:
            typer.echo(f"{check.state:<8} {check.name}: {check.said}")
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(EXIT_NO)


@bundle_app.command("diff")
def diff_command(
    before: Annotated[Path, typer.Argument(metavar="A")],
    after: Annotated[Path, typer.Argument(metavar="B")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two bundles: weights, sizes, metrics, thresholds, operations."""

    def work() -> dict[str, Any]:
        from devicesdk.packing import difference, files

        return difference.compare(files.open_bundle(before), files.open_bundle(after))

    found = _guarded(work)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from devicesdk.packing.difference import lines_of

        typer.echo("\n".join(lines_of(found)))
    raise typer.Exit(EXIT_NO if found else EXIT_DONE)


# -- what options mean -------------------------------------------------------------------------------


def _guarded(work: Callable[[], T]) -> T:
    """Do the work; a refusal becomes a sentence on standard error and an exit code."""
    from devicesdk.bundle.guard import SecretsFound
    from devicesdk.packing.errors import NotGood

    try:
        return work()
    except ModuleNotFoundError as error:
        typer.echo(
            f"expected the packages of the bundle tool, found no {error.name}: "
            f"pip install 'fleetdrill[{EXTRA}]'",
            err=True,
        )
        raise typer.Exit(EXIT_INVALID) from error
    except (NotGood, SecretsFound) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_NO) from error
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_INVALID) from error


def _tell(packed: Packed, path: Path, *, as_json: bool) -> None:
    spec = packed.spec
    for note in packed.notes:
        typer.echo(note, err=True)
    if as_json:
        made = {"path": str(path), "id": spec.id, "version": spec.version, "notes": packed.notes,
                "variants": {name: one.bytes for name, one in spec.variants.items()},
                "metrics": spec.metrics}  # fmt: skip
        typer.echo(json.dumps(made))
        return
    for name, one in spec.variants.items():
        measured = ", ".join(f"{k} {v}" for k, v in sorted(spec.metrics.get(name, {}).items()))
        typer.echo(
            f"{name}: {one.bytes} bytes, {one.macs // 1000} kMAC, {one.memory_kib} KiB; {measured}"
        )
    typer.echo(str(path))


def _labels_of(spec: BundleSpec, version: str, release: int | None, timestamp: str) -> Labels:
    from devicesdk.packing.builder import Labels

    return Labels(
        id=spec.id, version=version, release=release or spec.release + 1, licence=spec.licence,
        summary=spec.summary, origin=spec.origin, hardware=spec.hardware, timestamp=timestamp,
    )  # fmt: skip


def _said(
    task: str, output: str, before: str, after: str | None, labels: Path | None, span: str
) -> Said:
    from devicesdk.packing.study import Said

    return Said(
        kind=_kind(task),
        output=output,
        before=tuple(before.split()),
        after=None if after is None else tuple(after.split()),
        labels=_class_names(labels),
        span=_span(span),
    )


def _kind(text: str) -> Any:
    from devicesdk.inference.tasks import TaskKind

    kinds = get_args(TaskKind)
    if text and text not in kinds:
        raise ValueError(f"expected --task out of {', '.join(kinds)}, found {text!r}")
    return text or None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _span(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"expected --span low,high, found {text!r}") from error
    return low, high


def _preference(text: str) -> tuple[str, tuple[str, ...]]:
    hardware, mark, names = text.partition("=")
    if not mark or not hardware or not _words(names):
        raise ValueError(f"expected --prefer HARDWARE=variant,variant, found {text!r}")
    return hardware, _words(names)


def _dataset(text: str) -> tuple[str, str]:
    name, _, description = text.partition(":")
    return name.strip(), description.strip() or name.strip()


def _timestamp(text: str) -> str:
    from devicesdk.packing.builder import TIMESTAMP_DEFAULT

    if text:
        return text
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return TIMESTAMP_DEFAULT
    if not epoch.isdecimal():
        raise ValueError(f"expected whole seconds in SOURCE_DATE_EPOCH, found {epoch!r}")
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _name_of(model: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", model.stem.lower()).strip("-._")
    return name[:64] or "model"


def _class_names(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    text = _content(file).decode()
    if not text.lstrip().startswith("["):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    found = json.loads(text)
    if not all(isinstance(name, str) for name in found):
        raise ValueError(f"expected a list of names in {file}, found something else")
    return tuple(cast("list[str]", found))


def _found(model: str) -> Path:
    """A file, or one inside an installed package: other people's weights stay in their wheels."""
    package, mark, inside = model.partition(":")
    if not mark or Path(model).exists():
        return Path(model)
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / inside).is_file():
            return Path(folder) / inside
    raise ValueError(
        f"expected a file, or one in an installed package as package:path/in/it, found {model!r}"
    )


def _content(file: Path) -> bytes:
    from devicesdk.bundle.source import FILE_BYTES_MAX

    with file.open("rb") as stream:
        return stream.read(FILE_BYTES_MAX + 1)


def _signer(key: Path | None) -> Ed25519Signer | None:
    from devicesdk.packing.files import read_signer

    if key is None:
        return None
    if key.name != TARGETS_KEY:
        raise ValueError(f"expected the targets key, {key.parent / TARGETS_KEY}, found {key}")
    return read_signer(key)
