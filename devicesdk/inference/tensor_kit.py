"""The validation kit of any model: the samples of lowest margin, and what each variant should say.

Decides the kit's bytes and what passes, as kit.py does for dial readers and with its rule and outcome.
Leaves out which samples are chosen (devicesdk/packing), and running them (tensors.py).

Format: an ``.npz`` with ``sample/0007/input`` for each input of each sample and
``golden/variant/kernel-class/0007`` for each output after the pinned operations, float32. Shapes may
differ from sample to sample.

Rules: a variant is held tightly against its own goldens (a processor, a kernel or a runtime that
computes otherwise shows) and its goldens loosely against those of the reference variant (one that was
built badly shows, at its builder's desk already); nothing is unpacked that is larger than it may be.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from devicesdk.inference.engine import Floats
from devicesdk.inference.kit import (
    KERNEL_DEFAULT,
    KIT_BYTES_MAX,
    KIT_SAMPLES_MAX,
    KitError,
    KitOutcome,
    KitRule,
)
from devicesdk.inference.npz import ArrayError, read_npz
from devicesdk.inference.tasks import Sample, Task, Tensor, distance_permille, interpret

UNPACKED_BYTES_MAX: Final = 16 * KIT_BYTES_MAX
_SAMPLE: Final = re.compile(r"sample/(\d{4})/(.{1,128})")
_GOLDEN: Final = re.compile(r"golden/([a-z0-9][a-z0-9._-]{0,63}/[a-z0-9-]{1,32})/(\d{4})")


class TensorKit(msgspec.Struct, frozen=True, kw_only=True):
    """Samples, and by ``variant/kernel-class`` an output for each of them."""

    samples: tuple[Sample, ...]
    goldens: dict[str, tuple[Floats, ...]]

    def golden(self, variant: str, kernel: str = KERNEL_DEFAULT) -> tuple[Floats, ...]:
        """The expected outputs.

        Raises:
            KitError: this kit holds none for that variant and class.
        """
        found = self.goldens.get(f"{variant}/{kernel}")
        if found is None:
            raise KitError(
                f"expected goldens for {variant}/{kernel}, found {sorted(self.goldens)}; "
                "rebuild the kit with this variant"
            )
        return found


def run_tensor_kit(
    kit: TensorKit, rule: KitRule, task: Task, variant: str, run: Callable[[Sample], Floats]
) -> KitOutcome:
    """Run every sample and judge the outputs.

    Raises:
        KitError: the kit has no goldens for this variant.
    """
    return judge_tensors(kit, rule, task, variant, [run(sample) for sample in kit.samples])


def judge_tensors(
    kit: TensorKit, rule: KitRule, task: Task, variant: str, outputs: Sequence[Floats]
) -> KitOutcome:
    """Compare outputs, one a sample, with the goldens of `variant`, and those with the reference.

    Raises:
        KitError: the kit has no goldens for this variant, or not as many outputs.
    """
    golden = kit.golden(variant)
    if len(outputs) != len(golden):
        raise KitError(f"expected {len(golden)} outputs, found {len(outputs)}")
    apart = distances(task, outputs, golden)
    worst = math.ceil(max(apart) - 1e-3)
    broken = sum(1 for output in outputs if not np.isfinite(output).all())
    mismatches = changed_labels(task, outputs, golden)
    return KitOutcome(
        passed=broken == 0
        and worst <= rule.tolerance_permille
        and mismatches <= rule.argmax_mismatches_max
        and strays_permille(kit, rule, task, variant) <= rule.reference_permille_max,
        samples=len(golden),
        worst_permille=worst,
        argmax_mismatches=mismatches,
        not_finite=broken,
        residual_permille=math.ceil(sum(apart) / len(apart) - 1e-3),
        resembles=_resembles(kit, rule, task, variant, outputs),
    )


def strays_permille(kit: TensorKit, rule: KitRule, task: Task, variant: str) -> int:
    """Mean distance of a variant's goldens from those of the reference, rounded up."""
    if not rule.reference or rule.reference == variant:
        return 0
    apart = distances(task, kit.golden(variant), kit.golden(rule.reference))
    return math.ceil(sum(apart) / len(apart) - 1e-3)


def distances(task: Task, outputs: Sequence[Floats], goldens: Sequence[Floats]) -> list[float]:
    """How far each output is from its golden, permille."""
    return [
        distance_permille(task, output.astype(np.float64), golden.astype(np.float64))
        for output, golden in zip(outputs, goldens, strict=True)
    ]


