"""The networks as ONNX graphs, written node by node with the `onnx` helpers.

Decides file contents only: opset, names, node order. Every graph maps ``image`` (n, 1, 32, 32),
float32 luminance minus 128, to ``probabilities`` (n, 32). The scale 1/64 is folded into the first
weights, so the input is whole numbers and quantises without loss.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]

OPSET: Final = 17
IR_VERSION: Final = 8
LABELS: Final = 32
SIDE: Final = 32


class Convolution(NamedTuple):
    """Weights (out, in, k, k), bias (out,), stride and padding; a ReLU follows."""

    weights: Floats
    bias: Floats
    stride: int
    pad: int


class Dense(NamedTuple):
    """Weights (in, out) and bias (out,); a ReLU follows all but the last."""

    weights: Floats
    bias: Floats


class Net(NamedTuple):
    """A dial reader."""

    convolutions: tuple[Convolution, ...]
    dense: tuple[Dense, ...]


def multiplications(net: Net) -> int:
    """Multiply-accumulates of one image."""
    total, side = 0, SIDE
    for conv in net.convolutions:
        side = (side + 2 * conv.pad - conv.weights.shape[2]) // conv.stride + 1
        total += side * side * conv.weights.size
    return total + sum(dense.weights.size for dense in net.dense)


def model(net: Net, name: str) -> onnx.ModelProto:
    """Write `net` as a checked model in float32."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, Floats] = {}
    tensor = "image"
    for index, conv in enumerate(net.convolutions):
        weights |= {f"conv{index}.w": conv.weights, f"conv{index}.b": conv.bias}
        nodes += _convolve(index, conv, tensor)
        tensor = f"relu{index}"
    nodes.append(helper.make_node("Flatten", [tensor], ["flat"], name="flatten"))
    tensor = "flat"
    for index, dense in enumerate(net.dense):
        weights |= {f"dense{index}.w": dense.weights, f"dense{index}.b": dense.bias}
        last = index == len(net.dense) - 1
        out = "logits" if last else f"dense{index}"
        inputs = [tensor, f"dense{index}.w", f"dense{index}.b"]
        nodes.append(helper.make_node("Gemm", inputs, [out], name=f"dense{index}"))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"{out}.relu"], name=f"{out}.relu"))
            tensor = f"{out}.relu"
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1))
    return assemble(nodes, weights, name)


def _convolve(index: int, conv: Convolution, tensor: str) -> list[onnx.NodeProto]:
    kernel = conv.weights.shape[2]
    return [
        helper.make_node(
            "Conv",
            [tensor, f"conv{index}.w", f"conv{index}.b"],
            [f"conv{index}"],
            name=f"conv{index}",
            kernel_shape=[kernel, kernel],
            strides=[conv.stride] * 2,
            pads=[conv.pad] * 4,
        ),
        helper.make_node("Relu", [f"conv{index}"], [f"relu{index}"], name=f"relu{index}"),
    ]


def assemble(nodes: list[onnx.NodeProto], weights: dict[str, Floats], name: str) -> onnx.ModelProto:
    """Put nodes and weights into a checked model with our input and output."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", LABELS])],
        [numpy_helper.from_array(np.ascontiguousarray(w), key) for key, w in weights.items()],
    )
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fleetdrill",
    )
    onnx.checker.check_model(made, full_check=True)
    return made
