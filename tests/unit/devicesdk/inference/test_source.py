from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from devicesdk.bundle.archive import file_reader, pack
from devicesdk.inference.source import SourceError, TensorSource, load_any, load_source
from devicesdk.packing.files import open_bundle
from tests_kit import tensor_models as little

GAUGE = Path(__file__).parents[4] / "models" / "gauge" / "1.1.0"


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(GAUGE, tmp_path / "bundle"))


def rewrite(bundle, change):
    path = bundle / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_bundle_is_read_whole():
    source = load_source(GAUGE)
    assert (source.spec.id, source.spec.version) == ("gauge", "1.1.0")
    assert sorted(source.models) == ["fp32", "int8-rr"]
    assert sorted(source.twins) == ["int8-rr/saturating"]
    assert len(source.kit.pixels) == source.spec.kit.samples == 20
    assert len(source.digest("fp32")) == 32


def test_hardware_classes_have_their_order_and_all_others_the_default():
    spec = load_source(GAUGE).spec
    assert spec.preferred("jetson-camera")[0] == "fp32"
    assert spec.preferred("a class nobody has heard of") == spec.prefer["default"]


@pytest.mark.parametrize("name", ["fp32.onnx", "kit.npz", "int8-rr.saturating.onnx"])
def test_one_flipped_bit_is_noticed(bundle, name):
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"{name}.*altered"):
        load_source(bundle)


@pytest.mark.parametrize("name", ["fp32.onnx", "bundle.json"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(SourceError, match=name):
        load_source(bundle)


@pytest.mark.parametrize(
    ("change", "story"),
    [
        (lambda c: c.update(colour="red"), "colour"),
        (lambda c: c.update(version="1.1"), "version"),
        (lambda c: c.update(schema=2), "schema"),
        (lambda c: c["prefer"].update(default=["fp64"]), "fp64"),
        (lambda c: c["prefer"].pop("default"), "default"),
        (lambda c: c.update(preprocess=["luma601"]), "centre128"),
        (lambda c: c["variants"]["fp32"].update(file="../fp32.onnx"), "file"),
        (lambda c: c["variants"]["fp32"].update(bytes=2**40), "at most"),
        (lambda c: c["edges"].update(confidence=[1] * 19), "rising"),
        (lambda c: c["kit"].update(samples=19), "19 samples"),
    ],
)
def test_a_wrong_description_says_where(bundle, change, story):
    rewrite(bundle, change)
    with pytest.raises(SourceError, match=story):
        load_source(bundle)


def test_an_archive_is_read_as_its_directory_is(tmp_path):
    archive = tmp_path / "gauge.zip"
    archive.write_bytes(pack(open_bundle(GAUGE).members))
    source, directory = load_source(archive), load_source(GAUGE)
    assert (source.spec, source.models, source.twins) == (
        directory.spec,
        directory.models,
        directory.twins,
    )
    archive.write_bytes(b"PK torn")
    with pytest.raises(SourceError, match="damaged"):
        load_source(archive)


def test_a_model_that_reads_no_dials_is_no_source_for_drawn_ones(tmp_path):
    members = little.bundle(wanted=("fp32",)).members
    (tmp_path / "little.zip").write_bytes(pack(members))
    with pytest.raises(SourceError, match=r"expected a reader of dials .* found the task classify"):
        load_source(tmp_path / "little.zip")
    source = load_any(file_reader(members))
    assert isinstance(source, TensorSource)
    assert source.spec.dtype == "float32"
    assert len(source.digest("fp32")) == 32


def test_the_shipped_bundles_have_their_papers():
    spec = load_source(GAUGE).spec
    document = json.loads((GAUGE / spec.sbom.file).read_text())
    assert document["metadata"]["component"]["version"] == spec.version
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    assert spec.metrics["fp32"]["error_permyriad_baseline"] == 41
