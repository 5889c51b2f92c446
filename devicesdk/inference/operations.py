"""The pinned operations before and after any model, by name.

Decides what each name does and how a list of them is known by a digest, so that the very operations a
bundle was judged with are those that a device performs. Leaves out the dial reader's own two
(preprocess.py) and when an input is prepared at all (tensors.py).

Rules: parameters are whole numbers after a colon, such as ``div:255``; an unknown name is refused, never
skipped; a list may have `OPERATIONS_MAX` of them.

Before the model, on one picture (uint8, ``(h, w)`` or ``(h, w, 3)``) or one tensor:

| name | does |
|---|---|
| ``luma601`` | colour to luminance, ITU-R BT.601 weights in integers |
| ``area:h,w`` | shrink to h x w by the mean of blocks, rounded half up |
| ``planar`` | ``(h, w, c)`` to ``(c, h, w)`` |
| ``channel`` | one more axis in front |
| ``last`` | one more axis behind |
| ``sub:n``, ``div:n``, ``mul:n`` | subtract, divide by, multiply by a number |
| ``normal:m..,s..`` | subtract a mean and divide by a deviation for each channel of ``(c, h, w)``, in thousandths |
| ``area32``, ``centre128`` | ``area:32,32`` and ``sub:128`` |

After it, on one output:

| name | does |
|---|---|
| ``softmax``, ``sigmoid`` | logits to probabilities |
| ``binary`` | one probability p to (1 - p, p) |
| ``share`` | divide by the sum |
| ``mean``, ``mean:input`` | mean over the first axis, weighted by an input of the same length |
| ``first`` | the first row |
| ``l2`` | divide by the length |
| ``div:n`` | divide by a number |
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np

from devicesdk.inference.preprocess import luma601
from devicesdk.inference.tasks import Doubles, Sample, Tensor

OPERATIONS_MAX: Final = 16
_TINY: Final = 1e-12
_THOUSAND: Final = 1000.0


class OperationError(ValueError):
    """An operation is not known here, or does not fit what it is given."""


def digest_of(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """SHA-256, in hex, of the operations before and after a model: what a bundle pins."""
    return sha256(msgspec.json.encode([before, after])).hexdigest()


def split_name(operation: str) -> tuple[str, str]:
    """A name and its parameters."""
    name, _, parameters = operation.partition(":")
    return name, parameters


def check(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Check that every operation is known here and has parameters that it takes.

    Raises:
        OperationError: one is not, or there are too many.
    """
    for side, operations, known in (
        ("before", before, BEFORE),
        ("after", after, AFTER),
    ):
        if len(operations) > OPERATIONS_MAX:
            raise OperationError(
                f"expected at most {OPERATIONS_MAX} operations {side} the model, found {len(operations)}"
            )
        for operation in operations:
            name, parameters = split_name(operation)
            if name not in known:
                raise OperationError(
                    f"expected operations {side} the model out of {sorted(known)}, found {name!r}; "
                    "this bundle needs a newer device"
                )
            if name not in _BY_NAME:
                _integers(operation, parameters)


def prepare(array: Tensor, operations: tuple[str, ...]) -> Tensor:
    """Perform the operations before the model.

    Raises:
        OperationError: unknown, or one does not fit the array.
    """
    for operation in operations:
        name, parameters = split_name(operation)
        perform = BEFORE.get(name)
        if perform is None:
            raise OperationError(f"expected operations out of {sorted(BEFORE)}, found {name!r}")
        array = perform(array, _integers(operation, parameters))
    return array


def finish(output: Tensor, operations: tuple[str, ...], sample: Sample) -> Doubles:
    """Perform the operations after the model.

    Args:
        output: of one sample, without a batch axis.
        operations: pinned by the bundle.
        sample: the inputs that it is the output of.

    Raises:
        OperationError: unknown, or one does not fit the output.
    """
    values: Doubles = np.asarray(output, dtype=np.float64)
    for operation in operations:
        name, parameters = split_name(operation)
        perform = AFTER.get(name)
        if perform is None:
            raise OperationError(f"expected operations out of {sorted(AFTER)}, found {name!r}")
        values = perform(values, parameters, sample)
    return values


def _integers(operation: str, parameters: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in parameters.split(",")) if parameters else ()
    except ValueError as error:
        raise OperationError(
            f"expected whole numbers after the colon of an operation, found {operation!r}"
        ) from error


def _one(name: str, numbers: tuple[int, ...]) -> int:
    if len(numbers) != 1 or (name == "div" and not numbers[0]):
        raise OperationError(f"expected one number for {name} that is not 0, found {numbers}")
    return numbers[0]


# -- before ------------------------------------------------------------------------------------------


def _luma(array: Tensor, _: tuple[int, ...]) -> Tensor:
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise OperationError(
            f"expected a picture of uint8 for luma601, found {array.dtype} {array.shape}"
        )
    grey = array.ndim == 2 or array.shape[2] == 1
    if grey:
        return array.reshape(array.shape[:2])
    grey_picture: Tensor = luma601(array[np.newaxis].astype(np.uint8, copy=False))[0]
    return grey_picture


