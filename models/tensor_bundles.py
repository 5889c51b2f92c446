"""What the builders of bundles with a task share: pinned edges, baselines, kits, records.

Decides how samples become bins and a kit, from the same functions that devices and worlds use. Leaves
out which samples and models (build_driver_assist.py, build_notes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from build_gauge import TIMESTAMP, file_record

from devicesdk.bundle.archive import SBOM_FILE
from devicesdk.inference import engine, operations, summary, tasks
from devicesdk.inference.engine import Floats
from devicesdk.inference.kit import KERNEL_DEFAULT, KitRule
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.source import (
    SCHEMA,
    Baseline,
    Budgets,
    BundleSpec,
    KitRecord,
    VariantRecord,
)
from devicesdk.inference.tasks import Meaning, Sample, Task
from devicesdk.inference.tensor_kit import TensorKit, pack_tensor_kit
from devicesdk.packing.bins import rising
from devicesdk.packing.builder import Labels, encode_spec, record
from devicesdk.packing.materials import bill

Run = Callable[[Sample], Floats]
EDGE_MAX: Final = 2**31
RULE: Final = KitRule(tolerance_permille=20, argmax_mismatches_max=1)


class Said(NamedTuple):
    """One sample, what the model answered and what that means."""

    sample: Sample
    output: Floats
    meaning: Meaning


def ask(task: Task, run: Run, samples: Sequence[Sample]) -> list[Said]:
    """Run every sample."""
    outputs = [run(sample) for sample in samples]
    return [
        Said(sample, output, tasks.interpret(task, output.astype(np.float64)))
        for sample, output in zip(samples, outputs, strict=True)
    ]


def units_of(samples: Sequence[Sample]) -> tuple[int, ...]:
    """Powers of ten in which each statistic spreads over some ten thousand steps."""
    found = np.array([summary.statistics(sample) for sample in samples])
    spans = np.ptp(found, axis=0)
    return tuple(int(np.floor(np.log10(span))) - 4 if span > 0 else 0 for span in spans)


def edges_of(task: Task, said: Sequence[Said]) -> Edges:
    """Quantiles of what a healthy population shows; statistics that never move get far-away edges."""
    numbers = np.array([summary.in_units(summary.statistics(s.sample), task.units) for s in said])
    return Edges(
        confidence=rising(np.array([s.meaning.confidence for s in said]), engine.CONFIDENCE_BINS, 1000),
        entropy=rising(np.array([s.meaning.entropy for s in said]), engine.ENTROPY_BINS, 1000),
        features=tuple(rising(column, engine.FEATURE_BINS, EDGE_MAX) for column in numbers.T),
    )  # fmt: skip


def baseline_of(task: Task, edges: Edges, said: Sequence[Said], weight: int = 1) -> Baseline:
    """Count a healthy population into the pinned bins; one is added to every bin.

    Args:
        task: of the bundle.
        edges: pinned.
        said: the population.
        weight: how many frames each of them stands for.
    """
    rows = np.array([summary.row_of(task, edges, s.sample, s.meaning) for s in said])

    def counts(column: int, bins: int) -> tuple[int, ...]:
        return tuple((np.bincount(rows[:, column], minlength=bins) * weight + 1).tolist())

    return Baseline(
        frames=len(rows) * weight,
        confidence=counts(1, engine.CONFIDENCE_BINS),
        entropy=counts(2, engine.ENTROPY_BINS),
        features=tuple(counts(3 + i, engine.FEATURE_BINS) for i in range(engine.FEATURES)),
    )


def kit_of(task: Task, variants: dict[str, Run], said: Sequence[Said], size: int) -> TensorKit:
    """The samples of lowest margin and what each variant says of them."""
    margins = [tasks.margin(task, s.output.astype(np.float64)) for s in said]
    lowest = sorted(np.argsort(margins, kind="stable")[:size].tolist())
    samples = tuple(said[index].sample for index in lowest)
    goldens = {
        f"{name}/{KERNEL_DEFAULT}": tuple(run(sample) for sample in samples)
        for name, run in variants.items()
    }
    return TensorKit(samples=samples, goldens=goldens)


class Costs(NamedTuple):
    """What a variant costs a device."""

    precision: str
    macs: int
    memory_kib: int


class Ware(NamedTuple):
    """One bundle to write."""

    id: str
    version: str
    release: int
    summary: str
    licence: str
    origin: str
    budgets: Budgets
    task: Task
    costs: dict[str, Costs]
    opset: int


def write(
    ware: Ware,
    directory: Path,
    models: dict[str, bytes],
    variants: dict[str, Run],
    population: Sequence[Sample],
    kit_size: int,
    kit_from: Sequence[Sample] | None = None,
    weight: int = 1,
) -> tuple[BundleSpec, TensorKit]:
    """Write the kit and the models; returns the description, for `papers`, and the kit.

    Args:
        ware: what to write.
        directory: where.
        models: files, by variant.
        variants: the same, opened.
        population: healthy samples: they become edges and baselines.
        kit_size: how many samples the kit has.
        kit_from: what they are chosen from; the population by default.
        weight: how many frames each sample of the population stands for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    task = msgspec.structs.replace(ware.task, units=units_of(population))
    first = next(iter(variants))
    said = {name: ask(task, run, population) for name, run in variants.items()}
    edges = edges_of(task, said[first])
    choice = said[first] if kit_from is None else ask(task, variants[first], kit_from)
    kit = kit_of(task, variants, choice, kit_size)
    spec = BundleSpec(
        schema=SCHEMA, id=ware.id, version=ware.version, release=ware.release, licence=ware.licence,
        summary=ware.summary, opset=ware.opset, runtime_min="1.20",
        input_shape=task.inputs[0].shape, labels=len(task.labels), preprocess=(),
        variants={
            name: VariantRecord(
                **file_record(directory, f"{name}.onnx", models[name]),  # type: ignore[arg-type]
                precision=ware.costs[name].precision, macs=ware.costs[name].macs,
                memory_kib=ware.costs[name].memory_kib,
                baseline=baseline_of(task, edges, said[name], weight),
            )
            for name in variants
        },
        prefer={"default": tuple(variants)}, budgets=ware.budgets, edges=edges,
        kit=KitRecord(
            **file_record(directory, "kit.npz", pack_tensor_kit(kit)),  # type: ignore[arg-type]
            samples=len(kit.samples), rule=RULE,
        ),
        task=task, operations=operations.digest_of((), task.postprocess), origin=ware.origin,
    )  # fmt: skip
    return spec, kit


def papers(
    directory: Path,
    spec: BundleSpec,
    *,
    datasets: tuple[tuple[str, str], ...],
    uses: tuple[str, ...],
    limits: tuple[str, ...],
) -> None:
    """Write ``bundle.json`` and the bill of materials that it names."""
    labels = Labels(
        id=spec.id, licence=spec.licence, datasets=datasets, uses=uses, limits=limits,
        timestamp=TIMESTAMP,
    )  # fmt: skip
    bill_of_it = bill(spec, labels, {})
    (directory / SBOM_FILE).write_bytes(bill_of_it)
    complete = msgspec.structs.replace(spec, sbom=record(SBOM_FILE, bill_of_it))
    (directory / "bundle.json").write_bytes(encode_spec(complete))
