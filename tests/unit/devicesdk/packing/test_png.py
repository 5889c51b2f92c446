"""PNG at the desk."""

import struct
import zlib

import numpy as np
import pytest

from devicesdk.inference.pictures import PictureError
from devicesdk.packing.png import SIGNATURE, decode_png

GREY = (np.arange(7 * 5).reshape(7, 5) * 7 % 256).astype(np.uint8)
COLOUR = (np.arange(6 * 4 * 3).reshape(6, 4, 3) * 11 % 256).astype(np.uint8)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(pixels, kind, filters=0, depth=8, interlaced=0, raw=None):
    """A PNG whose lines carry `filters` in turn, filtered as the standard says."""
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1).astype(int)
    step = lines.shape[1] // width
    packed = bytearray()
    for at, line in enumerate(lines):
        method = at % 5 if filters == "all" else filters
        above = lines[at - 1] if at else np.zeros_like(line)
        left = np.concatenate([np.zeros(step, int), line[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        p = left + above - corner
        away = np.abs(np.stack([p - left, p - above, p - corner]))
        paeth = np.choose(away.argmin(axis=0), [left, above, corner])
        guess = [0 * line, left, above, (left + above) // 2, paeth][method] if method < 5 else line
        packed += bytes([method]) + ((line - guess) % 256).astype(np.uint8).tobytes()
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    body = zlib.compress(bytes(packed) if raw is None else raw)
    return (
        SIGNATURE + chunk(b"IHDR", head) + chunk(b"tEXt", b"made here")
        + chunk(b"IDAT", body[:9]) + chunk(b"IDAT", body[9:]) + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize("filters", [0, 1, 2, 3, 4, "all"])
def test_each_filter_gives_the_pixels_back(filters):
    assert np.array_equal(decode_png(png(GREY, 0, filters)), GREY)
    assert np.array_equal(decode_png(png(COLOUR, 2, filters)), COLOUR)


def test_alpha_is_dropped():
    alpha = np.concatenate([COLOUR, COLOUR[:, :, :1]], axis=2)
    assert np.array_equal(decode_png(png(alpha, 6)), COLOUR)
    pair = np.stack([GREY, GREY], axis=-1)
    assert np.array_equal(decode_png(png(pair, 4)), GREY)


GOOD = png(GREY, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"", SIGNATURE, GOOD[:40], GOOD[:-20], GOOD[:45] + b"x" + GOOD[46:], png(GREY, 3), png(GREY, 0, depth=16),
        png(GREY, 0, interlaced=1), png(GREY, 0, raw=b"\x00" * 9), png(GREY, 0, raw=b"\x09" * 42),
        SIGNATURE + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 9, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""),
    ],
)  # fmt: skip
def test_what_is_no_png_of_these_is_refused(data):
    with pytest.raises(PictureError, match="expected"):
        decode_png(data)


def test_a_bomb_unpacks_no_further_than_its_pixels():
    assert np.array_equal(decode_png(png(GREY * 0, 0, raw=bytes(50_000_000))), GREY * 0)
