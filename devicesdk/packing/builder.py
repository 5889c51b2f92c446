"""From a model and samples to everything that a bundle holds.

Decides the order of the work (task, variants, kit, bins, description, bill of materials, guard, manifest,
signature) and the description's fields. Leaves out each step's substance (study.py, variants.py, kits.py,
bins.py, materials.py) and writing files (files.py).

Rules: the same model, samples and words give the same bytes in every process; a variant that was asked for
by name and cannot be built, or reads rubbish, ends the work; one of the default list is left out and its
reason is said; nothing that looks like a secret is packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
import onnx

from devicesdk.bundle import guard
from devicesdk.bundle.archive import MANIFEST_FILE, SBOM_FILE, SIGNATURE_FILE, file_reader
from devicesdk.bundle.build import DEFAULT, build_bundle
from devicesdk.bundle.manifest import encode_manifest
from devicesdk.bundle.source import BUNDLE_FILE, Budgets, FileRecord, VariantRecord, read_release
from devicesdk.bundle.trust import Signer
from devicesdk.inference import operations
from devicesdk.inference.source import SCHEMA, BundleSpec, KitRecord
from devicesdk.inference.summary import row_of
from devicesdk.inference.tasks import Sample, Task, interpret
from devicesdk.inference.tensor_kit import TensorKit
from devicesdk.packing import bins, graph, kits, materials, variants
from devicesdk.packing.errors import CannotPack, NotGood
from devicesdk.packing.kits import Bar, Seen
from devicesdk.packing.samples import Named
from devicesdk.packing.study import Said, Study, fit_inputs, quantities, study
from devicesdk.packing.variants import Made
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT

TIMESTAMP_DEFAULT: Final = "1980-01-01T00:00:00Z"
"""Of the bill of materials when nobody says one: never the clock's."""
SAMPLES_MIN: Final = 2
RUNTIME_MIN: Final = (1, 20)
"""What this program needs itself."""
_RUNTIME_OF_OPSET: Final = {21: (1, 20), 22: (1, 21), 23: (1, 23), 24: (1, 24)}
"""The first ONNX Runtime that supports an operator set, where that is newer than `RUNTIME_MIN`
(onnxruntime.ai/docs/reference/compatibility.html)."""
VARIANTS_FOLDER, KIT_FOLDER, KIT_FILE = "variants/", "kit/", "kit.npz"


class Labels(NamedTuple):
    """What a bundle is called, and what is said of it."""

    id: str
    version: str = "1.0.0"
    release: int = 1
    licence: str = ""
    summary: str = ""
    origin: str = ""
    datasets: tuple[tuple[str, str], ...] = ()
    uses: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    timestamp: str = TIMESTAMP_DEFAULT


class Costs(NamedTuple):
    """Budgets; 0: what the bundle itself needs, with room."""

    latency_ms: int = 1000
    memory_mib: int = 0
    power_mw: int = 5000


class Orders(NamedTuple):
    """Everything that a builder says."""

    model: bytes
    samples: Sequence[Named]
    labels: Labels
    said: Said = Said()
    wanted: tuple[str, ...] = ()
    """Variants by name; empty: whatever can be built."""
    prefer: dict[str, tuple[str, ...]] | None = None
    calibration: Sequence[Named] = ()
    """Other samples to calibrate by; empty: the same."""
    bar: Bar = Bar()
    costs: Costs = Costs()
    chunk_bytes: int = CHUNK_BYTES_DEFAULT


class Packed(NamedTuple):
    """A bundle in memory."""

    members: dict[str, bytes]
    """As `archive.pack` takes them."""
    spec: BundleSpec
    notes: list[str]
    """What was found out, and what was left out and why."""


