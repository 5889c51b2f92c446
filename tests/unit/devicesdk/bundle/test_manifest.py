import msgspec
import pytest

from devicesdk.bundle.manifest import (
    BlobRef,
    Manifest,
    Variant,
    check_variant,
    decode_manifest,
    encode_manifest,
)
from devicesdk.wire.errors import BadManifest
from devicesdk.wire.messages import Capabilities

IMAGE = BlobRef("aa" * 32, 40_000)


def variant(**changed):
    made = Variant("fp32", IMAGE, BlobRef("bb" * 32, 96), 16384, ("*",), memory_mib=4)
    return msgspec.structs.replace(made, **changed)


def manifest(*variants):
    return Manifest("gauge", "1.0.0", 1, variants or (variant(),))


def test_a_manifest_survives_and_the_same_manifest_is_the_same_bytes():
    assert decode_manifest(encode_manifest(manifest())) == manifest()
    assert encode_manifest(manifest()) == encode_manifest(manifest())
    assert manifest().name == "gauge@1.0.0"
    assert IMAGE.raw == b"\xaa" * 32


def test_the_first_variant_that_fits_hardware_and_memory_is_chosen():
    special, any_ = variant(name="s", hardware=("npu",), memory_mib=64), variant()
    both = manifest(special, any_)
    assert both.variant_for("npu", 128) is special
    assert both.variant_for("npu", 32) is any_
    assert both.variant_for("cpu", 32) is any_
    assert both.variant_for("cpu", 2) is None


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"chunk_bytes": 16385}, "power of two"),
        ({"hashes": BlobRef("bb" * 32, 64)}, "hash list of 96 bytes"),
        ({"image": BlobRef("aa" * 32, 400_000)}, "hash list"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(changed, word):
    with pytest.raises(BadManifest, match=word):
        check_variant(variant(**changed))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"id": 1}',
        bytes(70_000),
        b'{"id":"x","version":"1","release":0,"variants":[]}',
    ],
)
def test_what_is_not_a_manifest_is_refused(payload):
    with pytest.raises(BadManifest, match="manifest"):
        decode_manifest(payload)


@pytest.mark.parametrize("payload", [b"\xff\xfe{}", b'{"x":' + b"[" * 60_000])
def test_bytes_that_no_parser_likes_are_refused_all_the_same(payload):
    with pytest.raises(BadManifest, match="manifest"):
        decode_manifest(payload)


@pytest.mark.parametrize(
    ("asks", "can", "runs"),
    [
        ({}, None, True),
        ({"needs": ("avx2",)}, None, True),
        ({"needs": ("avx2",)}, {"cpu": ("fma", "avx2")}, True),
        ({"needs": ("avx2", "avx512_vnni")}, {"cpu": ("avx2",)}, False),
        ({"runtime_min": "1.20"}, {"runtime": "1.9.3"}, False),
        ({"runtime_min": "1.20"}, {"runtime": "1.20.0+cpu"}, True),
        ({"runtime_min": "1.20"}, {"runtime": "2.0"}, True),
        ({"runtime_min": "1.20"}, {"runtime": ""}, True),
        ({"memory_mib": 64}, {"memory_mib": 32}, False),
        ({"memory_mib": 64}, {"memory_mib": 0}, True),
    ],
)
def test_a_variant_is_chosen_by_what_the_runtime_can_do_where_that_is_known(asks, can, runs):
    known = None if can is None else Capabilities(**can)
    picky, plain = variant(name="picky", **asks), variant(name="plain")
    found = manifest(picky, plain).variant_for("rpi4", 4096, known)
    assert found.name == ("picky" if runs else "plain")


def test_what_came_later_is_written_only_where_somebody_said_it():
    """Else every manifest of old would have another digest, and its signature none."""
    assert list(msgspec.json.decode(encode_manifest(manifest())))[-1] == "baseline"
    said = msgspec.structs.replace(manifest(), opset=17, task="classify", runtime=("1.20", ""))
    assert list(msgspec.json.decode(encode_manifest(said)))[-3:] == ["opset", "runtime", "task"]
    assert decode_manifest(encode_manifest(said)) == said
