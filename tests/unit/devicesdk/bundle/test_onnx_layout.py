"""Where the tensors of a model lie, held against the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from devicesdk.bundle.onnx_layout import tensors

GAUGE = Path(__file__).parents[4] / "models" / "gauge" / "1.1.0"


@pytest.mark.parametrize("path", sorted(GAUGE.glob("*.onnx")), ids=lambda path: path.name)
def test_every_initializer_of_a_model_is_found(path):
    model = path.read_bytes()
    found = {tensor.name.decode(): tensor for tensor in tensors(model)}
    for initializer in onnx.load_from_string(model).graph.initializer:
        if not initializer.raw_data:
            continue
        one = found[initializer.name]
        assert model[one.offset : one.offset + one.size_bytes] == initializer.raw_data
        item = numpy_helper.to_array(initializer).dtype.itemsize
        assert one.width == min(item, 4)


def test_constants_of_nodes_and_plain_floats_are_found_too():
    weights = np.arange(6, dtype=np.float32)
    constant = helper.make_node(
        "Constant", [], ["c"], value=numpy_helper.from_array(weights, "inner")
    )
    plain = helper.make_tensor("plain", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    half = numpy_helper.from_array(weights.astype(np.float16), "half")
    graph = helper.make_graph([constant], "g", [], [], [plain, half])
    model = helper.make_model(graph).SerializeToString()
    found = {tensor.name: tensor for tensor in tensors(model)}
    assert set(found) == {b"node 0 inner", b"plain", b"half"}
    inner, halves = found[b"node 0 inner"], found[b"half"]
    assert model[inner.offset : inner.offset + inner.size_bytes] == weights.tobytes()
    assert (inner.width, halves.width, halves.size_bytes) == (4, 2, 12)
    assert found[b"plain"].size_bytes == 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x3a\x05ab",
        b"\xff" * 40,
        b"\x3a\x80\x80\x80",
        b"\x08",
        b"\x02",
        b"\x0b\x01",
        b"\x09" + bytes(8) + b"\x0d" + bytes(4),
        b"plain text, no model",
    ],
)
def test_what_is_no_model_has_no_tensors(data):
    assert tensors(data) == []