def changed_labels(task: Task, outputs: Sequence[Floats], goldens: Sequence[Floats]) -> int:
    """How many samples have another label than their golden; 0 where the task has no classes."""
    if task.kind != "classify":
        return 0
    return sum(
        interpret(task, output.astype(np.float64)).label
        != interpret(task, golden.astype(np.float64)).label
        for output, golden in zip(outputs, goldens, strict=True)
    )


def _resembles(
    kit: TensorKit, rule: KitRule, task: Task, variant: str, outputs: Sequence[Floats]
) -> str:
    prefix = f"{variant}/"
    for name in sorted(kit.goldens):
        if name.startswith(prefix):
            apart = distances(task, outputs, kit.goldens[name])
            if max(apart) - 1e-3 <= rule.tolerance_permille:
                return name.removeprefix(prefix)
    return ""


# -- bytes -------------------------------------------------------------------------------------------


def pack_tensor_kit(kit: TensorKit) -> bytes:
    """Serialise as an ``.npz`` archive; the same kit gives the same bytes."""
    arrays: dict[str, Tensor] = {}
    for index, sample in enumerate(kit.samples):
        arrays.update({f"sample/{index:04d}/{name}": sample[name] for name in sorted(sample)})
    for name in sorted(kit.goldens):
        for index, golden in enumerate(kit.goldens[name]):
            arrays[f"golden/{name}/{index:04d}"] = golden
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def unpack_tensor_kit(packed: bytes, task: Task) -> TensorKit:
    """Read what `pack_tensor_kit` wrote.

    Raises:
        KitError: too large, damaged, or not of this task's inputs.
    """
    if len(packed) > KIT_BYTES_MAX:
        raise KitError(f"expected a kit of at most {KIT_BYTES_MAX} bytes, found {len(packed)}")
    samples: dict[int, Sample] = {}
    goldens: dict[str, dict[int, Floats]] = {}
    try:
        arrays = read_npz(packed, UNPACKED_BYTES_MAX)
    except ArrayError as error:
        raise KitError(f"expected a kit of tensors: {error}") from error
    for name, array in arrays.items():
        if (found := _SAMPLE.fullmatch(name)) is not None:
            samples.setdefault(int(found[1]), {})[found[2]] = array
        elif (found := _GOLDEN.fullmatch(name)) is not None and array.dtype == np.float32:
            goldens.setdefault(found[1], {})[int(found[2])] = array.astype(np.float32, copy=False)
        else:
            raise KitError(
                f"expected samples and float32 goldens in the kit, found {name} {array.dtype}"
            )
    if not 0 < len(samples) <= KIT_SAMPLES_MAX or sorted(samples) != list(range(len(samples))):
        raise KitError(f"expected 1 to {KIT_SAMPLES_MAX} samples in a row, found {sorted(samples)}")
    for sample in samples.values():
        check_sample(sample, task)
    for name, listed in goldens.items():
        if sorted(listed) != sorted(samples):
            raise KitError(f"expected {len(samples)} goldens {name}, found {len(listed)}")
    numbers = range(len(samples))
    return TensorKit(
        samples=tuple(samples[number] for number in numbers),
        goldens={name: tuple(listed[n] for n in numbers) for name, listed in goldens.items()},
    )


def check_sample(sample: Sample, task: Task) -> None:
    """Check that a sample has the inputs of a task, in its types and shapes.

    Raises:
        KitError: it has not.
    """
    for spec in task.inputs:
        tensor = sample.get(spec.name)
        if tensor is None:
            raise KitError(f"expected an input {spec.name!r}, found {sorted(sample)}")
        fits = len(tensor.shape) == len(spec.shape) and all(
            wanted in (0, found) for wanted, found in zip(spec.shape, tensor.shape, strict=True)
        )
        if tensor.dtype.name != spec.dtype or not fits:
            raise KitError(
                f"expected {spec.dtype} {list(spec.shape)} (0: free) as input {spec.name!r}, found "
                f"{tensor.dtype.name} {list(tensor.shape)}"
            )
    if len(sample) != len(task.inputs):
        raise KitError(
            f"expected inputs {[spec.name for spec in task.inputs]}, found {sorted(sample)}"
        )
