"""The commands, from options to exit codes."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from devicesdk.bundle.archive import pack, unpack
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer
from devicesdk.packing import cli
from devicesdk.packing.cli import EXIT_DONE, EXIT_INVALID, EXIT_NO
from tests_kit import tensor_models as little

ROOT = Path(__file__).parents[4]
GAUGE = ROOT / "models" / "gauge" / "1.0.0"
SEED = bytes(range(32))
ARCHIVE = "little-1.0.0-int8-rr-any.zip"

app = typer.Typer()
cli.register(app)


def run(*words, code=EXIT_DONE, env=None):
    ran = CliRunner().invoke(app, ["bundle", *map(str, words)], env=env)
    assert ran.exit_code == code, f"{words}: {ran.exit_code}\n{ran.output}\n{ran.exception!r}"
    return ran


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a model, samples, keys, and a signed bundle of them."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "little.onnx").write_bytes(little.classifier())
    (folder / "samples").mkdir()
    for sample in little.pictures():
        np.save(folder / "samples" / sample.name, sample.frame)
    (folder / "targets.key").write_text(SEED.hex() + "\n")
    public = Ed25519Signer(ROLE_TARGETS, SEED).public.hex()
    (folder / "trust.json").write_text(json.dumps({"targets": [public], "flags": []}))
    (folder / "labels.txt").write_text("owl\njay\ntit\nwren\nrook\n")
    run(
        "build", "--model", folder / "little.onnx", "--samples", folder / "samples", "--key",
        folder / "targets.key", "--labels", folder / "labels.txt", "--license", "MIT", "--dataset",
        "birds: of a garden", "--limit", "no bats", "--out", folder,
    )  # fmt: skip
    return folder


def build(desk, *words, code=EXIT_DONE, out=None, env=None):
    given = (
        "--model",
        desk / "little.onnx",
        "--samples",
        desk / "samples",
        "--out",
        out or desk / "more",
    )
    return run("build", *given, *words, code=code, env=env)


def test_a_bundle_is_built_signed_and_verified(desk):
    told = run("verify", desk / ARCHIVE, "--key", desk / "trust.json").stdout.splitlines()
    assert [line.split()[0] for line in told] == ["passed"] * len(told)
    assert len(told) == 7, "archive, digests, manifest, signature, three kits"


def test_what_a_bundle_is_can_be_read_by_people_and_programs(desk):
    told = run("inspect", desk / ARCHIVE).stdout
    for words in (
        "little 1.0.0, release 1",
        "licence MIT",
        "task classify",
        "int8-rr",
        "signed",
        "budgets",
    ):
        assert words in told
    facts = json.loads(run("inspect", desk / ARCHIVE, "--json").stdout)
    assert facts["task"]["labels"][1] == "jay"
    assert facts["signed"]
    assert facts["archive"]
    assert facts["features"][0]["name"] == "mean"
    assert len(facts["features"][0]["edges"]) == 9
    assert facts["bytes"] == (desk / ARCHIVE).stat().st_size


def test_the_shipped_dial_readers_are_bundles_too(tmp_path):
    from devicesdk.packing.files import open_bundle

    told = run("verify", GAUGE).stdout
    assert "passed   kit int8-rr" in told
    assert "missing  signature" in told
    assert "gauge (dial bins)" in run("inspect", GAUGE).stdout
    archive = tmp_path / "gauge.zip"
    archive.write_bytes(pack(open_bundle(GAUGE).members))
    assert "passed   kit fp32" in run("verify", archive).stdout
    refused = run("quantize", archive, "--variants", "fp16", "--version", "2.0.0", "--samples", GAUGE,
                  code=EXIT_INVALID)  # fmt: skip
    assert "found a dial reader" in refused.stderr


def test_its_own_kit_stops_the_gauge_that_was_calibrated_on_noise():
    told = run("verify", ROOT / "models" / "gauge-miscalibrated" / "1.2.2", code=EXIT_NO).stdout
    assert "failed   kit int8-rr: expected its goldens on this machine" in told
    assert "passed   kit fp32" in told


def test_somebody_elses_signature_and_none_at_all_are_told_apart(desk, tmp_path):
    (tmp_path / "other.pub").write_text(Ed25519Signer(ROLE_TARGETS, bytes(32)).public.hex())
    told = run("verify", desk / ARCHIVE, "--key", tmp_path / "other.pub", code=EXIT_NO).stdout
    assert "failed   signature: expected a key trusted for targets" in told
    members = unpack((desk / ARCHIVE).read_bytes())
    unsigned = tmp_path / "unsigned.zip"
    unsigned.write_bytes(pack({k: v for k, v in members.items() if k != "manifest.sig"}))
    assert "missing  signature: unsigned" in run("verify", unsigned).stdout
    said = run("verify", unsigned, "--key", desk / "trust.json", code=EXIT_NO).stdout
    assert "failed   signature: unsigned" in said
    assert "missing  signature: signed" in run("verify", desk / ARCHIVE).stdout


def test_altered_contents_fail_by_the_check_that_covers_them(desk, tmp_path):
    members = unpack((desk / ARCHIVE).read_bytes())
    weights = bytearray(members["variants/fp32.onnx"])
    weights[-40] ^= 1
    altered = tmp_path / "altered.zip"
    altered.write_bytes(pack({**members, "variants/fp32.onnx": bytes(weights)}))
    assert "failed   digests" in run("verify", altered, code=EXIT_NO).stdout
    altered.write_bytes(pack({**members, "manifest.json": members["manifest.json"].replace(b'"release":1', b'"release":9')}))  # fmt: skip
    told = run("verify", altered, "--key", desk / "trust.json", code=EXIT_NO).stdout
    assert "failed   manifest" in told
    assert "failed   signature" in told


def test_an_archive_that_is_none_writes_nothing_anywhere(tmp_path):
    evil = tmp_path / "inside" / "evil.zip"
    evil.parent.mkdir()
    with zipfile.ZipFile(evil, "w") as made:
        made.writestr("../escaped.txt", "x")
    before = sorted(tmp_path.rglob("*"))
    for command in ("verify", "inspect"):
        assert "nothing is unpacked" in run(command, evil, code=EXIT_INVALID).stderr
    evil.write_bytes(b"PK\x03\x04 torn")
    assert "fetch or build it again" in run("verify", evil, code=EXIT_INVALID).stderr
    evil.write_bytes(b"#!/bin/sh")
    assert "found a file that begins with" in run("verify", evil, code=EXIT_INVALID).stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_variants_are_added_and_the_difference_is_told(desk, tmp_path):
    made = run(
        "quantize", desk / ARCHIVE, "--variants", "int8", "--version", "1.1.0", "--samples",
        desk / "samples", "--out", tmp_path, "--json",
    )  # fmt: skip
    path = json.loads(made.stdout)["path"]
    assert "passed   kit int8:" in run("verify", path).stdout
    assert "signed" not in run("verify", path).stdout.partition("signature: ")[2][:7]
    told = run("diff", desk / ARCHIVE, path, code=EXIT_NO).stdout
    assert "variant int8: new" in told
    assert 'version: "1.0.0" -> "1.1.0"' in told
    assert "variant fp32" not in told, "what was there keeps its bytes"
    again = run("quantize", path, "--variants", "int8", "--version", "1.2.0", "--samples",
                desk / "samples", code=EXIT_INVALID)  # fmt: skip
    assert "does not have yet" in again.stderr
    back = run("quantize", desk / ARCHIVE, "--variants", "int8", "--version", "1.2.0", "--release", 1,
               "--samples", desk / "samples", code=EXIT_INVALID)  # fmt: skip
    assert "a release above 1" in back.stderr


def test_two_models_differ_by_tensors_and_the_same_one_by_nothing(desk, tmp_path):
    shutil.copytree(desk / "samples", tmp_path / "samples")
    (tmp_path / "little.onnx").write_bytes(little.classifier(9))
    build(
        tmp_path,
        "--variants",
        "fp32",
        "--postprocess",
        "",
        "--task",
        "classify",
        out=tmp_path / "b.zip",
    )
    found = json.loads(
        run("diff", desk / ARCHIVE, tmp_path / "b.zip", "--json", code=EXIT_NO).stdout
    )
    tensors = found["variants"]["fp32"]["tensors"]
    assert (tensors["same"], sorted(tensors["changed"])) == (0, ["b", "k", "w"])
    assert found["variants"]["int8-rr"] == "gone"
    assert "numbers differ" in run("diff", desk / ARCHIVE, tmp_path / "b.zip", code=EXIT_NO).stdout
    assert run("diff", desk / ARCHIVE, desk / ARCHIVE).stdout == "no difference\n"


def test_the_same_words_give_the_same_bytes_and_the_epoch_its_date(desk, tmp_path):
    for name in ("a.zip", "b.zip"):
        build(desk, out=tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    build(desk, out=tmp_path / "c.zip", env={"SOURCE_DATE_EPOCH": "1700000000"})
    document = json.loads(unpack((tmp_path / "c.zip").read_bytes())["sbom.json"])
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("words", "story"),
    [
        (("--model", "numpy:no/such.onnx"), "package:path/in/it"),
        (("--model", "no_such_package:x.onnx"), "package:path/in/it"),
        (("--task", "guess"), "--task out of classify, regress, embed, tensor"),
        (("--span", "1"), "expected --span low,high"),
        (("--prefer", "jetson"), "HARDWARE=variant,variant"),
        (("--prefer", "jetson=fp64"), "'jetson' to prefer variants"),
        (("--variants", "fp8"), "'fp8'"),
        (("--key", "director.key"), "expected the targets key"),
        (("--key", "nowhere/targets.key"), "keys init"),
        (("--timestamp", "now"), "expected a time such as"),
        (("--version", "1"), "version"),
        (("--output", "z"), "expected an output out of"),
        (("--labels", "nowhere.txt"), "nowhere.txt"),
        (("--calibration", "nowhere"), "nowhere"),
    ],
)
def test_an_option_that_cannot_be_used_says_what_would(desk, words, story):
    refused = build(desk, *words, code=EXIT_INVALID)
    assert story in refused.stderr
    assert not (desk / "more").exists(), "a refused build leaves nothing behind"


def test_a_secret_and_a_bad_variant_are_findings_and_not_mistakes(desk, tmp_path):
    shutil.copytree(desk / "samples", tmp_path / "samples")
    (tmp_path / "little.onnx").write_bytes(little.classifier())
    secret = "gh" + "p_" + "a1B2c3D4" * 5
    said = build(tmp_path, "--summary", secret, code=EXIT_NO).stderr
    assert "bundle.json, byte" in said
    assert secret not in said
    (tmp_path / "faint").mkdir()
    for sample in little.pictures():
        np.save(tmp_path / "faint" / sample.name, sample.frame * np.float32(1e-3))
    noisy = ("--calibration", tmp_path / "faint", "--variants", "fp32,int8-rr")
    assert "stopped by its own kit" in build(tmp_path, *noisy, code=EXIT_NO).stderr


def test_without_the_extra_it_says_which_one(desk, monkeypatch):
    import builtins

    real = builtins.__import__

    def absent(name, *rest):
        if name == "onnx" or name.startswith("devicesdk.packing.builder"):
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    refused = build(desk, code=EXIT_INVALID)
    assert "found no onnx: pip install 'fleetdrill[bundle]'" in refused.stderr


def test_an_archive_without_its_parts_is_refused_by_each_command(desk, tmp_path):
    members = unpack((desk / ARCHIVE).read_bytes())
    bare = tmp_path / "bare.zip"
    bare.write_bytes(pack({"manifest.json": members["manifest.json"]}))
    assert "expected the file bundle.json" in run("inspect", bare, code=EXIT_INVALID).stderr
    assert "bundle.json" in run("verify", bare, code=EXIT_NO).stdout
    other = json.loads(members["bundle.json"])
    other["variants"]["fp32"]["precision"] = "another"
    hollow = {**members, "bundle.json": json.dumps(other).encode()}
    del hollow["variants/fp32.onnx"]
    bare.write_bytes(pack(hollow))
    assert (
        "expected the file fp32.onnx" in run("diff", desk / ARCHIVE, bare, code=EXIT_INVALID).stderr
    )


def test_a_hostile_description_cannot_choose_where_a_bundle_is_written(desk, tmp_path):
    members = unpack((desk / ARCHIVE).read_bytes())
    said = json.loads(members["bundle.json"])
    said["hardware"] = ["../../escaped"]
    evil = tmp_path / "evil.zip"
    evil.write_bytes(pack({**members, "bundle.json": json.dumps(said).encode()}))
    given = (
        "--variants",
        "int8",
        "--version",
        "2.0.0",
        "--samples",
        desk / "samples",
        "--out",
        tmp_path / "a/b",
    )
    assert "hardware" in run("quantize", evil, *given, code=EXIT_INVALID).stderr
    assert sorted(tmp_path.rglob("*")) == [evil]
    refused = build(desk, "--machine", "../x", code=EXIT_INVALID)
    assert "hardware" in refused.stderr
