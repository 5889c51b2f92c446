"""Reading what is to be published, and refusing what is not what it says."""

from hashlib import sha256

import msgspec
import pytest

from devicesdk.bundle.sealed import seal
from devicesdk.bundle.source import FILE_BYTES_MAX, SourceError, read_release

MODEL, KIT = b"a model", b"a kit"


def described(content):
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


def document(**changes):
    variant = {
        "file": "m.onnx", **described(MODEL), "precision": "fp32", "macs": 5, "memory_kib": 9,
        "baseline": {"frames": 1, "confidence": [1], "entropy": [1], "features": [[1]]},
    }  # fmt: skip
    return {
        "schema": 1, "id": "gauge", "version": "1.0.0", "release": 1, "licence": "of no interest",
        "variants": {"fp32": variant}, "prefer": {"default": ["fp32"]},
        "budgets": {"latency_ms_p95_max": 1, "memory_mib_max": 1, "power_mw_max": 1},
        "kit": {"file": "kit.npz", **described(KIT), "samples": 20, "rule": {}},
    } | changes  # fmt: skip


def reader(spec, model=MODEL, kit=KIT):
    text = spec if isinstance(spec, bytes) else msgspec.json.encode(spec)
    files = {"bundle.json": text, "m.onnx": model, "kit.npz": kit}
    return lambda name, bytes_max: files[name][:bytes_max]


def test_a_release_and_its_models_are_read_and_other_keys_left_alone():
    release, models = read_release(reader(document()))
    sealed = seal(MODEL, "fp32", msgspec.json.encode(document()), KIT)
    assert (release.id, release.version, models) == ("gauge", "1.0.0", {"fp32": sealed})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (b"not json", "expected a bundle description in bundle.json"),
        (b"\xff\xfe", "expected a bundle description"),
        (document(version="1.0"), r"\$.version"),
        (document(schema=2), r"\$.schema"),
        (document(release=0), r"\$.release"),
        (document(prefer={}), "expected class 'default' .* found ''"),
        (document(prefer={"default": []}), "expected class 'default'"),
        (
            document(prefer={"default": ["fp32"], "x": ["int8"]}),
            "expected class 'x' .* found 'int8'",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(spec, said):
    with pytest.raises(SourceError, match=said):
        read_release(reader(spec))


@pytest.mark.parametrize("files", [{"model": b"a modem"}, {"kit": b"a kit, longer"}, {"kit": b""}])
def test_an_altered_file_is_refused(files):
    with pytest.raises(SourceError, match="it was altered after the bundle was built"):
        read_release(reader(document(), **files))


def test_a_file_that_is_too_large_is_refused_whatever_the_description_says():
    with pytest.raises(SourceError, match=f"expected at most {FILE_BYTES_MAX} bytes in m.onnx"):
        read_release(reader(document(), model=bytes(FILE_BYTES_MAX + 5)))


def test_a_path_is_no_file_name():
    spec = document()
    spec["kit"]["file"] = "../kit.npz"
    with pytest.raises(SourceError, match=r"\$.kit.file"):
        read_release(reader(spec))


def test_lighter_variants_travel_in_the_image_that_carries_them():
    variant = document()["variants"]["fp32"]
    variants = {"fp32": variant, "int8": variant}
    spec = document(variants=variants, carry={"fp32": ["int8", "rule"]})
    release, models = read_release(reader(spec))
    text = msgspec.json.encode(spec)
    assert models["fp32"] == seal(MODEL, "fp32", text, KIT, {"int8": MODEL, "rule": b""})
    assert models["int8"] == seal(MODEL, "int8", text, KIT)
    assert release.carry == {"fp32": ("int8", "rule")}


@pytest.mark.parametrize("carry", [{"fp32": ["fp16"]}, {"fp32": ["fp32"]}, {"fp16": ["rule"]}])
def test_an_image_carries_nothing_that_is_not_there_nor_itself(carry):
    with pytest.raises(SourceError, match="expected carry"):
        read_release(reader(document(carry=carry)))
