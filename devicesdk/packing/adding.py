"""More variants for a bundle that exists.

Decides what ``bundle quantize`` does: new variants are built from the bundle's float32 one, judged against it
over the given samples and over the kit, and added with goldens and baselines of their own; bins and samples
of the kit stay, so that old telemetry can be compared with new. Leaves out the recipes (variants.py).

Rules: the variants that are there keep their bytes; the version or the release must rise, because a name
stands for one content for ever; the signature of the old bundle is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from devicesdk.bundle.archive import file_reader
from devicesdk.bundle.build import DEFAULT
from devicesdk.bundle.source import VariantRecord
from devicesdk.bundle.trust import Signer
from devicesdk.inference.kit import KERNEL_DEFAULT
from devicesdk.inference.source import BundleSpec, TensorSource, load_any
from devicesdk.inference.summary import row_of
from devicesdk.inference.tasks import Sample, interpret
from devicesdk.inference.tensor_kit import TensorKit, pack_tensor_kit
from devicesdk.packing import bins, graph, kits, variants
from devicesdk.packing.builder import (
    KIT_FILE,
    KIT_FOLDER,
    VARIANTS_FOLDER,
    Labels,
    Packed,
    finish,
    record,
)
from devicesdk.packing.errors import CannotPack
from devicesdk.packing.files import Opened
from devicesdk.packing.kits import Bar, Seen
from devicesdk.packing.samples import Named
from devicesdk.packing.study import fit_inputs
from devicesdk.packing.variants import FP32, Made
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT


class Additions(NamedTuple):
    """What is to be added."""

    names: tuple[str, ...]
    samples: Sequence[Named]
    labels: Labels
    """Of the new bundle; its id, licence and the like are those of the old one."""
    bar: Bar = Bar()
    chunk_bytes: int = CHUNK_BYTES_DEFAULT


def add(opened: Opened, additions: Additions, signer: Signer | None = None) -> Packed:
    """Add variants to a bundle.

    Raises:
        CannotPack: it is not one that variants can be added to.
        NotGood: a new variant reads rubbish.
    """
    source = load_any(file_reader(opened.members))
    if not isinstance(source, TensorSource):
        raise CannotPack(
            "expected a bundle that the bundle tool built, found a dial reader: its variants are built by "
            "its own script"
        )
    spec = source.spec
    _check(spec, additions)
    model = graph.load(source.models[FP32])
    _, samples = fit_inputs(graph.inputs_of(model), additions.samples, spec.preprocess)
    made = [variants.build(name, model, source.task, samples) for name in additions.names]
    full = kits.look(FP32, source.models[FP32], source.task, samples)
    short = kits.look(FP32, source.models[FP32], source.task, source.kit.samples)
    goldens, metrics, records = dict(source.kit.goldens), dict(spec.metrics), dict(spec.variants)
    for one in made:
        seen = kits.look(one.name, one.content, source.task, samples)
        hard = kits.look(one.name, one.content, source.task, source.kit.samples)
        pair = kits.make(source.kit.samples, [short, hard], range(len(source.kit.samples)))
        metrics[one.name] = kits.judge_variant(source.task, additions.bar, seen, full, pair)
        goldens[f"{one.name}/{KERNEL_DEFAULT}"] = tuple(hard.outputs)
        records[one.name] = _record(source, one, samples, seen)
    kit = TensorKit(samples=source.kit.samples, goldens=goldens)
    packed_kit = pack_tensor_kit(kit)
    labels = additions.labels
    said = msgspec.structs.asdict(record(KIT_FILE, packed_kit))
    spec = msgspec.structs.replace(
        spec, version=labels.version, release=labels.release, variants=records, metrics=metrics,
        prefer={**spec.prefer, DEFAULT: tuple(n for n in variants.PREFERENCE if n in records)},
        kit=msgspec.structs.replace(spec.kit, **said),
    )  # fmt: skip
    contents = {**source.models, **{one.name: one.content for one in made}}
    members = {KIT_FOLDER + KIT_FILE: packed_kit}
    members |= {VARIANTS_FOLDER + records[name].file: contents[name] for name in records}
    notes = [f"added {one.name}: {len(one.content)} bytes" for one in made]
    return finish(members, spec, labels, kit, notes, signer, additions.chunk_bytes)


def _check(spec: BundleSpec, additions: Additions) -> None:
    if FP32 not in spec.variants:
        raise CannotPack(f"expected a variant {FP32} to build from, found {sorted(spec.variants)}")
    there = [name for name in additions.names if name in spec.variants]
    if there or not additions.names:
        raise CannotPack(
            f"expected variants that the bundle does not have yet, found {there or 'none'}; it has "
            f"{sorted(spec.variants)}"
        )
    if additions.labels.release <= spec.release:
        raise CannotPack(
            f"expected a release above {spec.release}, found {additions.labels.release}: devices never go "
            "back by accident"
        )


def _record(
    source: TensorSource, one: Made, samples: Sequence[Sample], seen: Seen
) -> VariantRecord:
    task, edges = source.task, source.spec.edges
    base = source.spec.variants[FP32]
    activations = base.memory_kib * 1024 - base.bytes
    rows = [
        row_of(task, edges, sample, interpret(task, output.astype(np.float64)))
        for sample, output in zip(samples, seen.outputs, strict=True)
    ]
    return VariantRecord(
        **msgspec.structs.asdict(record(f"{one.name}.onnx", one.content)),
        precision=one.precision,
        macs=base.macs,
        memory_kib=graph.memory_kib(
            len(one.content), activations // 4, variants.NUMBER_BYTES[one.name]
        ),
        baseline=bins.counted(rows),
    )
