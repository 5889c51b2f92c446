"""Other builds of a model: half precision, and eight bits for kernels that saturate and for those that do not.

Decides the recipes. Leaves out whether what comes out is any good (kits.py: each variant is judged).

| variant | recipe |
|---|---|
| ``fp32`` / ``fp16`` / ``int8`` | the model as it was given, named after what most of its weights are |
| ``fp16`` | weights and activations halved, inputs and outputs as they were |
| ``int8-rr`` | static QDQ, per channel, 7-bit weights (``reduce_range``): products of 7-bit weights do not saturate the 16-bit accumulators of x86 processors without VNNI, so it reads the same on all |
| ``int8`` | the same with 8-bit weights, for processors that do not saturate |

Quantised are convolutions and matrix products; activations are calibrated by the extremes that the samples
reach. Method: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018.

Rules: the same model and samples give the same bytes, whatever the process; what cannot be built says why.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from onnx import version_converter

from devicesdk.inference.tasks import Sample, Task, Tensor
from devicesdk.packing import graph
from devicesdk.packing.errors import CannotPack

CALIBRATION_SAMPLES_MAX: Final = 256
PER_CHANNEL_OPSET: Final = 13
"""QuantizeLinear has an axis since this operator set."""
QUANTISED: Final = ("Conv", "Gemm", "MatMul")
INT8_RR, INT8, FP16, FP32 = "int8-rr", "int8", "fp16", "fp32"
RECIPES: Final = (FP16, INT8_RR, INT8)
PREFERENCE: Final = (INT8_RR, FP32, FP16, INT8)
"""Best first, for hardware that nobody said anything about: ``int8`` may saturate there."""
PRECISIONS: Final = {
    FP32: "float32", FP16: "float16", INT8_RR: "int8 weights of 7 bits, per channel", INT8: "int8, per channel",
}  # fmt: skip
NUMBER_BYTES: Final = {FP32: 4, FP16: 2, INT8_RR: 1, INT8: 1}
_PRODUCER: Final = "fleetdrill"


class Made(NamedTuple):
    """One build of the model."""

    name: str
    content: bytes
    precision: str


def as_given(model: onnx.ModelProto, content: bytes) -> Made:
    """The model as it was given, under the name of its precision."""
    name = graph.precision_of(model)
    return Made(
        name, content, f"{PRECISIONS[name]}, as given" if name != FP32 else PRECISIONS[FP32]
    )


def build(name: str, model: onnx.ModelProto, task: Task, calibration: Sequence[Sample]) -> Made:
    """Build a variant of a float32 model.

    Raises:
        CannotPack: it cannot be built; says why.
    """
    given = graph.precision_of(model)
    if given != FP32:
        raise CannotPack(
            f"expected a model of float32 weights to build {name} from, found {given}: it is quantised "
            "already, and doing so twice only loses"
        )
    if name == FP16:
        made = _recipe(name, lambda: _halved(model))
    elif name in (INT8, INT8_RR):
        made = _recipe(name, lambda: _quantised(model, task, calibration, reduced=name == INT8_RR))
    else:
        raise CannotPack(f"expected a variant out of {[FP32, *RECIPES]}, found {name!r}")
    made.producer_name, made.producer_version, made.doc_string = _PRODUCER, "", ""
    return Made(name, made.SerializeToString(deterministic=True), PRECISIONS[name])


def feed_of(task: Task, sample: Sample) -> dict[str, Tensor]:
    """A sample as the model takes it, with the axis for samples where there is one."""
    return {
        spec.name: sample[spec.name][np.newaxis] if spec.batched else sample[spec.name]
        for spec in task.inputs
    }


def _recipe(name: str, perform: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    try:
        with _quiet():
            return perform()
    except CannotPack:
        raise
    except Exception as error:
        raise CannotPack(
            f"expected to build {name}, found: {type(error).__name__}: {error}"
        ) from error


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    made: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    return made


def _quantised(
    model: onnx.ModelProto, task: Task, calibration: Sequence[Sample], *, reduced: bool
) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    operators = graph.operators_of(model)
    kinds = [kind for kind in QUANTISED if kind in operators]
    if not kinds:
        raise CannotPack(
            f"expected one of the operators {', '.join(QUANTISED)} to quantise, found {sorted(operators)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(_modern(model), source)
        quantize_static(
            source, target, _reader(task, calibration), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=kinds, per_channel=True, reduce_range=reduced,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(target)


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in an operator set that quantises per channel."""
    if graph.opset_of(model) >= PER_CHANNEL_OPSET:
        return model
    return version_converter.convert_version(model, PER_CHANNEL_OPSET)


def _reader(task: Task, calibration: Sequence[Sample]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    few = calibration
    if len(few) > CALIBRATION_SAMPLES_MAX:
        step = len(few) / CALIBRATION_SAMPLES_MAX
        few = [few[int(at * step)] for at in range(CALIBRATION_SAMPLES_MAX)]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[Sample] = iter(few)

        def get_next(self) -> dict[str, Tensor] | None:
            sample = next(self._samples, None)
            return None if sample is None else feed_of(task, sample)

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice of the converters, which changes nothing here, out of the builder's output."""
    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)