def _area(array: Tensor, numbers: tuple[int, ...]) -> Tensor:
    if len(numbers) != 2 or min(numbers) < 1:
        raise OperationError(f"expected area:height,width, found parameters {numbers}")
    height, width = numbers
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise OperationError(
            f"expected a picture of uint8 for area, found {array.dtype} {array.shape}"
        )
    if array.shape[0] % height or array.shape[1] % width:
        raise OperationError(
            f"expected a picture whose sides are multiples of {height} x {width}, found "
            f"{array.shape[0]} x {array.shape[1]}; crop or scale it first"
        )
    tall, wide = array.shape[0] // height, array.shape[1] // width
    blocks = array.reshape(height, tall, width, wide, *array.shape[2:]).astype(np.uint64)
    total = blocks.sum(axis=(1, 3))
    small: Tensor = ((2 * total + tall * wide) // (2 * tall * wide)).astype(np.uint8)
    return small


def _planar(array: Tensor, _: tuple[int, ...]) -> Tensor:
    if array.ndim != 3:
        raise OperationError(f"expected three axes for planar, found shape {array.shape}")
    return np.moveaxis(array, 2, 0)


def _normal(array: Tensor, numbers: tuple[int, ...]) -> Tensor:
    channels = array.shape[0] if array.ndim == 3 else 0
    if not channels or len(numbers) != 2 * channels or min(numbers[channels:]) <= 0:
        raise OperationError(
            f"expected a mean and a deviation above 0 for each channel of {array.shape}, found {numbers}"
        )
    column = np.array(numbers, dtype=np.float32).reshape(2, channels, 1, 1) / np.float32(_THOUSAND)
    made: Tensor = (_real(array) - column[0]) / column[1]
    return made


def _real(array: Tensor) -> Any:
    """Whole numbers as float32; real ones as they are."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)


BEFORE: Final[dict[str, Callable[[Tensor, tuple[int, ...]], Tensor]]] = {
    "luma601": _luma,
    "area": _area,
    "area32": lambda array, _: _area(array, (32, 32)),
    "planar": _planar,
    "channel": lambda array, _: array[np.newaxis],
    "last": lambda array, _: array[..., np.newaxis],
    "sub": lambda array, n: _real(array) - np.float32(_one("sub", n)),
    "mul": lambda array, n: _real(array) * np.float32(_one("mul", n)),
    "div": lambda array, n: _real(array) / np.float32(_one("div", n)),
    "normal": _normal,
    "centre128": lambda array, _: _real(array) - np.float32(128.0),
}


# -- after -------------------------------------------------------------------------------------------


def _softmax(values: Doubles, _: str, __: Sample) -> Doubles:
    powers: Doubles = np.exp(values - values.max(axis=-1, keepdims=True))
    made: Doubles = powers / powers.sum(axis=-1, keepdims=True)
    return made


def _sigmoid(values: Doubles, _: str, __: Sample) -> Doubles:
    made: Doubles = 1.0 / (1.0 + np.exp(-np.clip(values, -500.0, 500.0)))
    return made


def _binary(values: Doubles, _: str, __: Sample) -> Doubles:
    if values.size != 1:
        raise OperationError(f"expected one probability for binary, found {values.size} values")
    only = float(values.ravel()[0])
    return np.array([1.0 - only, only])


def _share(values: Doubles, _: str, __: Sample) -> Doubles:
    total = float(values.sum())
    made: Doubles = values / (total if abs(total) > _TINY else 1.0)
    return made


def _mean(values: Doubles, name: str, sample: Sample) -> Doubles:
    if values.ndim < 2:
        raise OperationError(f"expected rows to take the mean of, found shape {values.shape}")
    if not name:
        made: Doubles = values.mean(axis=0)
        return made
    if name not in sample or sample[name].size != len(values):
        raise OperationError(
            f"expected an input {name!r} with a weight for each of {len(values)} rows, found "
            f"{ {key: tensor.shape for key, tensor in sample.items()} }"
        )
    weights: Doubles = np.asarray(sample[name], dtype=np.float64).ravel()
    total = max(float(weights.sum()), _TINY)
    weighed: Doubles = np.tensordot(weights, values, axes=1) / total
    return weighed


def _first(values: Doubles, _: str, __: Sample) -> Doubles:
    if values.ndim < 2 or not len(values):
        raise OperationError(f"expected rows to take the first of, found shape {values.shape}")
    made: Doubles = values[0]
    return made


def _l2(values: Doubles, _: str, __: Sample) -> Doubles:
    made: Doubles = values / max(float(np.linalg.norm(values)), _TINY)
    return made


def _divide(values: Doubles, number: str, _: Sample) -> Doubles:
    made: Doubles = values / _one("div", _integers(f"div:{number}", number))
    return made


AFTER: Final[dict[str, Callable[[Doubles, str, Sample], Doubles]]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "binary": _binary,
    "share": _share,
    "mean": _mean,
    "first": _first,
    "l2": _l2,
    "div": _divide,
}
_BY_NAME: Final = frozenset({"mean"})
"""Operations whose parameter is a name."""