def build(orders: Orders, signer: Signer | None = None) -> Packed:
    """Build a bundle.

    Raises:
        CannotPack: something that was given cannot be used.
        NotGood: a variant that was asked for reads rubbish.
        SecretsFound: something looks like a secret.
    """
    if len(orders.samples) < SAMPLES_MIN:
        raise CannotPack(
            f"expected at least {SAMPLES_MIN} samples, better some hundred, found {len(orders.samples)}"
        )
    model = graph.load(orders.model)
    found = study(model, orders.samples, orders.said)
    calibration = found.samples
    if orders.calibration:
        _, calibration = fit_inputs(graph.inputs_of(model), orders.calibration, orders.said.before)
    notes = list(found.notes)
    reference = variants.as_given(model, orders.model)
    made = _variants(orders, model, found.task, calibration, reference, notes)
    seen = [Seen(reference.name, found.outputs)]
    seen += [kits.look(one.name, one.content, found.task, found.samples) for one in made[1:]]
    kept, metrics = _judged(orders, found, made, seen, notes)
    kit, packed_kit = kits.fitting(
        found.task, found.samples, [one for one in seen if one.name in metrics]
    )
    if len(kit.samples) < min(kits.KIT_SAMPLES, len(found.samples)):
        notes.append(f"kit: {len(kit.samples)} samples, more do not fit its limit of bytes")
    members = {KIT_FOLDER + KIT_FILE: packed_kit}
    members |= {VARIANTS_FOLDER + f"{one.name}.onnx": one.content for one in kept}
    spec = _describe(orders, model, found, kept, metrics, kit, packed_kit, seen)
    return finish(members, spec, orders.labels, kit, notes, signer, orders.chunk_bytes)


def finish(
    members: dict[str, bytes],
    spec: BundleSpec,
    labels: Labels,
    kit: TensorKit | None,
    notes: list[str],
    signer: Signer | None,
    chunk_bytes: int,
) -> Packed:
    """Add bill of materials, description, manifest and signature to variants and kit.

    Raises:
        SecretsFound: something looks like a secret.
    """
    sbom = materials.bill(spec, labels, members)
    spec = msgspec.structs.replace(spec, sbom=record(SBOM_FILE, sbom))
    members = {**members, SBOM_FILE: sbom, BUNDLE_FILE: encode_spec(spec)}
    guard.check({**members, **_raw(kit)})
    release, images = read_release(file_reader(members))
    manifest = encode_manifest(build_bundle(release, images, chunk_bytes).manifest)
    members[MANIFEST_FILE] = manifest
    if signer is not None:
        members[SIGNATURE_FILE] = signer.seal(manifest)
    return Packed(members, spec, notes)


def encode_spec(spec: BundleSpec) -> bytes:
    """``bundle.json``: canonical, and readable."""
    return msgspec.json.format(msgspec.json.encode(spec, order="deterministic"), indent=1) + b"\n"


def record(name: str, content: bytes) -> FileRecord:
    """A file's name, size and digest."""
    return FileRecord(file=name, bytes=len(content), sha256=sha256(content).hexdigest())


def runtime_of(opset: int) -> str:
    """The oldest ONNX Runtime for an operator set."""
    newest = max((v for o, v in _RUNTIME_OF_OPSET.items() if o <= opset), default=RUNTIME_MIN)
    return ".".join(map(str, max(newest, RUNTIME_MIN)))


def _variants(
    orders: Orders,
    model: onnx.ModelProto,
    task: Task,
    calibration: Sequence[Sample],
    reference: Made,
    notes: list[str],
) -> list[Made]:
    """The model as it was given, first, and what can be built of it."""
    made = [reference]
    wanted = orders.wanted or (variants.FP16, variants.INT8_RR)
    for name in dict.fromkeys(wanted):
        if name == reference.name:
            continue
        try:
            made.append(variants.build(name, model, task, calibration))
        except CannotPack as error:
            if orders.wanted:
                raise
            notes.append(f"no variant {name}: {error}")
    return made


