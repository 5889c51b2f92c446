import numpy as np
import onnx

from devicesdk.bundle.sealed import DESCRIPTION_KEY, KIT_KEY, VARIANT_KEY, prop, seal
from devicesdk.inference.onnx import OnnxEngine
from tests_kit.device_stage import MODELS

MODEL = (MODELS / "gauge/1.0.0/fp32.onnx").read_bytes()


def test_a_sealed_model_is_a_model_and_says_the_same():
    sealed = seal(MODEL, "fp32", b'{"a": 1}', b"\0\xff" * 100)
    images = np.zeros((3, 1024), dtype=np.float32)
    assert OnnxEngine(sealed).run(images).tobytes() == OnnxEngine(MODEL).run(images).tobytes()
    assert sealed.startswith(MODEL)


def test_every_onnx_reader_finds_what_was_sealed_in():
    sealed = seal(MODEL, "fp32", b"{}", b"kit")
    model = onnx.load_from_string(sealed)
    onnx.checker.check_model(model)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found == {VARIANT_KEY: "fp32", DESCRIPTION_KEY: "{}", KIT_KEY: "a2l0"}
    assert OnnxEngine(sealed).metadata() == found


def test_sealing_is_deterministic_and_lengths_beyond_a_byte_are_spelt_rightly():
    assert seal(MODEL, "v", b"d", b"k") == seal(MODEL, "v", b"d", b"k")
    for size in (0, 1, 127, 128, 16_383, 16_384, 300_000):
        entry = onnx.ModelProto.FromString(prop("key", b"x" * size)).metadata_props[0]
        assert (entry.key, len(entry.value)) == ("key", size)
