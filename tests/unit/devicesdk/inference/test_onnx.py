from __future__ import annotations

import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from devicesdk.inference.onnx import (
    MODEL_BYTES_MAX,
    ModelError,
    OnnxEngine,
    Stopped,
    session_options,
    stop_all,
)


def model(nodes, *, shape=("n", 1, 32, 32), labels=32, consts=None):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", labels])],
        [onnx.numpy_helper.from_array(array, name) for name, array in (consts or {}).items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def dense(extra=(), last="flat"):
    weights = np.linspace(-1, 1, 1024 * 32, dtype=np.float32).reshape(1024, 32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        *extra,
        helper.make_node("MatMul", [last, "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["out"], axis=1),
    ]
    return model(nodes, consts={"w": weights / 1024})


def shares_its_scale_with_the_batch():
    """Divides by the largest value of the whole batch, as dynamic quantisation does."""
    return dense(
        [
            helper.make_node("Abs", ["flat"], ["size"]),
            helper.make_node("ReduceMax", ["size"], ["top"], keepdims=0),
            helper.make_node("Div", ["flat", "top"], ["scaled"]),
        ],
        "scaled",
    )


def images(count):
    generator = np.random.Generator(np.random.Philox(key=3))
    return np.rint(generator.uniform(-128, 127, (count, 1024))).astype(np.float32)


def test_a_row_has_the_same_bits_alone_and_in_any_company():
    engine = OnnxEngine(dense())
    assert engine.batchable, "a fixed dense layer treats each row by itself"
    pictures = images(70)
    alone = np.concatenate([engine.run(pictures[i : i + 1]) for i in range(70)])
    assert engine.run(pictures[::-1].copy())[::-1].tobytes() == alone.tobytes()


def test_a_model_whose_rows_depend_on_their_neighbours_is_found_out_and_run_row_by_row():
    engine = OnnxEngine(shares_its_scale_with_the_batch())
    assert not engine.batchable, "the probe must notice a scale shared by the batch"
    pictures = images(9)
    together = engine.run(pictures)
    alone = np.concatenate([engine.run(pictures[i : i + 1]) for i in range(9)])
    assert together.tobytes() == alone.tobytes()


def test_probabilities_come_out():
    out = OnnxEngine(dense(), exact_int8=True).run(images(3))
    assert out.shape == (3, 32)
    assert np.allclose(out.sum(axis=1), 1.0, atol=1e-5)


def test_sessions_use_one_thread_and_keep_no_arena():
    options = session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("content", "story"),
    [
        (b"not a model", "ONNX Runtime"),
        (bytes(MODEL_BYTES_MAX + 1), "at most"),
    ],
)
def test_bytes_that_are_no_model_are_refused(content, story):
    with pytest.raises(ModelError, match=story):
        OnnxEngine(content)


def test_a_model_of_another_shape_is_refused_with_what_was_found():
    flat = model([helper.make_node("Softmax", ["image"], ["out"], axis=1)], shape=("n", 32))
    with pytest.raises(ModelError, match="one image in"):
        OnnxEngine(flat)
    few = model(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["out"]),
        ],
        labels=7,
        consts={"w": np.zeros((1024, 7), np.float32)},
    )
    with pytest.raises(ModelError, match="only the first dimension"):
        OnnxEngine(few)


def endless_model():
    """A model that goes round for ever: a hung one, as far as anybody can tell from outside."""
    kind = TensorProto.FLOAT
    go_on = helper.make_tensor("always", TensorProto.BOOL, [], [True])
    body = helper.make_graph(
        [
            helper.make_node("Constant", [], ["again"], value=go_on),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", kind, ["n", 32]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", kind, ["n", 32]),
        ],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [2**62])
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["row"]),
            helper.make_node("Slice", ["row", "from", "to", "axis"], ["first"]),
            helper.make_node("Loop", ["rounds", "", "first"], ["out"], body=body),
        ],
        "endless",
        [helper.make_tensor_value_info("image", kind, ["n", 1, 32, 32])],
        [helper.make_tensor_value_info("out", kind, ["n", 32])],
        [
            rounds,
            *(
                helper.make_tensor(name, TensorProto.INT64, [1], [value])
                for name, value in (("from", 0), ("to", 32), ("axis", 1))
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_a_model_that_goes_round_for_ever_is_stopped_from_another_thread():
    watch = threading.Timer(0.2, stop_all)
    watch.start()
    with pytest.raises(Stopped):
        OnnxEngine(endless_model())  # it is probed when it is opened, and would never come back
    watch.join()
    stop_all()  # nothing runs: nothing happens
