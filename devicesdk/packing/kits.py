"""The kit of a bundle, and what it says of each variant before anybody else gets it.

Decides which samples are chosen, which goldens are recorded and which variants are good enough. Leaves out
the kit's bytes and its judgement on a device (devicesdk/inference/tensor_kit.py).

Chosen are the samples of *lowest margin*: those react to a fault of kernel, runtime or weights first. A
variant passes by three standards: it says numbers for every sample; over all samples it hardly differs from
the model as it was given; over the kit it stays within the bound that is pinned and that devices check again.

Rules: a variant that reads rubbish is stopped here, by name and number, and not on ten thousand devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from devicesdk.inference.engine import Floats
from devicesdk.inference.kit import KERNEL_DEFAULT, KIT_BYTES_MAX, KitOutcome, KitRule
from devicesdk.inference.onnx import ModelError, open_session
from devicesdk.inference.tasks import Sample, Task, margin
from devicesdk.inference.tensor_kit import (
    TensorKit,
    changed_labels,
    distances,
    judge_tensors,
    pack_tensor_kit,
    strays_permille,
)
from devicesdk.inference.tensors import TensorEngine
from devicesdk.packing.errors import CannotPack, NotGood

KIT_SAMPLES: Final = 20
_PERMILLE: Final = 1000


class Bar(NamedTuple):
    """How good a variant must be, permille."""

    tolerance: int = 20
    """Largest distance of one output from its own golden, wherever it runs."""
    mismatches_max: int = 1
    """Labels of the kit that may change there."""
    agreement: int = 900
    """Share of all samples with the label that the model as it was given says; for classes."""
    distance: int = 100
    """Mean distance over all samples from the model as it was given."""
    reference: int = 250
    """The same over the kit, whose samples are the hardest."""


class Seen(NamedTuple):
    """What a variant says of all samples."""

    name: str
    outputs: list[Floats]


def look(name: str, content: bytes, task: Task, samples: Sequence[Sample]) -> Seen:
    """Run a variant over all samples.

    Raises:
        CannotPack: it does not run.
    """
    try:
        engine = TensorEngine(open_session(content), task)
        return Seen(name, [engine.run(sample) for sample in samples])
    except (ModelError, ValueError) as error:
        raise CannotPack(
            f"expected variant {name} to run on the samples, found: {error}"
        ) from error


def measure(task: Task, seen: Seen, reference: Seen) -> dict[str, int]:
    """What stands in the bundle's metrics: whole numbers with their unit in the name."""
    apart = distances(task, seen.outputs, reference.outputs)
    found = {
        "samples": len(apart),
        "distance_permille_mean": round(sum(apart) / len(apart)),
        "distance_permille_p95": round(float(np.quantile(apart, 0.95))),
        "not_finite": sum(1 for output in seen.outputs if not np.isfinite(output).all()),
    }
    if task.kind == "classify":
        changed = changed_labels(task, seen.outputs, reference.outputs)
        found["agreement_permille"] = _PERMILLE * (len(apart) - changed) // len(apart)
    return found


def choose(
    task: Task, samples: Sequence[Sample], outputs: Sequence[Floats], count: int
) -> list[int]:
    """Indices of the samples of lowest margin, in their own order."""
    margins = [margin(task, output.astype(np.float64)) for output in outputs]
    ranked = sorted(range(len(samples)), key=lambda index: (margins[index], index))
    return sorted(ranked[:count])


def make(samples: Sequence[Sample], seen: Sequence[Seen], chosen: Sequence[int]) -> TensorKit:
    """Record the goldens of each variant for the chosen samples."""
    return TensorKit(
        samples=tuple(samples[index] for index in chosen),
        goldens={
            f"{one.name}/{KERNEL_DEFAULT}": tuple(one.outputs[index] for index in chosen)
            for one in seen
        },
    )


def rule_of(bar: Bar, reference: str) -> KitRule:
    """The rule that the bundle pins."""
    return KitRule(
        tolerance_permille=bar.tolerance,
        argmax_mismatches_max=bar.mismatches_max,
        reference=reference,
        reference_permille_max=bar.reference,
    )


def fitting(
    task: Task, samples: Sequence[Sample], seen: Sequence[Seen], count: int = KIT_SAMPLES
) -> tuple[TensorKit, bytes]:
    """The kit of at most `count` samples that fits its limit of bytes, and its bytes.

    Raises:
        CannotPack: not even one sample does.
    """
    most = min(count, len(samples))
    while most:
        kit = make(samples, seen, choose(task, samples, seen[0].outputs, most))
        packed = pack_tensor_kit(kit)
        if len(packed) <= KIT_BYTES_MAX:
            return kit, packed
        most = min(most - 1, most * KIT_BYTES_MAX // len(packed))
    raise CannotPack(
        f"expected a sample and its outputs within {KIT_BYTES_MAX} bytes, found larger ones: give shorter "
        "samples, or an output that is smaller (--output, --postprocess mean)"
    )


def judge_variant(
    task: Task, bar: Bar, seen: Seen, reference: Seen, kit: TensorKit
) -> dict[str, int]:
    """Hold a variant against the model as it was given.

    Returns:
        Its metrics.

    Raises:
        NotGood: it reads rubbish, or nothing.
    """
    found = measure(task, seen, reference)
    rule = rule_of(bar, reference.name)
    strays = strays_permille(kit, rule, task, seen.name)
    found["kit_distance_permille_mean"] = strays
    count = found["samples"]
    if found["not_finite"]:
        why = f"expected numbers for {count} samples, found {found['not_finite']} without"
    elif found.get("agreement_permille", _PERMILLE) < bar.agreement:
        why = (
            f"expected {bar.agreement} permille of {count} samples to keep their label, found "
            f"{found['agreement_permille']}"
        )
    elif found["distance_permille_mean"] > bar.distance:
        why = (
            f"expected a mean distance of at most {bar.distance} permille over {count} samples, found "
            f"{found['distance_permille_mean']}"
        )
    elif strays > bar.reference:
        why = (
            f"expected a mean distance of at most {bar.reference} permille over the kit's "
            f"{len(kit.samples)} samples, found {strays}"
        )
    else:
        return found
    raise NotGood(
        f"variant {seen.name} reads rubbish beside {reference.name} and is stopped by its own kit: {why}. "
        "Was it calibrated on samples like those that the model will see (--samples, --calibration)?"
    )


def run_here(task: Task, rule: KitRule, variant: str, content: bytes, kit: TensorKit) -> KitOutcome:
    """Run the kit of a variant on this machine.

    Raises:
        CannotPack: it does not run.
    """
    seen = look(variant, content, task, kit.samples)
    return judge_tensors(kit, rule, task, variant, seen.outputs)
