"""The encoders: small where the change is small, deterministic, and never past the applier's bounds."""

from __future__ import annotations

import numpy as np
import pytest

from devicesdk.bundle import delta_build
from devicesdk.bundle.delta import Encoder
from devicesdk.bundle.delta_apply import apply_in_memory
from devicesdk.bundle.delta_build import encode_full, encode_prefix, encode_words
from tests_kit.agent_bundles import edited, pattern

RNG = np.random.Generator(np.random.Philox(8))
BASE = (RNG.standard_normal(100_000) * 0.05).astype("<f4").tobytes()
ENCODERS = [encode_prefix, encode_words]


def _size(encode, target, base=BASE):
    delta = encode(base, target)
    assert apply_in_memory(delta.data, base, len(target)) == target
    return len(delta.data)


def test_a_header_says_what_it_is():
    target = edited(BASE, 100, 50)
    full = encode_full(target).header
    words = encode_words(BASE, target).header
    assert (full.encoder, full.base_bytes, full.base) == (Encoder.FULL, 0, b"")
    assert (words.encoder, words.base_bytes, words.target_bytes) == (
        Encoder.WORDS,
        400_000,
        400_000,
    )
    assert words.target == full.target


@pytest.mark.parametrize("encode", ENCODERS)
def test_a_changed_place_costs_about_its_own_size(encode):
    assert _size(encode, edited(BASE, 200_001, 5_000)) < 6_000


@pytest.mark.parametrize("encode", ENCODERS)
def test_something_put_in_between_costs_about_its_own_size(encode):
    assert _size(encode, BASE[:99_999] + pattern(3, 777) + BASE[99_999:]) < 1_500


def test_words_find_what_a_general_compressor_cannot():
    noise = (RNG.standard_normal(100_000) * 5e-5).astype("<f4")
    target = (np.frombuffer(BASE, "<f4") + noise).tobytes()
    assert _size(encode_words, target) < 0.6 * _size(encode_prefix, target)


@pytest.mark.parametrize("encode", ENCODERS)
def test_the_same_images_give_the_same_bytes(encode):
    target = edited(BASE, 40_000, 100_000)
    assert encode(BASE, target).data == encode(BASE, target).data


@pytest.mark.parametrize("encode", ENCODERS)
def test_without_a_base_there_is_nothing_to_compare(encode):
    with pytest.raises(ValueError, match="no bytes"):
        encode(b"", b"target")


def test_segments_follow_what_has_moved_far_away(monkeypatch):
    monkeypatch.setattr(delta_build, "SEGMENT_BYTES_MAX", 32_768)
    monkeypatch.setattr(delta_build, "PREFIX_BYTES_MAX", 65_536)
    half = len(BASE) // 2
    assert _size(encode_prefix, BASE[half:] + BASE[:half]) < 100_000
    assert _size(encode_prefix, pattern(4, 150_000) + BASE) < 150_000 + 40_000


def test_words_of_many_pieces_with_copies_between(monkeypatch):
    monkeypatch.setattr(delta_build, "PIECE_BYTES_MAX", 8_192)
    monkeypatch.setattr(delta_build, "COPY_BYTES_MAX", 50_000)
    assert _size(encode_words, edited(edited(BASE, 30_000, 20_000), 300_000, 9)) < 25_000
    assert _size(encode_words, BASE) < 300
    assert _size(encode_words, edited(BASE, 399_990, 10)) < 400
