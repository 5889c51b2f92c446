import numpy as np
import pytest

from devicesdk.inference.reduce import packed, reduced, usable_side


def picture():
    return (np.arange(1024, dtype=np.float32) % 256 - 128).reshape(1, -1)


@pytest.mark.parametrize(
    ("side", "usable"), [(0, 0), (32, 0), (99, 0), (16, 16), (20, 16), (5, 4), (1, 1)]
)
def test_a_side_that_does_not_divide_counts_as_the_next_smaller(side, usable):
    assert usable_side(side) == usable


def test_blocks_are_means_in_whole_numbers_and_the_size_stays():
    found = reduced(picture(), 16)
    assert found.shape == (1, 1024)
    assert (found == np.rint(found)).all(), "features would not be exact"
    block = picture().reshape(32, 32)[:2, :2].mean()
    assert found.reshape(32, 32)[0, 0] == np.floor(block + 0.5)
    assert len(np.unique(found.reshape(32, 32)[:2, :2])) == 1


def test_nothing_is_reduced_unless_asked():
    pixels = picture()
    assert reduced(pixels, 0) is pixels


def test_packed_pixels_come_back_exactly():
    pixels = reduced(picture(), 8)
    back = np.frombuffer(packed(pixels), dtype=np.uint8).astype(np.float32) - 128
    assert (back == pixels[0]).all()
