"""PNG pictures for the desk where bundles are built, with nothing but zlib and numpy.

Decides which PNG files are read: eight bits a channel, grey or colour, with or without alpha (which is
dropped), not interlaced. Leaves out palettes, 16 bits and every other format: convert those. Devices read
PGM and PPM alone (devicesdk/inference/pictures.py).

Format: PNG, third edition (w3.org/TR/png-3): chunks of length, type, data and CRC-32; scan lines, each
behind a filter byte, in one zlib stream.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np

from devicesdk.inference.pictures import SIDE_MAX, PictureError
from devicesdk.inference.preprocess import Bytes

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PIXELS_MAX: Final = 64 * 1024 * 1024
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}
_HEAD: Final = struct.Struct(">IIBBBBB")
_SUB, _UP, _AVERAGE, _PAETH = range(1, 5)


def decode_png(data: bytes) -> Bytes:
    """Read one picture.

    Returns:
        uint8, shape (h, w) or (h, w, 3).

    Raises:
        PictureError: not such a PNG, damaged, or too large.
    """
    head, packed = _chunks(data)
    width, height, depth, kind, _, _, interlaced = head
    channels = _CHANNELS.get(kind, 0)
    fits = 0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and width * height <= PIXELS_MAX
    if depth != 8 or not channels or interlaced or not fits:
        raise PictureError(
            f"expected a PNG of 8 bits a channel, grey or colour, not interlaced, at most {SIDE_MAX} a "
            f"side, found {width} x {height}, depth {depth}, type {kind}; convert it to PPM"
        )
    line = width * channels
    wanted = height * (line + 1)
    try:
        raw = zlib.decompressobj().decompress(packed, wanted)
    except zlib.error as error:
        raise PictureError(f"expected a whole PNG, found a damaged one: {error}") from error
    if len(raw) != wanted:
        raise PictureError(f"expected {wanted} bytes of pixels in the PNG, found {len(raw)}")
    pixels = _unfilter(raw, height, line, channels).reshape(height, width, channels)
    return pixels[:, :, 0].copy() if channels < 3 else pixels[:, :, :3].copy()


def _chunks(data: bytes) -> tuple[tuple[int, ...], bytes]:
    if not data.startswith(SIGNATURE):
        raise PictureError(f"expected a PNG, found {data[:8]!r}")
    at, head, packed = len(SIGNATURE), None, bytearray()
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body, end = data[at + 4 : at + 8 + size], at + 8 + size
        if end + 4 > len(data) or zlib.crc32(body) != int.from_bytes(data[end : end + 4], "big"):
            raise PictureError("expected a whole PNG, found a chunk that is cut short or altered")
        name, content = body[:4], body[4:]
        if name == b"IHDR" and size == _HEAD.size:
            head = _HEAD.unpack(content)
        elif name == b"IDAT":
            packed += content
        elif name == b"IEND":
            break
        at = end + 4
    if head is None:
        raise PictureError("expected a PNG with a header, found none")
    return head, bytes(packed)


def _unfilter(raw: bytes, height: int, line: int, step: int) -> Bytes:
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(height, line + 1)
    made = np.empty((height, line), dtype=np.uint8)
    above = np.zeros(line, dtype=np.uint8)
    for index in range(height):
        method, row = int(rows[index, 0]), rows[index, 1:]
        if method == 0:
            made[index] = row
        elif method == _SUB:
            lanes = row.reshape(-1, step).astype(np.uint64)
            made[index] = np.cumsum(lanes, axis=0).astype(np.uint8).ravel()
        elif method == _UP:
            made[index] = row + above
        elif method in (_AVERAGE, _PAETH):
            made[index] = _by_neighbours(row, above, step, method)
        else:
            raise PictureError(f"expected a filter of 0 to 4 in the PNG, found {method}")
        above = made[index]
    return made


def _by_neighbours(row: Bytes, above: Bytes, step: int, method: int) -> Bytes:
    source, upper = row.tolist(), above.tolist()
    out = [0] * len(source)
    for at, value in enumerate(source):
        left = out[at - step] if at >= step else 0
        up = upper[at]
        if method == _AVERAGE:
            guess = (left + up) // 2
        else:
            corner = upper[at - step] if at >= step else 0
            guess = _paeth(left, up, corner)
        out[at] = (value + guess) & 0xFF
    return np.array(out, dtype=np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
