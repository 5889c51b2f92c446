"""What one image carries: opened when asked for, and in error when it is not there."""

import numpy as np
import pytest

from devicesdk.bundle import sealed
from devicesdk.inference.beside import unseal
from devicesdk.inference.carried import Carried, answered_rows, failed_rows
from devicesdk.inference.engine import COLUMN_ERROR, COLUMN_FEATURES, InferenceError
from devicesdk.inference.onnx import ModelError, OnnxEngine
from devicesdk.inference.preprocess import quantise
from devicesdk.inference.rule import DialRule
from devicesdk.inference.runner import open_image
from devicesdk.inference.source import load_source
from tests_kit.device_stage import MODELS

FOLDER = MODELS / "gauge/1.0.0"
SOURCE = load_source(FOLDER)
TEXT, KIT = (FOLDER / "bundle.json").read_bytes(), (FOLDER / "kit.npz").read_bytes()
PIXELS = SOURCE.kit.images()[:3]


def image(**also):
    return sealed.seal(SOURCE.models["fp32"], "fp32", TEXT, KIT, also)


def carried(**also):
    metadata = OnnxEngine(image(**also)).metadata()
    return Carried(unseal(metadata), metadata)


FULL = {"int8-rr": SOURCE.models["int8-rr"], "rule": b""}


def test_a_lighter_model_travels_in_the_image_and_answers_as_its_file_does():
    found = carried(**FULL)
    assert found.names == ("int8-rr",)
    engine = found.engine("int8-rr")
    alone = OnnxEngine(SOURCE.models["int8-rr"])
    assert engine.run(PIXELS).tobytes() == alone.run(PIXELS).tobytes()
    assert found.engine("int8-rr") is engine, "opened twice"
    assert isinstance(found.engine("rule"), DialRule)


@pytest.mark.parametrize("variant", ["fp16", "fp32"])
def test_what_is_not_there_is_refused_with_what_is(variant):
    with pytest.raises(ModelError, match="int8-rr"):
        carried(**FULL).engine(variant)


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(ModelError):
        carried(**{"int8-rr": b"rubbish"}).engine("int8-rr")


def test_frames_in_error_have_their_features_and_no_reading():
    edges = SOURCE.spec.edges
    rows = failed_rows(PIXELS, edges, InferenceError.TIMEOUT)
    good = quantise(PIXELS, OnnxEngine(SOURCE.models["fp32"]).run(PIXELS), edges).rows
    assert (rows[:, COLUMN_ERROR] == InferenceError.TIMEOUT).all()
    assert (rows[:, COLUMN_FEATURES:-1] == good[:, COLUMN_FEATURES:-1]).all()


def test_an_answer_is_read_by_the_bundles_own_bins_and_a_wrong_one_is_an_error():
    edges = SOURCE.spec.edges
    outputs = OnnxEngine(SOURCE.models["fp32"]).run(PIXELS)
    rows = answered_rows(PIXELS, outputs.astype("<f4").tobytes(), edges)
    assert (rows == quantise(PIXELS, outputs, edges).rows).all()
    for wrong in (b"", b"x" * 7, bytes(4 * 32)):
        rows = answered_rows(PIXELS, wrong, edges)
        assert (rows[:, COLUMN_ERROR] == InferenceError.NO_ANSWER).all()
    nan = np.full((3, 32), np.nan, dtype="<f4").tobytes()
    assert (answered_rows(PIXELS, nan, edges)[:, COLUMN_ERROR] == InferenceError.NOT_FINITE).all()


def test_a_runner_switches_without_another_file_and_a_missing_variant_is_a_frame_in_error():
    whole = image(**FULL)
    runner = open_image(whole, b"", lambda _: None)
    own, latency = runner.run(PIXELS[:1], "", lambda: 0)
    assert runner.run(PIXELS[:1], "fp32", lambda: 0) == (own, latency)
    assert runner.run(PIXELS[:1], "rule", lambda: 0)[0][-1] == InferenceError.OK
    assert runner.run(PIXELS[:1], "fp16", lambda: 0)[0][-1] == InferenceError.FAILED


def test_the_kit_judges_every_model_in_the_image():
    assert open_image(image(**FULL), b"", lambda _: None).judge("", lambda: 0).passed
    other = load_source(MODELS / "gauge/1.1.0").models["int8-rr"]
    bad = open_image(image(**{"int8-rr": other}), b"", lambda _: None).judge("", lambda: 0)
    assert (bad.passed, bad.reason) == (False, "deviation"), "would have been run some day"
