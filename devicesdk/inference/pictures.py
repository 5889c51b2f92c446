"""Camera frames as bytes: binary PGM and PPM, and numpy's own format.

Decides which picture files a device reads, with nothing but numpy. Leaves out compressed formats (let
the camera's own program convert: ``ffmpeg -f image2pipe -c:v pgm``) and where the bytes come from.

Formats: Netpbm ``P5`` (grey) and ``P6`` (colour) with at most 255 levels, one picture a file
(netpbm.sourceforge.net/doc/pgm.html and ppm.html); ``.npy`` with uint8 of shape (h, w) or (h, w, 3).
"""

from __future__ import annotations

import io
import re
from typing import Final

import numpy as np

from devicesdk.inference.preprocess import Bytes

PICTURE_BYTES_MAX: Final = 16 * 1024 * 1024
SIDE_MAX: Final = 16_384
_SPACE: Final = rb"(?:\s|#[^\n]*\n)+"
_HEAD: Final = re.compile(
    rb"P([56])" + _SPACE + rb"(\d{1,5})" + _SPACE + rb"(\d{1,5})" + _SPACE + rb"(\d{1,5})\s"
)
_COLOURS: Final = {b"5": 1, b"6": 3}
_LEVELS_MAX: Final = 255


class PictureError(ValueError):
    """The bytes are not a picture that a device reads."""


def decode_picture(data: bytes) -> Bytes:
    """Read one picture.

    Returns:
        uint8, shape (h, w) or (h, w, 3).

    Raises:
        PictureError: too large, of another format, or cut short.
    """
    if len(data) > PICTURE_BYTES_MAX:
        raise PictureError(
            f"expected a picture of at most {PICTURE_BYTES_MAX} bytes, found {len(data)}"
        )
    if data.startswith(b"\x93NUMPY"):
        return _numpy(data)
    head = _HEAD.match(data)
    if head is None:
        raise PictureError(
            f"expected binary PGM (P5), PPM (P6) or .npy, found {data[:16]!r}; convert it first"
        )
    return _netpbm(head, data)


def _netpbm(head: re.Match[bytes], data: bytes) -> Bytes:
    colours = _COLOURS[head[1]]
    width, height, levels = int(head[2]), int(head[3]), int(head[4])
    if not (0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and 0 < levels <= _LEVELS_MAX):
        raise PictureError(
            f"expected sides of 1-{SIDE_MAX} and 1-{_LEVELS_MAX} levels, found {width} x {height} "
            f"and {levels}"
        )
    size = width * height * colours
    if len(data) - head.end() < size:
        raise PictureError(
            f"expected {size} bytes of pixels for {width} x {height}, found "
            f"{len(data) - head.end()}: the picture was cut short"
        )
    pixels = np.frombuffer(data, dtype=np.uint8, count=size, offset=head.end())
    if levels != _LEVELS_MAX:
        wide = np.minimum(pixels, levels).astype(np.uint16)
        pixels = ((wide * _LEVELS_MAX + levels // 2) // levels).astype(np.uint8)
    return pixels.reshape((height, width) if colours == 1 else (height, width, colours))


def _numpy(data: bytes) -> Bytes:
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise PictureError(f"expected an .npy file, found a damaged one: {error}") from error
    grey = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise PictureError(
            f"expected uint8 of shape (h, w) or (h, w, 3), found {pixels.dtype} {pixels.shape}"
        )
    found: Bytes = pixels
    return found
