"""What a chunk request asks for, checked against the blob it names.

Decides which chunks a `Get` means and which NACK a wrong one deserves. Leaves out whether the device
may have them, and when (transfers.py).

Rules: `count` times the chunk size is at most 128 KiB, else BlockCountLimitExceeded; without a
bitmap the request means `count` chunks from `base`, with one the first `count` set bits; bits past
the end of the blob are ignored as long as one lies inside.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire import limits
from devicesdk.wire.errors import BadMessage, Nack
from devicesdk.wire.messages import Get

GET_BYTES_MAX: Final = 512
_DECODER: Final = msgspec.msgpack.Decoder(Get)


class Blob(msgspec.Struct, frozen=True, gc=False):
    """What serving a blob needs to know of it."""

    size_bytes: int
    chunk_bytes: int
    chunks: int
    public: bool = False


def decode_get(payload: bytes) -> Get:
    """Decode a chunk request; unlike `codec.decode` this does not keep unknown fields (1 us).

    Raises:
        BadMessage: too large, not a `Get`, or out of bounds.
    """
    if len(payload) > GET_BYTES_MAX:
        raise BadMessage(f"expected a Get of at most {GET_BYTES_MAX} bytes, found {len(payload)}")
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"expected a Get, found {payload[:24].hex()}..: {error}") from error


def wanted(get: Get, blob: Blob) -> tuple[int, ...] | Nack:
    """The chunk indices that a request means, in order, or why it is refused."""
    if get.count > 1 and get.count * blob.chunk_bytes > limits.ROUND_BYTES_MAX:
        return Nack.BLOCK_COUNT_LIMIT_EXCEEDED
    base = get.base
    if base >= blob.chunks:
        return Nack.OFFSET_OUT_OF_BOUNDS
    if not get.bitmap:
        return tuple(range(base, min(base + get.count, blob.chunks)))
    bits = int.from_bytes(get.bitmap, "little")
    if not bits:
        return Nack.INVALID_REQUEST
    bits &= (1 << (blob.chunks - base)) - 1
    return _set_bits(bits, base, get.count) if bits else Nack.OFFSET_OUT_OF_BOUNDS


def _set_bits(bits: int, base: int, count: int) -> tuple[int, ...]:
    out: list[int] = []
    while bits and len(out) < count:
        lowest = bits & -bits
        out.append(base + lowest.bit_length() - 1)
        bits ^= lowest
    return tuple(out)


def fitting(indices: tuple[int, ...], blob: Blob, bytes_max: int) -> tuple[tuple[int, ...], int]:
    """The longest beginning of `indices` that fits into `bytes_max`, and its size in bytes."""
    chunk_bytes = blob.chunk_bytes
    short = blob.chunks * chunk_bytes - blob.size_bytes if indices[-1] == blob.chunks - 1 else 0
    size = len(indices) * chunk_bytes - short
    if size <= bytes_max:
        return indices, size
    keep = min(bytes_max // chunk_bytes, len(indices) - 1)
    return indices[:keep], keep * chunk_bytes
