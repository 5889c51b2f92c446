"""Int8 builds of a dial reader, and what a broken int8 kernel would make of them.

Decides how ``int8-rr`` is quantised (static QDQ, convolutions only, per channel, 7-bit weights) and how
its saturating twin is written. Leaves out when either is used.

Why 7 bits: x86 processors without VNNI multiply u8 by s8 and add pairs in 16 bits, saturating; weights
of at most 64 in magnitude cannot saturate a pair, so ``int8-rr`` reads the same on every healthy
processor. The *twin* is the unhealthy one: a kernel that keeps a convolution's whole sum in a 16-bit
accumulator of the saturating *doubling* kind (``SQDMLAL`` and its relatives), so that it clips at half
the range; raw u8 activations, zero point subtracted afterwards. It is written out in float32 ONNX
operators, exact below 2^24, so that a simulated kernel fault does not depend on the host.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from graphs import OPSET, assemble
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

Floats = NDArray[np.float32]
ACCUMULATOR = (-16384.0, 16383.0)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Floats) -> None:
        self._rows: Iterator[Floats] = iter(pixels.reshape(-1, 1, 1, 32, 32))

    def get_next(self) -> dict[str, Floats] | None:
        """The next calibration image, or None at the end."""
        row = next(self._rows, None)
        return None if row is None else {"image": row}


def quantise(
    model: onnx.ModelProto, pixels: Floats, *, reduce_range: bool = True
) -> onnx.ModelProto:
    """Build ``int8-rr`` of a float32 model, calibrated by the extremes seen on `pixels` (n, 1024).

    Without `reduce_range` the weights have all 8 bits: exact only where products do not saturate.
    """
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "in.onnx", Path(directory) / "out.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Reader(pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        made = onnx.load(target)
    made.producer_name = "fleetdrill"
    made.producer_version = ""
    return made


class _Quantised:
    """Reads the constants behind the quantised tensors of a QDQ graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.makers = {out: node for node in model.graph.node for out in node.output}

    def activation(self, tensor: str) -> tuple[str, float, float]:
        """The tensor before quantisation, its scale and zero point."""
        restore = self.makers[tensor]
        source = self.makers[restore.input[0]].input[0]
        scale, zero = (float(self.constants[name]) for name in restore.input[1:3])
        return source, scale, zero

    def weights(self, tensor: str) -> tuple[Floats, Floats]:
        """Whole-number weights and their scale per output channel."""
        restore = self.makers[tensor]
        weights, scales = (self.constants[name] for name in restore.input[:2])
        return weights.astype(np.float32), np.atleast_1d(scales).astype(np.float32)


def saturating_twin(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out an ``int8-rr`` model as a kernel with 16-bit saturating accumulators computes it."""
    assert model.opset_import[0].version == OPSET
    reader = _Quantised(model)
    consts: dict[str, Floats] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            nodes += _saturating_convolution(node, reader, consts)
        elif node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            nodes.append(_past_quantisation(node, reader))
            for name in node.input:
                if name in reader.constants:
                    consts[name] = reader.constants[name]
    return assemble(nodes, consts, model.graph.name + "-saturating")


def _past_quantisation(node: onnx.NodeProto, reader: _Quantised) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, name in enumerate(node.input):
        maker = reader.makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            copy.input[index] = reader.activation(name)[0]
    return copy


def _saturating_convolution(
    node: onnx.NodeProto, reader: _Quantised, consts: dict[str, Floats]
) -> list[onnx.NodeProto]:
    tag, out = node.name, node.output[0]
    source, scale, zero = reader.activation(node.input[0])
    weights, weight_scales = reader.weights(node.input[1])
    bias, bias_scales = reader.weights(node.input[2])
    shape = (1, -1, 1, 1)
    correction = (bias - zero * weights.sum(axis=(1, 2, 3))).astype(np.float32)
    assert np.allclose(bias_scales, scale * weight_scales)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    pad = attributes["pads"][0]
    consts |= {
        f"{tag}.scale": np.array(scale, np.float32),
        f"{tag}.zero": np.array(zero, np.float32),
        f"{tag}.byte.min": np.array(0.0, np.float32),
        f"{tag}.byte.max": np.array(255.0, np.float32),
        f"{tag}.accumulator.min": np.array(ACCUMULATOR[0], np.float32),
        f"{tag}.accumulator.max": np.array(ACCUMULATOR[1], np.float32),
        f"{tag}.weights": weights,
        f"{tag}.correction": correction.reshape(shape),
        f"{tag}.scales": (scale * weight_scales).astype(np.float32).reshape(shape),
        f"{tag}.pads": np.array([0, 0, pad, pad, 0, 0, pad, pad], np.int64),
    }
    steps = (
        ("Div", [source, f"{tag}.scale"], {}),
        ("Round", [], {}),
        ("Add", [f"{tag}.zero"], {}),
        ("Clip", [f"{tag}.byte.min", f"{tag}.byte.max"], {}),
        ("Pad", [f"{tag}.pads", f"{tag}.zero"], {}),
        ("Conv", [f"{tag}.weights"], {**attributes, "pads": [0, 0, 0, 0]}),
        ("Clip", [f"{tag}.accumulator.min", f"{tag}.accumulator.max"], {}),
        ("Add", [f"{tag}.correction"], {}),
        ("Mul", [f"{tag}.scales"], {}),
    )
    nodes, tensor = [], ""
    for index, (kind, extra, options) in enumerate(steps):
        inputs = [tensor, *extra] if tensor else extra
        tensor = out if index == len(steps) - 1 else f"{tag}.step{index}"
        nodes.append(helper.make_node(kind, inputs, [tensor], name=f"{tag}.{index}", **options))
    return nodes
