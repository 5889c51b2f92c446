"""Little models of other people's kinds, their samples and bundles: quick to build and to run."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from devicesdk.inference.kit import KitRule
from devicesdk.inference.tasks import Task, TensorSpec
from devicesdk.packing.builder import Labels, Orders, build
from devicesdk.packing.samples import Named
from devicesdk.packing.study import Said

CLASSES = 5
RULE = KitRule(tolerance_permille=20, argmax_mismatches_max=1)


def grain(seed=1):
    return np.random.Generator(np.random.Philox(key=seed))


def _model(nodes, inputs, outputs, weights, opset=17):
    graph = helper.make_graph(
        nodes,
        "little",
        inputs,
        outputs,
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def classifier(seed=1, opset=17, softmax=True):
    """(n, 1, 8, 8) -> conv, relu, dense: probabilities (or logits) of five classes."""
    g = grain(seed)
    weights = {
        "k": g.normal(0, 0.4, (4, 1, 3, 3)).astype(np.float32),
        "w": g.normal(0, 0.3, (4 * 36, CLASSES)).astype(np.float32),
        "b": g.normal(0, 0.1, CLASSES).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y" if not softmax else "l"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["l"], ["y"], axis=1))
    ins = [value("x", TensorProto.FLOAT, ["n", 1, 8, 8])]
    return _model(nodes, ins, [value("y", TensorProto.FLOAT, ["n", CLASSES])], weights, opset)


def bytes_reader(seed=4):
    """(n, 64) bytes -> probabilities of five classes, as readers of files have them."""
    weights = {"w": grain(seed).normal(0, 0.01, (64, CLASSES)).astype(np.float32)}
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    ins = [value("x", TensorProto.UINT8, ["n", 64])]
    return _model(nodes, ins, [value("y", TensorProto.FLOAT, ["n", CLASSES])], weights)


def regressor(seed=2):
    """(n, 6) -> one number."""
    g = grain(seed)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    ins, outs = [value("x", TensorProto.FLOAT, ["n", 6])], [value("y", TensorProto.FLOAT, ["n", 1])]
    return _model(nodes, ins, outs, {"w": g.normal(0, 1, (6, 1)).astype(np.float32)})


def embedder(seed=3):
    """ids and mask (n, length) -> rows (n, length, 7), as sentence models have them."""
    g = grain(seed)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "axes"], ["mm"]),
        helper.make_node("Mul", ["rows", "mm"], ["out"]),
    ]
    ins = [value(n, TensorProto.INT64, ["n", "length"]) for n in ("ids", "mask")]
    weights = {
        "table": g.normal(0, 1, (50, 7)).astype(np.float32),
        "axes": np.array([2], dtype=np.int64),
    }
    return _model(nodes, ins, [value("out", TensorProto.FLOAT, ["n", "length", 7])], weights)


def pictures(count=40, seed=5):
    g = grain(seed)
    return [
        Named(f"{i:03d}.npy", g.normal(0, 1 + i / count, (1, 8, 8)).astype(np.float32))
        for i in range(count)
    ]


def sentences(count=24, seed=6):
    g = grain(seed)
    made = []
    for index in range(count):
        length = int(g.integers(3, 9))
        ids = g.integers(0, 50, length).astype(np.int64)
        made.append(Named(f"{index}.npz", {"ids": ids, "mask": np.ones(length, dtype=np.int64)}))
    return made


def rows(count=30, seed=7):
    g = grain(seed)
    return [Named(f"{i}.npy", g.normal(0, 1, 6).astype(np.float32)) for i in range(count)]


def classify_task(**changes):
    said = {
        "kind": "classify",
        "inputs": (TensorSpec(name="x", dtype="float32", shape=(1, 8, 8)),),
        "output": "y",
    }
    return Task(**{**said, **changes})


def bundle(signer=None, **changes):
    """A bundle of the classifier in memory."""
    orders = {
        "model": classifier(), "samples": pictures(), "labels": Labels(id="little", licence="MIT"),
        "said": Said(), "wanted": ("fp32", "int8-rr"),
    }  # fmt: skip
    return build(Orders(**{**orders, **changes}), signer)
