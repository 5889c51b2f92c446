"""From a builder's description to a manifest and blobs."""

from hashlib import sha256

from devicesdk.bundle.build import build_bundle, whole_mib
from devicesdk.bundle.chunks import HashList
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.source import Baseline, Budgets, KitFile, Release, VariantRecord
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer, Ed25519Verifier
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT

MODELS = {"small": b"s" * 100, "large": b"l" * (CHUNK_BYTES_DEFAULT + 1)}


def record(name, number):
    baseline = Baseline(
        frames=number, confidence=(number, 2), entropy=(number,), features=((number,), (7, 8))
    )
    return VariantRecord(
        file=f"{name}.onnx",
        bytes=len(MODELS[name]),
        sha256=sha256(MODELS[name]).hexdigest(),
        precision="int8",
        macs=1000 * number,
        memory_kib=1025 * number,
        baseline=baseline,
    )


RELEASE = Release(
    schema=1,
    id="gauge",
    version="1.2.3",
    release=4,
    variants={"small": record("small", 1), "large": record("large", 2)},
    prefer={"default": ("small",), "jetson": ("large", "small")},
    budgets=Budgets(latency_ms_p95_max=50, memory_mib_max=64, power_mw_max=5000),
    kit=KitFile(file="kit.npz", bytes=3, sha256="ab" * 32),
)


def test_variants_stand_by_class_best_first_and_the_default_fits_all():
    manifest = build_bundle(RELEASE, MODELS).manifest
    found = [(variant.name, variant.hardware) for variant in manifest.variants]
    assert found == [("large", ("jetson",)), ("small", ("jetson",)), ("small", ("*",))]
    assert manifest.variant_for("jetson", 4096).name == "large"
    assert manifest.variant_for("rpi4", 4096).name == "small"
    assert (manifest.name, manifest.release, manifest.kit) == ("gauge@1.2.3", 4, "ab" * 32)
    assert (manifest.budgets.latency_ms_max, manifest.budgets.memory_mib_max) == (50.0, 64.0)


def test_every_blob_that_the_manifest_names_is_there_and_hashes_as_said():
    built = build_bundle(RELEASE, MODELS)
    for variant in built.manifest.variants:
        image, hashes = built.blobs[variant.image.raw], built.blobs[variant.hashes.raw]
        assert image == MODELS[variant.name]
        assert len(image) == variant.image.size_bytes
        listed = HashList(hashes, len(image), variant.chunk_bytes)
        last = (len(image) - 1) // variant.chunk_bytes
        assert listed[last] == sha256(image[last * variant.chunk_bytes :]).digest()
    assert all(sha256(blob).digest() == digest for digest, blob in built.blobs.items())


def test_references_are_counts_of_the_best_variant_of_each_class():
    baseline = build_bundle(RELEASE, MODELS).manifest.baseline
    assert baseline["confidence"] == [1.0, 2.0]
    assert baseline["confidence@jetson"] == [2.0, 2.0]
    assert baseline["feature1@jetson"] == [7.0, 8.0]
    assert baseline["entropy"] == [1.0]
    assert sorted(baseline) == sorted(
        f"{name}{suffix}"
        for name in ("confidence", "entropy", "feature0", "feature1")
        for suffix in ("", "@jetson")
    )


def test_a_sealed_bundle_is_known_by_its_envelope():
    signer = Ed25519Signer(ROLE_TARGETS, bytes(32))
    built = build_bundle(RELEASE, MODELS)
    digest, blobs = built.sealed(signer)
    assert sha256(blobs[digest]).digest() == digest
    verifier = Ed25519Verifier({ROLE_TARGETS: (signer.public,)})
    assert decode_manifest(verifier.open(ROLE_TARGETS, blobs[digest])) == built.manifest
    assert set(built.blobs) == set(blobs) - {digest}


def test_memory_is_rounded_up():
    assert [whole_mib(kib) for kib in (0, 1, 1024, 1025)] == [1, 1, 1, 2]
