"""Which deltas a release gets, and which are not worth it."""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from devicesdk.bundle.chunks import HashList
from devicesdk.bundle.delta import Encoder
from devicesdk.bundle.delta_apply import apply_in_memory
from devicesdk.bundle.delta_plan import BASES_MAX, pairs, smallest, steps
from devicesdk.wire import limits
from tests_kit.agent_bundles import Bundle, edited, pattern

OLD = pattern(1, 300_000)
NEAR, FAR = edited(OLD, 9, 900), edited(OLD, 0, 150_000)
CHUNK = 4_096


def _manifest(*names):
    one = Bundle(2, image=NEAR, chunk_bytes=CHUNK)
    variants = tuple(replace(one.variant, name=name) for name in names)
    return replace(one.manifest, variants=variants)


def test_a_variant_is_compared_with_its_namesakes_newest_first():
    older = [{"int8": pattern(9 - i, 50), "fp16": b"half"} for i in range(9)]
    manifest = _manifest("int8", "fp32", "int8")
    (int8, fp32) = pairs(manifest, {"int8": NEAR, "fp32": FAR}, older)
    assert int8 == (NEAR, tuple(pattern(1 + i, 50) for i in range(BASES_MAX)), CHUNK)
    assert fp32 == (FAR, (), CHUNK)


def test_the_same_image_and_a_lost_one_are_no_base():
    found = list(pairs(_manifest("int8"), {"int8": NEAR}, [{"int8": NEAR}, {"int8": b""}]))
    assert found == [(NEAR, (), CHUNK)]


def test_a_small_delta_needs_no_hash_list():
    (step,) = steps(NEAR, (OLD,), CHUNK)
    assert step.ref.hashes == b""
    assert (step.ref.blob, step.ref.size_bytes) == (
        sha256(step.blobs[0]).digest(), len(step.blobs[0])
    )  # fmt: skip
    assert (step.ref.base, step.ref.target) == (sha256(OLD).digest(), sha256(NEAR).digest())
    assert apply_in_memory(step.blobs[0], OLD, len(NEAR)) == NEAR


def test_a_large_delta_has_one():
    (step,) = steps(FAR, (OLD,), CHUNK)
    assert step.ref.size_bytes > limits.DELTA_UNHASHED_BYTES_MAX
    delta, hashes = step.blobs
    assert sha256(hashes).digest() == step.ref.hashes
    assert HashList(hashes, len(delta), CHUNK)[0] == sha256(delta[:CHUNK]).digest()


def test_a_delta_that_saves_little_is_not_kept():
    assert list(steps(pattern(5, 300_000), (OLD,), CHUNK)) == []
    assert list(steps(edited(OLD, 0, 280_000), (OLD,), CHUNK)) == []


def test_a_target_that_compresses_serves_everybody_and_must_be_beaten():
    text = pattern(3, 40_000).hex().encode()
    full, better = steps(text, (pattern(7, 90), edited(text, 5, 10)), CHUNK)
    assert (full.ref.encoder, full.ref.base) == (Encoder.FULL, b"")
    assert better.ref.base == sha256(edited(text, 5, 10)).digest()
    assert better.ref.size_bytes < 0.1 * full.ref.size_bytes


def test_the_smaller_encoder_is_chosen():
    assert smallest(OLD, OLD[5_000:] + OLD[:5_000]).header.encoder is Encoder.PREFIX
    assert smallest(OLD, NEAR).header.encoder is Encoder.WORDS
