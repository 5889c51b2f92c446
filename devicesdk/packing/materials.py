"""The bill of materials of a bundle, from its description.

Decides what of a description goes where in the document. Leaves out the document's form
(devicesdk/bundle/sbom.py).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from devicesdk.bundle.sbom import Card, Described, Part, build_sbom
from devicesdk.inference.source import BundleSpec
from devicesdk.inference.tasks import TensorSpec

if TYPE_CHECKING:
    from devicesdk.packing.builder import Labels

TOOLS: Final = ("fleetdrill", "onnx", "onnxruntime")
_TASKS: Final = {
    "classify": "classification", "regress": "regression", "embed": "feature-extraction",
    "tensor": "transformation", "": "gauge-reading",
}  # fmt: skip
_LIMITS: Final = (
    "Bins, goldens and metrics are those of the samples that the bundle was built from.",
    "Metrics hold each variant against the model as it was given, not against the truth.",
)


def bill(spec: BundleSpec, labels: Labels, members: dict[str, bytes]) -> bytes:
    """Write ``sbom.json`` of a bundle.

    Args:
        spec: its description.
        labels: what its builder says beyond it.
        members: variants and kit, by the archive's names.
    """
    folder_of = {name.rpartition("/")[2]: name for name in members}
    parts = [
        Part(
            name=folder_of.get(one.file, one.file),
            description=f"variant {name}: {one.precision}",
            size_bytes=one.bytes,
            sha256=one.sha256,
            properties={
                "fleetdrill:macs": str(one.macs),
                "fleetdrill:memory_kib": str(one.memory_kib),
            },
        )
        for name, one in spec.variants.items()
    ]
    kit = spec.kit
    parts.append(
        Part(
            name=folder_of.get(kit.file, kit.file),
            description=f"validation kit of {kit.samples} samples",
            size_bytes=kit.bytes,
            sha256=kit.sha256,
        )
    )
    return build_sbom(
        Described(
            id=spec.id, version=spec.version, summary=spec.summary, licence=spec.licence,
            origin=spec.origin, parts=tuple(parts), card=_card(spec, labels),
            tools=tuple((name, version(name)) for name in TOOLS), timestamp=labels.timestamp,
        )
    )  # fmt: skip


def _card(spec: BundleSpec, labels: Labels) -> Card:
    frames = max(one.baseline.frames for one in spec.variants.values())
    datasets = labels.datasets or (
        ("samples", f"{frames} samples of the bundle's builder: calibration, kit and baseline"),
    )
    task = spec.task
    metrics = tuple(
        (kind, str(value), name)
        for name, measured in sorted(spec.metrics.items())
        for kind, value in sorted(measured.items())
    )
    inputs = (
        tuple(_spell(one) for one in task.inputs)
        if task is not None
        else (f"float32 {list(spec.input_shape)}",)
    )
    output = f"{spec.labels or 'any number of'} numbers"
    return Card(
        task=_TASKS["" if task is None else task.kind],
        inputs=inputs,
        outputs=(output if task is None else f"{task.output}: {output}",),
        datasets=datasets,
        metrics=metrics,
        uses=labels.uses,
        limits=(*labels.limits, *_LIMITS),
    )


def _spell(tensor: TensorSpec) -> str:
    shape = ", ".join(str(size) if size else "any" for size in tensor.shape)
    return f"{tensor.name}: {tensor.dtype} [{shape}]"