def _judged(
    orders: Orders, found: Study, made: list[Made], seen: list[Seen], notes: list[str]
) -> tuple[list[Made], dict[str, dict[str, int]]]:
    """Variants that are good enough, and the metrics of all that are in the kit."""
    kit, _ = kits.fitting(found.task, found.samples, seen)
    kept, metrics = [], {}
    for one, said in zip(made, seen, strict=True):
        try:
            metrics[one.name] = kits.judge_variant(found.task, orders.bar, said, seen[0], kit)
            kept.append(one)
        except NotGood as error:
            if orders.wanted:
                raise
            notes.append(f"no variant {one.name}: {error}")
    if orders.wanted and made[0].name not in orders.wanted:
        # The reference stays in the kit, to be held against; it is not shipped.
        kept = [one for one in kept if one.name in orders.wanted]
    return kept, metrics


def _describe(
    orders: Orders,
    model: onnx.ModelProto,
    found: Study,
    kept: list[Made],
    metrics: dict[str, dict[str, int]],
    kit: TensorKit,
    packed_kit: bytes,
    seen: list[Seen],
) -> BundleSpec:
    task, labels, said = found.task, orders.labels, orders.said
    edges = quantities(task, found.samples, found.outputs)
    costs = graph.costs_of(model, variants.feed_of(task, found.samples[0]))
    outputs = {one.name: one.outputs for one in seen}

    def rows(name: str) -> list[list[int]]:
        return [
            row_of(task, edges, sample, interpret(task, output.astype("float64")))
            for sample, output in zip(found.samples, outputs[name], strict=True)
        ]

    records = {
        one.name: VariantRecord(
            **msgspec.structs.asdict(record(f"{one.name}.onnx", one.content)),
            precision=one.precision,
            macs=costs.macs,
            memory_kib=graph.memory_kib(
                len(one.content), costs.activations, variants.NUMBER_BYTES[one.name]
            ),
            baseline=bins.counted(rows(one.name)),
        )
        for one in kept
    }
    sizes = sorted({output.size for output in found.outputs})
    kit_record = msgspec.structs.asdict(record(KIT_FILE, packed_kit))
    return BundleSpec(
        schema=SCHEMA, id=labels.id, version=labels.version, release=labels.release,
        licence=labels.licence, summary=labels.summary, opset=graph.opset_of(model),
        runtime_min=runtime_of(graph.opset_of(model)), input_shape=task.inputs[0].shape,
        labels=sizes[0] if len(sizes) == 1 else 0, preprocess=said.before, variants=records,
        prefer=_prefer(orders, records), budgets=_budgets(orders.costs, records), edges=edges,
        kit=KitRecord(**kit_record, samples=len(kit.samples), rule=kits.rule_of(orders.bar, seen[0].name)),
        task=task, operations=operations.digest_of(said.before, task.postprocess),
        hardware=labels.hardware, metrics=metrics, origin=labels.origin,
    )  # fmt: skip


def _prefer(orders: Orders, records: dict[str, VariantRecord]) -> dict[str, tuple[str, ...]]:
    fallback = tuple(name for name in variants.PREFERENCE if name in records)
    prefer = {**(orders.prefer or {})}
    for hardware, names in prefer.items():
        unknown = [name for name in names if name not in records]
        if unknown or not names:
            raise CannotPack(
                f"expected hardware class {hardware!r} to prefer variants out of {sorted(records)}, found "
                f"{list(names)}"
            )
    return {DEFAULT: fallback, **prefer}


def _budgets(costs: Costs, records: dict[str, VariantRecord]) -> Budgets:
    largest = max(one.memory_kib for one in records.values())
    return Budgets(
        latency_ms_p95_max=costs.latency_ms,
        memory_mib_max=costs.memory_mib or max(1, -(-2 * largest // 1024)),
        power_mw_max=costs.power_mw,
    )


def _raw(kit: TensorKit | None) -> dict[str, bytes]:
    """What is compressed in the kit, for the guard."""
    if kit is None:
        return {}
    return {
        f"{KIT_FOLDER}{KIT_FILE}, sample {index}, {name}": tensor.tobytes()
        for index, sample in enumerate(kit.samples)
        for name, tensor in sample.items()
    }
