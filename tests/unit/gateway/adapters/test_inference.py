"""The gateway's thin engine: bytes in, bytes out, and refusals that say what was expected."""

import numpy as np
import pytest

from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.reduce import packed
from devicesdk.inference.source import load_source
from gateway.adapters.inference import InferenceRefused, OnnxModels
from tests_kit.device_stage import MODELS

SOURCE = load_source(MODELS / "gauge/1.0.0")
PIXELS = SOURCE.kit.images()[:3]
IMAGE = b"i" * 32


def served(**more):
    models = OnnxModels(**more)
    models.open(IMAGE, SOURCE.models["fp32"])
    return models


def test_it_says_what_the_device_would_have_said():
    found = served().run(IMAGE, 3, packed(PIXELS))
    assert found == OnnxEngine(SOURCE.models["fp32"]).run(PIXELS).astype("<f4").tobytes()


@pytest.mark.parametrize(("frames", "pixels"), [(3, b""), (2, packed(PIXELS)), (3, bytes(5000))])
def test_bytes_that_do_not_fill_the_input_are_refused(frames, pixels):
    with pytest.raises(InferenceRefused, match="expected"):
        served().run(IMAGE, frames, pixels)


def test_what_is_no_model_or_not_open_is_refused():
    models = OnnxModels()
    with pytest.raises(InferenceRefused, match="ONNX model"):
        models.open(IMAGE, b"rubbish")
    with pytest.raises(InferenceRefused, match="open model"):
        models.run(IMAGE, 1, bytes(1024))


def test_sessions_are_bounded():
    models = served(sessions_max=2)
    for number in range(4):
        models.open(bytes([number]) * 32, SOURCE.models["int8-rr"])
    assert [models.knows(bytes([number]) * 32) for number in range(4)] == [False, False, True, True]
    assert not models.knows(IMAGE)
    assert np.frombuffer(models.run(b"\3" * 32, 1, bytes(1024)), "<f4").shape == (32,)
