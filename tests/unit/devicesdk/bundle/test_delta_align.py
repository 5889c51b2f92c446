"""Runs: they cover the target, and compare weight with weight when a graph has moved them."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from devicesdk.bundle.delta_align import RAW, align
from tests_kit.agent_bundles import pattern

RNG = np.random.Generator(np.random.Philox(6))
FIRST = RNG.standard_normal((40, 50)).astype(np.float32)
SECOND = RNG.standard_normal((50, 30)).astype(np.float32)


def _model(tensors, doc="", nodes=1):
    body = [helper.make_node("Relu", [f"x{i}"], [f"x{i + 1}"]) for i in range(nodes)]
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    model = helper.make_model(helper.make_graph(body, "g", [], [], weights, doc_string=doc))
    return model.SerializeToString()


def _covered(base, target):
    runs, at = align(base, target), 0
    for run in runs:
        assert run.target == at, f"a hole or an overlap at {at}"
        assert run.width == RAW or run.base + run.size_bytes <= len(base)
        assert run.width == RAW or run.size_bytes % run.width == 0
        at += run.size_bytes
    assert at == len(target)
    return runs


def _of(runs, array, target):
    data = array.tobytes()
    return [run for run in runs if target[run.target : run.target + run.size_bytes] == data]


def test_tensors_are_found_again_by_name_when_the_graph_grew():
    base = _model({"a": FIRST, "b": SECOND})
    moved = {"b": SECOND + np.float32(1e-3), "a": FIRST + np.float32(1e-3)}
    target = _model(moved, doc="longer than before", nodes=9)
    runs = _covered(base, target)
    for old, new in ((FIRST, moved["a"]), (SECOND, moved["b"])):
        (run,) = _of(runs, new, target)
        assert base[run.base : run.base + run.size_bytes] == old.tobytes()
        assert (run.width, run.guessed) == (4, False)


def test_a_renamed_tensor_is_found_by_its_size():
    base, target = _model({"a": FIRST, "b": SECOND}), _model({"a": FIRST, "c": SECOND + 1})
    (run,) = _of(_covered(base, target), SECOND + 1, target)
    assert base[run.base : run.base + run.size_bytes] == SECOND.tobytes()


def test_a_new_tensor_is_not_compared():
    base, target = _model({"a": FIRST}), _model({"a": FIRST, "c": SECOND})
    assert any(run.width == RAW for run in _covered(base, target))


def test_files_that_are_no_models():
    base = pattern(1, 9_003)
    for target in (base, pattern(2, 9_003), base[:500] + b"more" + base[500:], b"", base[7:]):
        _covered(base, target)
    words, rest = _covered(pattern(1, 9_003), pattern(2, 9_003))
    assert (words.width, words.guessed, rest.width) == (4, True, 1)


def test_a_common_beginning_and_end_are_no_difference():
    base = pattern(1, 3_000_000)
    target = base[:1_500_000] + b"inserted" + base[1_500_000:]
    head, middle, tail = _covered(base, target)
    assert (head.size_bytes, middle.width, middle.size_bytes) == (1_500_000, RAW, 8)
    assert tail.base == 1_500_000
