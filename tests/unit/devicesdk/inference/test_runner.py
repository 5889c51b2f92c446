import json
from hashlib import sha256

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from devicesdk.bundle.sealed import prop, seal
from devicesdk.inference import dials
from devicesdk.inference.runner import CannotRun, open_image
from tests_kit.device_stage import MODELS, gauge_image, kit_digest

FOLDER = MODELS / "gauge/1.0.0"
DESCRIPTION = (FOLDER / "bundle.json").read_bytes()
KIT = (FOLDER / "kit.npz").read_bytes()


class Stopwatch:
    """Every look costs the next of these durations."""

    def __init__(self, *steps_us):
        self.steps, self.at = list(steps_us), 0

    def __call__(self):
        self.at += 1000 * (self.steps.pop(0) if self.steps else 0)
        return self.at


def nothing(_):
    return None


def opened(image=None):
    return open_image(gauge_image() if image is None else image, b"", nothing)


def test_a_frame_becomes_a_row_that_reads_the_dial_and_the_stopwatch_times_the_model_alone():
    sharp = dials.paint(np.array([0.25], np.float32), np.array([dials.TILTS[0]], np.float32))
    frame = (200 * sharp.reshape(32, 32)).astype(np.uint8)
    row, latency_ns = opened().read(frame, Stopwatch(0, 42))
    assert len(row) == 12
    assert abs(row[0] - 250) < 60, f"a needle at 250 permille was read as {row[0]}"
    assert row[11] == 0
    assert latency_ns == 42_000


def test_a_large_colour_frame_is_prepared_as_the_bundle_says_and_an_odd_one_is_refused():
    row, _ = opened().read(np.full((64, 96, 3), 128, np.uint8), Stopwatch())
    assert len(row) == 12
    with pytest.raises(ValueError, match="multiples of 32"):
        opened().read(np.zeros((33, 32), np.uint8), Stopwatch())


def test_a_good_image_passes_its_kit_and_tells_the_95th_percentile():
    steps = [0, 1000] * 18 + [0, 7000] + [0, 20_000]
    said = opened().judge(kit_digest(), Stopwatch(*steps))
    assert (said.passed, said.reason, said.latency_us) == (True, "", 7000)


def test_a_slow_device_fails_by_latency_and_not_by_its_one_worst_sample():
    budget_us = 1000 * opened().known.spec.budgets.latency_ms_p95_max
    once = [0, budget_us + 1] + [0, 1] * 19
    assert opened().judge("", Stopwatch(*once)).passed
    assert opened().judge("", Stopwatch(*([0, budget_us + 1] * 20))).reason == "latency"


def test_another_kit_than_the_signed_one_fails():
    assert opened().judge("ab" * 32, Stopwatch()).reason == "kit"
    assert (
        opened(seal(_model(), "fp32", DESCRIPTION, b"junk")).judge("", Stopwatch()).reason == "kit"
    )


def test_a_model_that_says_other_things_than_its_goldens_fails():
    worse = (MODELS / "gauge-mislabelled/1.2.1/fp32.onnx").read_bytes()
    said = opened(seal(worse, "fp32", DESCRIPTION, KIT)).judge(kit_digest(), Stopwatch())
    assert (said.passed, said.reason) == (False, "deviation")
    assert said.worst_permille > 100


def test_outputs_that_are_not_numbers_are_told_apart():
    image = seal(_nan_model(), "fp32", DESCRIPTION, KIT)
    assert opened(image).judge("", Stopwatch()).reason == "nan"


def test_a_variant_that_takes_too_much_memory_fails():
    spec = json.loads(DESCRIPTION)
    spec["budgets"]["memory_mib_max"] = 0
    image = seal(_model(), "fp32", json.dumps(spec).encode(), KIT)
    assert opened(image).judge("", Stopwatch()).reason == "memory"


def test_other_bytes_than_the_verified_ones_do_not_open():
    image = gauge_image()
    assert open_image(image, sha256(image).digest(), nothing).known.variant == "fp32"
    with pytest.raises(CannotRun, match="storage has changed it") as caught:
        open_image(image, bytes(32), nothing)
    assert caught.value.reason == "model"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"not a model", "model"),
        ((FOLDER / "fp32.onnx").read_bytes(), "kit"),
        (seal((FOLDER / "fp32.onnx").read_bytes(), "fp32", b"{", b""), "model"),
    ],
)
def test_what_cannot_run_says_why_in_a_word(image, reason):
    with pytest.raises(CannotRun) as caught:
        opened(image)
    assert caught.value.reason == reason


def test_the_shelf_is_asked_for_an_image_that_carries_nothing():
    asked, known = [], opened().known

    def shelf(digest):
        asked.append(digest)
        return known

    image = _model() + prop("unrelated", b"x")
    assert open_image(image, b"", shelf).known is known
    assert asked == [sha256(image).digest()]


def _model():
    return (FOLDER / "fp32.onnx").read_bytes()


def _nan_model():
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Sub", ["flat", "flat"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["nan"]),
        helper.make_node("MatMul", ["nan", "w"], ["out"]),
    ]
    weights = onnx.numpy_helper.from_array(np.ones((1024, 32), np.float32), "w")
    graph = helper.make_graph(
        nodes,
        "nan",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 32])],
        [weights],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
