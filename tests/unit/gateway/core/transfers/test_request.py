from __future__ import annotations

import msgpack
import pytest

from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage, Nack
from devicesdk.wire.messages import Get
from gateway.core.transfers.request import GET_BYTES_MAX, Blob, decode_get, fitting, wanted

KIB = 1024
BLOB = Blob(size_bytes=100 * KIB + 1, chunk_bytes=16 * KIB, chunks=7)


def get(base: int = 0, count: int = 1, bitmap: bytes = b"", blob: bytes = b"b" * 32) -> Get:
    return Get(transfer=1, seq=2, blob=blob, base=base, count=count, bitmap=bitmap)


def test_decoding_agrees_with_the_codec() -> None:
    message = get(3, 8, b"\x05")
    assert decode_get(codec.encode(message)) == message == codec.decode(Get, codec.encode(message))


def test_unknown_fields_are_skipped() -> None:
    body = msgpack.unpackb(codec.encode(get())) | {"zz": [1, {"y": 2}]}
    assert decode_get(msgpack.packb(body)) == get()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x80",
        msgpack.packb([1, 2]),
        msgpack.packb({"x": 1}),
        msgpack.packb({"x": -1, "q": 1, "b": b"b" * 32, "o": 0, "n": 1}),
        msgpack.packb({"x": 1, "q": 1, "b": b"short", "o": 0, "n": 1}),
        msgpack.packb({"x": 1, "q": 1, "b": b"b" * 32, "o": 0, "n": 0}),
        b"\xa3\xff\xff\xff",
        b"\x91" * 500,
        b"\0" * (GET_BYTES_MAX + 1),
    ],
)
def test_rubbish_is_a_bad_message(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_get(payload)


def test_without_a_bitmap_count_chunks_are_meant() -> None:
    assert wanted(get(2, 3), BLOB) == (2, 3, 4)
    assert wanted(get(5, 8), BLOB) == (5, 6)


def test_with_a_bitmap_the_first_set_bits_are_meant() -> None:
    assert wanted(get(1, 8, b"\x15"), BLOB) == (1, 3, 5)
    assert wanted(get(1, 2, b"\x15"), BLOB) == (1, 3)
    assert wanted(get(5, 8, b"\xff\xff"), BLOB) == (5, 6)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (get(0, 9), Nack.BLOCK_COUNT_LIMIT_EXCEEDED),
        (get(7, 1), Nack.OFFSET_OUT_OF_BOUNDS),
        (get(0, 1, b"\0\0"), Nack.INVALID_REQUEST),
        (get(6, 1, b"\xfe"), Nack.OFFSET_OUT_OF_BOUNDS),
    ],
)
def test_wrong_requests_have_their_code(request_: Get, code: Nack) -> None:
    assert wanted(request_, BLOB) == code


def test_a_single_chunk_of_any_size_may_be_asked_for() -> None:
    assert wanted(get(0, 1), Blob(300 * KIB, 300 * KIB, 1)) == (0,)


def test_as_many_whole_chunks_as_fit() -> None:
    assert fitting((0, 1, 2), BLOB, 48 * KIB) == ((0, 1, 2), 48 * KIB)
    assert fitting((0, 1, 2), BLOB, 48 * KIB - 1) == ((0, 1), 32 * KIB)
    assert fitting((0, 1, 2), BLOB, 0) == ((), 0)
    # The last chunk is short, and only counts for what it is.
    assert fitting((5, 6), BLOB, 20 * KIB + 1) == ((5, 6), 20 * KIB + 1)
    assert fitting((5, 6), BLOB, 20 * KIB) == ((5,), 16 * KIB)
