"""What a model's file says of itself: inputs, outputs, precision, cost.

Decides how multiply-accumulates and memory are counted and what precision a file has. Leaves out running
it for results (devicesdk/inference/tensors.py) and changing it (variants.py).

Costs are counted on the shapes that a real sample has in the graph: every value becomes an output of a copy
of the model, which is run once, unoptimised. That holds for models whose shapes nobody can infer.

Rules: whatever the graph does not say is not guessed; a model whose weights lie in other files is refused,
because a device gets one file.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper

from devicesdk.inference.onnx import MODEL_BYTES_MAX, session_options
from devicesdk.inference.tasks import Tensor
from devicesdk.packing.errors import CannotPack

DTYPES: Final = {
    TensorProto.FLOAT16: "float16", TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64",
    TensorProto.INT8: "int8", TensorProto.INT16: "int16", TensorProto.INT32: "int32",
    TensorProto.INT64: "int64", TensorProto.UINT8: "uint8", TensorProto.UINT16: "uint16",
    TensorProto.BOOL: "bool",
}  # fmt: skip
OPSET_MIN: Final = 7
"""Older operator sets are supported by ONNX Runtime as far as it happens to work."""
_CONVOLUTIONS: Final = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
_PRODUCTS: Final = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul")
_WEIGHT_AT: Final = {"QLinearConv": 3}
_QUANTISED: Final = (
    "QuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)
_KIB: Final = 1024


class Port(NamedTuple):
    """One input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """0 where the graph leaves it open."""


class Costs(NamedTuple):
    """What one inference takes."""

    macs: int
    activations: int
    """Numbers in the largest pair of values that exist at the same time: a node's inputs and outputs."""


def load(content: bytes) -> onnx.ModelProto:
    """Read a model.

    Raises:
        CannotPack: not one, too large, or not whole in itself.
    """
    if len(content) > MODEL_BYTES_MAX:
        raise CannotPack(
            f"expected a model of at most {MODEL_BYTES_MAX} bytes, found {len(content)}"
        )
    try:
        model = onnx.load_from_string(content)
    except Exception as error:
        raise CannotPack(f"expected an ONNX model, found something else: {error}") from error
    if not model.graph.node or not model.graph.output:
        raise CannotPack("expected an ONNX model, found no graph with an output in it")
    outside = [i.name for i in model.graph.initializer if i.data_location == TensorProto.EXTERNAL]
    if outside:
        raise CannotPack(
            f"expected all weights inside the model's file, found {len(outside)} outside ({outside[0]}): "
            "save it with save_as_external_data=False"
        )
    if opset_of(model) < OPSET_MIN:
        raise CannotPack(
            f"expected operator set {OPSET_MIN} or newer, found {opset_of(model)}: convert it with "
            "onnx.version_converter"
        )
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the default operator set."""
    return max(
        (int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
    )


def inputs_of(model: onnx.ModelProto) -> list[Port]:
    """What must be fed: inputs that no initializer fills."""
    filled = {i.name for i in model.graph.initializer}
    return [_port(value) for value in model.graph.input if value.name not in filled]


def outputs_of(model: onnx.ModelProto) -> list[Port]:
    """What can be read."""
    return [_port(value) for value in model.graph.output]


def precision_of(model: onnx.ModelProto) -> str:
    """``fp32``, ``fp16`` or ``int8``: what most of the weights' bytes are."""
    bytes_of: dict[str, int] = {}
    for tensor in model.graph.initializer:
        dtype = DTYPES.get(tensor.data_type, "other")
        size = math.prod(tensor.dims) * (np.dtype(dtype).itemsize if dtype != "other" else 1)
        bytes_of[dtype] = bytes_of.get(dtype, 0) + size
    small = bytes_of.get("int8", 0) + bytes_of.get("uint8", 0)
    half = bytes_of.get("float16", 0)
    if small > sum(bytes_of.values()) / 2 or any(n.op_type in _QUANTISED for n in model.graph.node):
        return "int8"
    return "fp16" if half > sum(bytes_of.values()) / 2 else "fp32"


def operators_of(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each kind."""
    found: dict[str, int] = {}
    for node in model.graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items()))


def weights_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Initializers and constants by name."""
    found: dict[str, Tensor] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type in DTYPES:
            found[tensor.name] = numpy_helper.to_array(tensor)
    return found


def costs_of(model: onnx.ModelProto, feed: dict[str, Tensor]) -> Costs:
    """Count what one inference of this feed takes.

    Raises:
        CannotPack: the model does not run.
    """
    shapes = _shapes(model, feed)
    macs = activations = 0
    constant = {i.name for i in model.graph.initializer}
    for node in model.graph.node:
        macs += _macs(node, shapes)
        held = [name for name in (*node.input, *node.output) if name and name not in constant]
        activations = max(activations, sum(math.prod(shapes.get(name, (0,))) for name in held))
    return Costs(max(1, macs), activations)


def memory_kib(weights_bytes: int, activations: int, number_bytes: int) -> int:
    """Weights and the largest pair of activations, in KiB, rounded up."""
    return -(-(weights_bytes + activations * number_bytes) // _KIB)


def _port(value: Any) -> Port:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in DTYPES:
        found = "text" if kind.elem_type == TensorProto.STRING else value.type.WhichOneof("value")
        raise CannotPack(
            f"expected tensors of numbers as inputs and outputs, found {value.name!r} of another kind "
            f"({found}): fold that step out of the model"
        )
    shape = tuple(int(d.dim_value) if d.HasField("dim_value") else 0 for d in kind.shape.dim)
    return Port(value.name, DTYPES[kind.elem_type], shape)


def _shapes(model: onnx.ModelProto, feed: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {o.name for o in copy.graph.output}
    names = [name for node in copy.graph.node for name in node.output if name]
    for name in names:
        if name not in given:
            copy.graph.output.append(onnx.ValueInfoProto(name=name))
    options = session_options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        outputs = [item.name for item in session.get_outputs()]
        values = session.run(None, feed)
    except Exception as error:
        raise CannotPack(f"expected a model that runs on its samples, found: {error}") from error
    found = {name: np.shape(value) for name, value in zip(outputs, values, strict=True)}
    found.update({name: np.shape(value) for name, value in feed.items()})
    found.update({i.name: tuple(i.dims) for i in model.graph.initializer})
    return found


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of one node: only those kinds that count."""
    out = shapes.get(node.output[0], ()) if node.output else ()
    if node.op_type in _CONVOLUTIONS:
        weight = shapes.get(node.input[_WEIGHT_AT.get(node.op_type, 1)], ())
        if node.op_type == "ConvTranspose":  # each input number meets the whole kernel
            return math.prod(shapes.get(node.input[0], ())) * math.prod(weight[1:])
        return math.prod(out) * math.prod(weight[1:])
    if node.op_type in _PRODUCTS:
        left = shapes.get(node.input[0], ())
        turned = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
        inner = left[0 if turned else -1] if left else 1
        return math.prod(out) * inner
    return 0
