"""Whole bundles in memory: good ones, and those that must not be built."""

import json
from hashlib import sha256

import msgspec
import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from devicesdk.bundle.archive import SBOM_FILE, SIGNATURE_FILE, file_reader, pack, unpack
from devicesdk.bundle.build import build_bundle, with_envelope
from devicesdk.bundle.guard import SecretsFound
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.source import SourceError, read_release
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer, Ed25519Verifier
from devicesdk.inference.runner import open_image
from devicesdk.inference.source import TensorSource, load_any
from devicesdk.packing import kits
from devicesdk.packing.builder import Costs, Labels, runtime_of
from devicesdk.packing.errors import CannotPack, NotGood
from devicesdk.packing.samples import Named
from devicesdk.packing.study import Said
from tests_kit import tensor_models as little

SIGNER = Ed25519Signer(ROLE_TARGETS, bytes(range(32)))
GOOD = little.bundle(SIGNER)


def images(packed=GOOD):
    return read_release(file_reader(packed.members))


def test_a_bundle_has_variants_kit_papers_and_a_signature():
    assert sorted(GOOD.members) == [
        "bundle.json", "kit/kit.npz", "manifest.json", "manifest.sig", "sbom.json", "variants/fp32.onnx",
        "variants/int8-rr.onnx",
    ]  # fmt: skip
    assert unpack(pack(GOOD.members)) == GOOD.members
    source = load_any(file_reader(GOOD.members))
    assert isinstance(source, TensorSource)
    assert len(source.kit.samples) == kits.KIT_SAMPLES
    spec = source.spec
    assert (spec.id, spec.version, spec.labels, spec.opset) == ("little", "1.0.0", 5, 17)
    assert spec.prefer == {"default": ("int8-rr", "fp32")}
    assert spec.variants["fp32"].macs == 4 * 36 * 9 + 144 * 5
    for record in spec.variants.values():
        assert sum(record.baseline.confidence) == record.baseline.frames + 20
        assert min(map(min, record.baseline.features)) >= 1
    assert spec.metrics["int8-rr"]["agreement_permille"] >= 900


def test_the_manifest_is_signed_and_says_what_a_gateway_asks():
    verifier = Ed25519Verifier({ROLE_TARGETS: (SIGNER.public,)})
    payload = verifier.open(ROLE_TARGETS, GOOD.members[SIGNATURE_FILE])
    assert payload == GOOD.members["manifest.json"]
    manifest = decode_manifest(payload)
    assert (manifest.task, manifest.opset, manifest.runtime) == ("classify", 17, ("1.20", ""))
    assert manifest.sbom == sha256(GOOD.members[SBOM_FILE]).hexdigest()
    assert manifest.operations == GOOD.spec.operations
    digest, blobs = with_envelope(*images(), GOOD.members[SIGNATURE_FILE])
    assert sha256(blobs[digest]).digest() == digest
    assert {variant.image.raw for variant in manifest.variants} <= set(blobs)
    other = build_bundle(*images(little.bundle(labels=Labels(id="other")))).sealed(SIGNER)
    with pytest.raises(SourceError, match="another one's"):
        with_envelope(*images(), other[1][other[0]])


def test_an_image_runs_on_a_device_as_its_kit_says():
    release, sealed = images()
    for name, image in sealed.items():
        runner = open_image(image, sha256(image).digest(), lambda _: None)
        ticks = iter(range(0, 10**9, 1000))
        said = runner.judge(release.kit.sha256, lambda: next(ticks))  # noqa: B023
        assert (said.passed, said.reason) == (True, ""), f"{name}: {said}"
        row, latency_ns = runner.read(little.pictures()[3].frame, lambda: next(ticks))  # noqa: B023
        assert (len(row), latency_ns, row[11]) == (12, 1000, 0)
        assert row[0] in {0, 250, 500, 750, 1000}, "a class of five, over the labels"
        failed, _ = runner.read(np.full((1, 8, 8), np.nan, np.float32), lambda: 0)
        assert failed[11] == 1, "no number is an error and no reading"
        with pytest.raises(ValueError, match="float32"):
            runner.read(np.zeros((3, 3)), lambda: 0)


def test_another_models_kit_fails_on_the_device():
    _, sealed = images()
    swapped = sealed["fp32"].replace(little.classifier(1), little.classifier(9))
    assert swapped != sealed["fp32"]
    said = open_image(swapped, b"", lambda _: None).judge("", lambda: 0)
    assert (said.passed, said.reason) == (False, "deviation")


def test_the_kit_has_the_samples_of_lowest_margin():
    source = load_any(file_reader(GOOD.members))
    leads = [np.sort(golden)[-1] - np.sort(golden)[-2] for golden in source.kit.golden("fp32")]
    everything = [s.frame for s in little.pictures()]
    assert len(leads) < len(everything)
    found = little.bundle(wanted=("fp32",), samples=little.pictures(20))
    all_leads = [
        np.sort(g)[-1] - np.sort(g)[-2]
        for g in load_any(file_reader(found.members)).kit.golden("fp32")
    ]
    assert np.median(leads) <= np.median(all_leads)


@pytest.mark.parametrize("wanted", [("int8-rr",), ("fp32", "int8-rr")])
def test_a_variant_calibrated_on_noise_is_stopped_by_its_own_kit(wanted):
    faint = [Named(s.name, 1e-3 * s.frame) for s in little.pictures()]
    with pytest.raises(
        NotGood, match=r"int8-rr reads rubbish beside fp32 .* stopped by its own kit"
    ):
        little.bundle(wanted=wanted, calibration=faint)


