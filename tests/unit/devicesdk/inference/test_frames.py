"""What bytes stand for a frame."""

import io

import numpy as np
import pytest

from devicesdk.inference.frames import decode_frame
from devicesdk.inference.pictures import PICTURE_BYTES_MAX, PictureError


def saved(write, *arrays, **named):
    stream = io.BytesIO()
    write(stream, *arrays, **named)
    return stream.getvalue()


def test_a_picture_is_a_picture():
    assert decode_frame(b"P5 2 1 255\n\x05\x06").tolist() == [[5, 6]]


def test_an_array_may_have_any_numbers_and_an_archive_names():
    assert decode_frame(saved(np.save, np.array([0.5, 1.5]))).tolist() == [0.5, 1.5]
    found = decode_frame(saved(np.savez, ids=np.arange(3), mask=np.ones(3)))
    assert sorted(found) == ["ids", "mask"]
    assert found["ids"].dtype == np.int64


@pytest.mark.parametrize(
    "data",
    [
        b"", b"GIF89a", b"PK\x03\x04torn", b"\x93NUMPY torn", bytes(PICTURE_BYTES_MAX + 1),
        saved(np.save, np.array(["x"])),
    ],
)  # fmt: skip
def test_anything_else_is_no_frame(data):
    with pytest.raises(PictureError, match="expected"):
        decode_frame(data)
