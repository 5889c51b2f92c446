import io

import numpy as np
import pytest

from devicesdk.inference.pictures import PICTURE_BYTES_MAX, PictureError, decode_picture

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P5 4 3 255\n" + GREY.tobytes(), GREY),
        (b"P5\n# a camera wrote this\n4 3\n255\n" + GREY.tobytes() + b"trailing", GREY),
        (b"P6\n4\t3\r\n255 " + COLOUR.tobytes(), COLOUR),
        (npy(GREY), GREY),
        (npy(COLOUR), COLOUR),
    ],
)
def test_pictures_are_read(data, expected):
    assert np.array_equal(decode_picture(data), expected)


def test_fewer_levels_are_stretched_to_all_of_them():
    found = decode_picture(b"P5 4 1 3\n" + bytes([0, 1, 3, 200]))
    assert found.tolist() == [[0, 85, 255, 255]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n", "convert it first"),
        (b"P5 4 3 255", "convert it first"),
        (b"P5 4 3 65535\n" + bytes(24), "levels"),
        (b"P5 4 0 255\n", "sides"),
        (b"P5 4 3 255\n" + bytes(11), "cut short"),
        (b"\x93NUMPY garbage", "damaged"),
        (npy(GREY)[:-3], "damaged"),
        (npy(GREY.astype(np.float32)), "uint8"),
        (npy(np.zeros((2, 2, 4), np.uint8)), "uint8"),
        (bytes(PICTURE_BYTES_MAX + 1), "at most"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(data, said):
    with pytest.raises(PictureError, match=said):
        decode_picture(data)


def test_a_pickle_in_an_npy_file_is_never_loaded():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(stream.getvalue())
