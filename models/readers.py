"""Trained files back into networks: weights out of an ONNX graph of `graphs.model`."""

from __future__ import annotations

import onnx
from graphs import Convolution, Dense, Net
from onnx import helper, numpy_helper


def net_of(trained: onnx.ModelProto) -> Net:
    """Read the layers of a float32 file that `graphs.model` wrote."""
    arrays = {i.name: numpy_helper.to_array(i) for i in trained.graph.initializer}
    convolutions, dense = [], []
    for node in trained.graph.node:
        if node.op_type == "Conv":
            options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            convolutions.append(
                Convolution(
                    arrays[node.input[1]],
                    arrays[node.input[2]],
                    options["strides"][0],
                    options["pads"][0],
                )
            )
        elif node.op_type == "Gemm":
            dense.append(Dense(arrays[node.input[1]], arrays[node.input[2]]))
    return Net(tuple(convolutions), tuple(dense))
