from __future__ import annotations

import pytest

from devicesdk.sketches import histogram as h
from devicesdk.wire.errors import BadMessage


def test_small_counts_are_one_byte_each() -> None:
    assert h.pack([0, 1, 127]) == b"\x00\x01\x7f"
    assert h.unpack(b"\x00\x01\x7f", 3) == [0, 1, 127]


def test_large_counts_are_leb128() -> None:
    # 624485 is the worked example of the DWARF standard (appendix C).
    assert h.pack([624485]) == bytes.fromhex("e58e26")
    for counts in ([128], [255, 256], [0, h.COUNT_MAX, 1], [1000] * 116):
        assert h.unpack(h.pack(counts), len(counts)) == counts


@pytest.mark.parametrize("counts", [[-1], [3, h.COUNT_MAX + 1], [2**40]])
def test_a_count_that_does_not_fit_is_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="expected counts of"):
        h.pack(counts)


@pytest.mark.parametrize(
    ("data", "bins"),
    [
        (b"", 1),
        (b"\x01", 2),
        (b"\x01\x02\x03", 2),
        (b"\x80", 1),  # the varint never ends
        (b"\x81\x00", 1),  # 1, spelled in two bytes
        (b"\xff\xff\xff\xff\x01", 1),  # five bytes
        (b"\x80\x80\x80\x80", 1),
    ],
)
def test_malformed_bytes_are_a_bad_message(data: bytes, bins: int) -> None:
    with pytest.raises(BadMessage):
        h.unpack(data, bins)
    with pytest.raises(BadMessage):
        h.unpack_many([h.pack([1] * bins), data], bins)


def test_rows_that_only_together_have_the_right_length_are_refused() -> None:
    with pytest.raises(BadMessage, match="row 0 of 2"):
        h.unpack_many([b"\x01", b"\x01\x02\x03"], 2)


def test_many_rows_are_what_each_row_is() -> None:
    rows = [[1, 2, 3], [0, 300, 70_000], [h.COUNT_MAX, 0, 127]]
    assert h.unpack_many([h.pack(row) for row in rows], 3).tolist() == rows
    assert h.unpack_many([h.pack(rows[0])] * 2, 3).tolist() == [rows[0]] * 2
    assert h.unpack_many([], 3).shape == (0, 3)


def test_latency_bins_are_powers_of_sqrt_two_from_a_millisecond() -> None:
    assert [h.latency_bin(us) for us in (0, 999, 1000, 1413, 1414, 1999, 2000)] == [
        0, 0, 1, 1, 2, 2, 3,
    ]  # fmt: skip
    assert h.latency_bin(128_000) == h.latency_bin(10**9) == h.LATENCY_BINS - 1
    assert h.latency_bin(127_999) == h.LATENCY_BINS - 2


def test_a_quantile_lies_in_its_bin() -> None:
    counts = [0] * h.LATENCY_BINS
    counts[h.latency_bin(5_000)] = 90
    counts[h.latency_bin(50_000)] = 10
    assert h.quantile_us(counts, 0.5) < 5_657
    assert h.latency_bin(round(h.quantile_us(counts, 0.95))) == h.latency_bin(50_000)
    low, high, inside = h.quantile_bin_us(counts, 1.0)
    assert low <= 50_000 < high
    assert inside == 1.0
    with pytest.raises(ValueError, match="at least one count"):
        h.quantile_us([0] * h.LATENCY_BINS, 0.5)


def test_merging_is_adding() -> None:
    assert h.merge([1, 2], [3, 4]) == [4, 6]
    with pytest.raises(ValueError, match=r"shorter|longer"):
        h.merge([1], [1, 2])
