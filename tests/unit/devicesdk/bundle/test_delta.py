"""The header of a delta, and what is refused by it alone."""

from __future__ import annotations

import pytest

from devicesdk.bundle.delta import (
    APPLY_BYTES_MAX,
    HEADER_BYTES,
    PIECE_BYTES_MAX,
    PREFIX_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    WINDOW_LOG_MAX,
    BadDelta,
    Encoder,
    Header,
    decode_header,
    encode_header,
)

WORDS = Header(Encoder.WORDS, 1000, 900, b"b" * 32, b"t" * 32)
FULL = Header(Encoder.FULL, 0, 900, b"", b"t" * 32)


@pytest.mark.parametrize("header", [WORDS, FULL])
def test_a_header_survives_its_bytes(header):
    data = encode_header(header)
    assert len(data) == HEADER_BYTES == 88
    assert decode_header(data + b"body") == header


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "expected a delta"),
        (encode_header(WORDS)[:-1], "expected a delta"),
        (b"BSDIFF40" + bytes(80), "expected a delta"),
        (encode_header(WORDS).replace(b"FDD1\3", b"FDD1\t"), "expected an encoder"),
        (encode_header(WORDS).replace(b"FDD1\3", b"FDD1\1"), "expected a base unless"),
        (encode_header(FULL).replace(b"FDD1\1", b"FDD1\2"), "expected a base unless"),
        (encode_header(WORDS).replace(b"b" * 32, bytes(32)), "expected a base unless"),
    ],
)
def test_other_bytes_are_refused(data, why):
    with pytest.raises(BadDelta, match=why):
        decode_header(data)


def test_the_working_sets_fit_the_bound():
    window = 2**WINDOW_LOG_MAX
    assert 2 * PREFIX_BYTES_MAX + window <= APPLY_BYTES_MAX
    assert window + 16 * PIECE_BYTES_MAX <= APPLY_BYTES_MAX
    assert SEGMENT_BYTES_MAX < PREFIX_BYTES_MAX
