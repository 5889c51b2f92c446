from __future__ import annotations

import numpy as np
import pytest

from devicesdk.inference import kit as kits
from devicesdk.inference.kit import Kit, KitError, KitRule, judge, pack_kit, run_kit, unpack_kit

RULE = KitRule(tolerance_permille=20, argmax_mismatches_max=1)


def goldens(shift=0.0):
    away = np.arange(32)[None, :] - (np.arange(6)[:, None] * 5 + 0.3 + shift)
    raw = np.exp(-0.5 * (away / 0.6) ** 2)
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def kit(**more):
    pixels = np.arange(6 * 1024, dtype=np.int64).reshape(6, 1024) % 256
    return Kit(pixels=pixels.astype(np.uint8), goldens={"small/default": goldens(), **more})


class Says:
    """An engine that answers what it is told."""

    def __init__(self, answer):
        self.answer = answer

    def run(self, images):
        assert images.shape == (6, 1024)
        assert (images.min(), images.max()) == (-128, 127)
        return self.answer


def test_the_same_answers_pass():
    found = run_kit(kit(), RULE, "small", Says(goldens()))
    assert found.passed
    assert (found.samples, found.worst_permille, found.residual_permille) == (6, 0, 0)
    assert found.resembles == "default"


def test_a_little_off_passes_and_more_fails():
    near, far = goldens(), goldens()
    near[0, 0] += 0.019
    far[0, 0] += 0.021
    assert judge(kit(), RULE, "small", near).passed
    found = judge(kit(), RULE, "small", far)
    assert not found.passed
    assert (found.worst_permille, found.resembles) == (21, "")


def test_a_kernel_that_reads_wrong_fails_and_is_recognised():
    with_twin = kit(**{"small/saturating": goldens(2.0)})
    found = judge(with_twin, RULE, "small", goldens(2.0))
    assert not found.passed
    assert (found.argmax_mismatches, found.resembles) == (6, "saturating")
    assert 60 <= found.residual_permille <= 70, "two bins of thirty-one are 64.5 permille"


def test_one_output_that_is_not_a_number_fails():
    broken = goldens()
    broken[3, 31] = np.nan
    found = judge(kit(), RULE, "small", broken)
    assert (found.passed, found.not_finite, found.worst_permille) == (False, 1, 1000)


def test_a_kit_survives_packing_byte_for_byte():
    packed = pack_kit(kit())
    again = unpack_kit(packed)
    assert pack_kit(again) == packed
    assert again.pixels.tobytes() == kit().pixels.tobytes()
    assert again.golden("small").tobytes() == goldens().tobytes()


def test_a_variant_without_goldens_is_named():
    with pytest.raises(KitError, match="large/default"):
        kit().golden("large")


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(KitError, match="shape"):
        judge(kit(), RULE, "small", goldens()[:3])


def packed(**arrays):
    import io

    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "story"),
    [
        (b"", "archive"),
        (b"PK\x03\x04 torn", "archive"),
        (bytes(kits.KIT_BYTES_MAX + 1), "at most"),
        (packed(other=np.zeros(3)), "pixels"),
        (packed(pixels=np.zeros((2, 1024), np.float32)), "pixels"),
        (packed(pixels=np.zeros((0, 1024), np.uint8)), "1 to"),
        (packed(pixels=np.zeros((2, 1024), np.uint8), **{"golden/a/default": np.zeros(3)}), "a/default"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_kit_are_refused(content, story):
    with pytest.raises(KitError, match=story):
        unpack_kit(content)
