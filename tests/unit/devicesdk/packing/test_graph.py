"""What a model's file says of itself."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from devicesdk.packing import graph
from devicesdk.packing.errors import CannotPack
from tests_kit import tensor_models as little


def test_multiplications_are_counted_on_the_shapes_of_a_sample():
    model = graph.load(little.classifier())
    costs = graph.costs_of(model, {"x": np.zeros((1, 1, 8, 8), np.float32)})
    assert costs.macs == 4 * 36 * 9 + 144 * 5
    assert costs.activations == 4 * 36 * 2, "the convolution's output and the ReLU's"


@pytest.mark.parametrize("length", [3, 11])
def test_free_axes_are_no_obstacle(length):
    model = graph.load(little.embedder())
    feed = {name: np.ones((1, length), np.int64) for name in ("ids", "mask")}
    assert graph.costs_of(model, feed).activations >= 2 * length * 7


def test_a_strided_grouped_and_a_transposed_convolution_and_a_turned_product():
    weights = {
        "k": np.zeros((4, 1, 3, 3), np.float32),
        "t": np.zeros((4, 2, 2, 2), np.float32),
        "w": np.zeros((5, 8), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], group=2, strides=[2, 2]),
        helper.make_node("ConvTranspose", ["c", "t"], ["d"], strides=[2, 2]),
        helper.make_node("Gemm", ["v", "w"], ["g"], transA=1),
    ]
    ins = [
        little.value("x", TensorProto.FLOAT, [1, 2, 7, 7]),
        little.value("v", TensorProto.FLOAT, [5, 3]),
    ]
    outs = [little.value(n, TensorProto.FLOAT, None) for n in ("d", "g")]
    made = helper.make_graph(
        nodes, "g", ins, outs, [onnx.numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feed = {"x": np.zeros((1, 2, 7, 7), np.float32), "v": np.zeros((5, 3), np.float32)}
    convolution, transposed, product = 4 * 9 * 9, 4 * 9 * 8, 3 * 8 * 5
    assert graph.costs_of(model, feed).macs == convolution + transposed + product


def test_ports_opset_and_operators():
    model = graph.load(little.embedder())
    assert graph.inputs_of(model) == [("ids", "int64", (0, 0)), ("mask", "int64", (0, 0))]
    assert graph.outputs_of(model) == [("out", "float32", (0, 0, 7))]
    assert graph.opset_of(model) == 17
    assert graph.operators_of(model) == {"Cast": 1, "Gather": 1, "Mul": 1, "Unsqueeze": 1}
    assert graph.precision_of(model) == "fp32"
    assert graph.weights_of(model)["table"].shape == (50, 7)


def outside():
    model = onnx.load_from_string(little.classifier())
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model.SerializeToString()


def texts():
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    ends = [little.value(name, TensorProto.STRING, [2]) for name in ("x", "y")]
    return little._model(nodes, ends[:1], ends[1:], {})


@pytest.mark.parametrize(
    ("content", "story"),
    [
        (b"no model", "expected an ONNX model"),
        (b"", "no graph"),
        (bytes(65 * 1024 * 1024), "at most"),
        (outside(), "inside the model's file"),
    ],
)
def test_what_cannot_be_packed_says_why(content, story):
    with pytest.raises(CannotPack, match=story):
        graph.load(content)


def test_a_model_of_texts_is_refused():
    with pytest.raises(CannotPack, match=r"another kind \(text\)"):
        graph.inputs_of(graph.load(texts()))


def test_an_old_operator_set_is_refused():
    model = onnx.load_from_string(little.classifier())
    model.opset_import[0].version = 6
    with pytest.raises(CannotPack, match="expected operator set 7 or newer, found 6"):
        graph.load(model.SerializeToString())


def test_memory_is_rounded_up():
    assert graph.memory_kib(1024, 1, 4) == 2
