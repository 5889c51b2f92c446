import base64
from hashlib import sha256

import pytest

from devicesdk.bundle.sealed import DESCRIPTION_KEY, KIT_KEY, VARIANT_KEY
from devicesdk.bundle.source import SourceError
from devicesdk.inference.beside import SealError, beside_in, unseal
from devicesdk.inference.kit import KIT_BYTES_MAX
from devicesdk.inference.onnx import OnnxEngine
from tests_kit.device_stage import MODELS, gauge_image

FOLDER = MODELS / "gauge/1.0.0"
GOOD = OnnxEngine(gauge_image()).metadata()


def test_a_sealed_image_says_how_it_is_run_and_brings_the_kit_that_the_manifest_names():
    known = unseal(GOOD)
    assert (known.variant, known.spec.version) == ("fp32", "1.0.0")
    assert sha256(known.kit).hexdigest() == known.spec.kit.sha256


def test_an_ordinary_model_has_nothing_beside_it():
    assert unseal({}) is None
    assert unseal({key: text for key, text in GOOD.items() if key != KIT_KEY}) is None


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        (DESCRIPTION_KEY, "{}", "build it again"),
        (DESCRIPTION_KEY, "garbage", "build it again"),
        (KIT_KEY, "not base64!", "build it again"),
        (KIT_KEY, "A" * (2 * KIT_BYTES_MAX + 4), "larger"),
        (VARIANT_KEY, "fp8", "variant out of"),
    ],
)
def test_what_is_damaged_is_refused(key, text, said):
    with pytest.raises(SealError, match=said):
        unseal({**GOOD, key: text})


def test_a_bundle_directory_knows_its_own_images_and_no_others(tmp_path):
    image = (FOLDER / "int8-rr.onnx").read_bytes()
    known = beside_in(FOLDER, sha256(image).digest())
    assert known.variant == "int8-rr"
    assert base64.b64encode(known.kit).decode() == GOOD[KIT_KEY]
    assert beside_in(FOLDER, bytes(32)) is None
    with pytest.raises(SourceError):
        beside_in(tmp_path, bytes(32))