def test_of_the_default_list_it_is_left_out_and_that_is_said():
    faint = [Named(s.name, 1e-3 * s.frame) for s in little.pictures()]
    made = little.bundle(wanted=(), calibration=faint)
    assert sorted(made.spec.variants) == ["fp16", "fp32"]
    assert any("no variant int8-rr" in note and "rubbish" in note for note in made.notes)


def test_a_reference_that_is_not_asked_for_is_not_shipped_and_still_judges():
    made = little.bundle(wanted=("int8-rr",))
    assert list(made.spec.variants) == ["int8-rr"]
    assert made.spec.kit.rule.reference == "fp32"
    load_any(file_reader(made.members))


def test_what_cannot_be_built_is_left_out_of_the_default_list_and_ends_the_work_when_asked_for():
    said = {
        "model": little.embedder(), "samples": little.sentences(), "said": Said(kind="embed"),
        "labels": Labels(id="words"),
    }  # fmt: skip
    made = little.bundle(**said, wanted=())
    assert "int8-rr" not in made.spec.variants
    assert any("no variant int8-rr: expected one of the operators" in note for note in made.notes)
    with pytest.raises(CannotPack, match="Conv, Gemm, MatMul"):
        little.bundle(**said, wanted=("int8-rr",))


@pytest.mark.parametrize(
    ("model", "samples", "kind"),
    [
        (little.embedder(), little.sentences(), "embed"),
        (little.embedder(), little.sentences(), "tensor"),
        (little.regressor(), little.rows(), "regress"),
    ],
)
def test_other_tasks_are_bundled_run_and_judged(model, samples, kind):
    made = little.bundle(
        model=model,
        samples=samples,
        said=Said(kind=kind),
        wanted=("fp32",),
        labels=Labels(id="other"),
    )
    _, sealed = images(made)
    runner = open_image(sealed["fp32"], b"", lambda _: None)
    assert runner.judge("", lambda: 0).passed
    row, _ = runner.read(samples[0].frame, lambda: 0)
    assert len(row) == 12
    assert 0 <= row[0] <= 1000
    assert 0 <= row[1] < 20
    assert 0 <= row[2] < 16
    assert all(0 <= bin_ < 10 for bin_ in row[3:11])


def test_hardware_classes_and_budgets_are_what_was_said():
    made = little.bundle(
        prefer={"jetson": ("fp32",)}, costs=Costs(latency_ms=40, memory_mib=3, power_mw=700),
        labels=Labels(id="little", hardware=("arm64",), release=7),
    )  # fmt: skip
    manifest = decode_manifest(made.members["manifest.json"])
    assert manifest.variant_for("jetson", 99).name == "fp32"
    assert manifest.variant_for("anything", 99).name == "int8-rr"
    assert (manifest.hardware, manifest.release) == (("arm64",), 7)
    assert (manifest.budgets.latency_ms_max, manifest.budgets.memory_mib_max) == (40.0, 3.0)
    with pytest.raises(CannotPack, match="'pi' to prefer variants out of"):
        little.bundle(prefer={"pi": ("fp64",)})


def test_a_secret_in_the_model_is_not_packed():
    from devicesdk.bundle.sealed import prop

    token = b"gh" + b"p_" + b"a1B2c3D4" * 5
    with pytest.raises(SecretsFound, match=r"variants/fp32.onnx, byte \d+: GitHub token"):
        little.bundle(model=little.classifier() + prop("author", token))


def test_a_secret_in_a_sample_is_not_packed():
    """The kit is compressed: its samples are looked through before."""
    texts = [f"line {index:03d} of an ordinary text".ljust(64).encode() for index in range(9)]
    texts.append(b"db_password=Tr0ub4dor&3xyz".ljust(64))
    samples = [Named(str(i), np.frombuffer(text, np.uint8)) for i, text in enumerate(texts)]
    said = {"model": little.bytes_reader(), "wanted": ("fp32",), "said": Said(kind="classify")}
    little.bundle(samples=samples[:-1], **said)
    with pytest.raises(
        SecretsFound, match=r"kit/kit.npz, sample 9, x, byte \d+: password"
    ) as caught:
        little.bundle(samples=samples, **said)
    assert "Tr0ub4dor" not in str(caught.value)


def test_the_bill_of_materials_is_valid_and_deterministic():
    document = GOOD.members[SBOM_FILE]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode()) is None
    assert little.bundle(SIGNER).members == GOOD.members
    later = little.bundle(labels=Labels(id="little", timestamp="2024-01-01T00:00:00Z"))
    assert json.loads(later.members[SBOM_FILE])["metadata"]["timestamp"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("change", "story"),
    [
        (lambda d: d.update(operations="ab" * 32), "operations .* altered"),
        (lambda d: d["task"].update(postprocess=["softmax"]), "operations .* altered"),
        (lambda d: d.update(preprocess=["blur"]), "newer device"),
        (lambda d: d["kit"].update(samples=3), "3 samples"),
        (lambda d: d["task"].update(kind="guess"), "kind"),
        (lambda d: d["sbom"].update(sha256="ab" * 32), "sbom.json .* altered"),
    ],
)
def test_an_altered_description_is_noticed(change, story):
    document = json.loads(GOOD.members["bundle.json"])
    change(document)
    members = {**GOOD.members, "bundle.json": msgspec.json.encode(document)}
    with pytest.raises(SourceError, match=story):
        load_any(file_reader(members))


def test_too_few_samples_and_the_oldest_runtime():
    with pytest.raises(CannotPack, match="at least 2 samples"):
        little.bundle(samples=little.pictures(1))
    assert [runtime_of(opset) for opset in (11, 21, 22, 23)] == ["1.20", "1.20", "1.21", "1.23"]
