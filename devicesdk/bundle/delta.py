"""A delta: what makes a device's image into the one that is wanted, as a blob of its own.

Decides the header and every bound. Leaves out how deltas are made (delta_build.py) and used
(delta_apply.py), which need libraries that an agent's decisions do not.

=========  ======================================================================================
``FULL``   the target alone, Zstandard level 19: needs no base
``PREFIX`` the target in segments, each a frame whose prefix is a stretch of the base
``WORDS``  difference of 32-, 16- or 8-bit words with the same tensor of the base, in byte or bit planes
=========  ======================================================================================

Header, 88 bytes, big endian: magic, encoder, three zeros, base size and target size (8 bytes each), SHA-256
of base and target (zeros where there is no base).

Rules: a delta is a hint, never authority. What is signed is the *target's* digest, in the manifest, and
it is checked on the whole image as read back, whatever way the bytes came; a header is believed only as
far as it agrees with what was signed. Whoever applies a delta needs at most `APPLY_BYTES_MAX` of memory
however large the images are, and never writes a byte more than the signed size.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

MAGIC: Final = b"FDD1"
_HEADER: Final = struct.Struct(">4sB3xQQ32s32s")
HEADER_BYTES: Final = _HEADER.size

WINDOW_LOG_MAX: Final = 23
"""Of any Zstandard frame: its reader keeps 8 MiB."""
SEGMENT_BYTES_MAX: Final = 4 * 1024**2
"""Of the target in one frame of ``PREFIX``."""
PREFIX_BYTES_MAX: Final = 8 * 1024**2
"""Of the base that such a frame may look at; a reader has it twice for a moment."""
PIECE_BYTES_MAX: Final = 1024**2
"""Of the target in one record of ``WORDS``."""
APPLY_BYTES_MAX: Final = 24 * 1024**2
"""Working memory of applying any delta: two prefixes and a window, or a window and a piece in all its
forms. The images themselves are never in memory."""
DELTA_SHARE_MAX: Final = 0.9
"""A delta is kept when it is below this share of the next best way, else it is not worth its risk."""


class BadDelta(ValueError):
    """Not a delta, damaged, or not for these images. Costs a full transfer, never an image."""


class Encoder(enum.IntEnum):
    """How the target is written down; numbers are the wire's."""

    FULL = 1
    PREFIX = 2
    WORDS = 3


ENCODERS: Final = frozenset(int(encoder) for encoder in Encoder)


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a delta says of itself."""

    encoder: Encoder
    base_bytes: int
    target_bytes: int
    base: bytes
    """SHA-256 of the image that it starts from; empty when it needs none."""
    target: bytes
    """SHA-256 of the image that it makes."""


def encode_header(header: Header) -> bytes:
    """The first bytes of a delta."""
    return _HEADER.pack(
        MAGIC,
        header.encoder,
        header.base_bytes,
        header.target_bytes,
        header.base or bytes(32),
        header.target,
    )


def decode_header(data: bytes) -> Header:
    """Read the first bytes of a delta.

    Raises:
        BadDelta: not a delta, or of an encoder that this version does not know.
    """
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise BadDelta(f"expected a delta, found {len(data)} bytes {data[:8].hex()}..")
    _, encoder, base_bytes, target_bytes, base, target = _HEADER.unpack_from(data)
    if encoder not in ENCODERS:
        raise BadDelta(
            f"expected an encoder of {sorted(ENCODERS)}, found {encoder}: update this device"
        )
    known = Encoder(encoder)
    if (known is Encoder.FULL) != (base == bytes(32)) or (base == bytes(32)) != (not base_bytes):
        raise BadDelta(
            f"expected a base unless the delta is FULL, found {known.name} with {base_bytes} bytes"
        )
    return Header(known, base_bytes, target_bytes, base if base_bytes else b"", target)
