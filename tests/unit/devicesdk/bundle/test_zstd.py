"""Frames: bounded windows, and reading them in pieces."""

from __future__ import annotations

import sys

import pytest

from devicesdk.bundle.delta import WINDOW_LOG_MAX, BadDelta
from devicesdk.bundle.zstd import Frame, pack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"the quick brown fox " * 4000


def _frame(data, prefix=None, end=None):
    return Frame(
        lambda at, size: data[at : at + size], 0, len(data) if end is None else end, prefix
    )


@pytest.mark.parametrize("prefix", [None, b"", b"short", b"a lazy dog, the quick brown fox"])
def test_a_frame_is_read_back_in_pieces(prefix):
    frame = _frame(pack(TEXT, 9, prefix), prefix)
    assert frame.exactly(7) == TEXT[:7]
    assert frame.exactly(len(TEXT) - 7) == TEXT[7:]
    frame.finish()
    assert frame.some(10) == b""


def test_nothing_packs_to_a_frame_of_nothing():
    frame = _frame(pack(b"", 9))
    assert frame.some(1) == b""
    frame.finish()


def test_no_more_than_asked_for_is_unpacked():
    bomb = pack(bytes(50_000_000), 3)
    assert len(bomb) < 10_000
    frame = _frame(bomb)
    assert len(frame.some(1000)) <= 1000
    with pytest.raises(BadDelta, match="more content"):
        frame.finish()


def test_a_window_that_is_too_large_is_refused():
    options = {zstd.CompressionParameter.window_log: WINDOW_LOG_MAX + 1}
    data = zstd.compress(bytes(range(256)) * 2**17, options=options)
    with pytest.raises(BadDelta, match="damage"):
        _frame(data).exactly(100)


def test_large_data_are_packed_within_the_window():
    data = bytes(range(256)) * 2**17
    frame = _frame(pack(data, 1))
    assert frame.exactly(len(data)) == data


def test_a_frame_that_is_cut_off_or_goes_on_is_refused():
    data = pack(TEXT, 9)
    with pytest.raises(BadDelta, match="end of the delta"):
        _frame(data[:-1]).exactly(len(TEXT))
    with pytest.raises(BadDelta, match="found its end"):
        _frame(data).exactly(len(TEXT) + 1)
    longer = _frame(data + b"more")
    longer.exactly(len(TEXT))
    with pytest.raises(BadDelta, match="nothing after a frame"):
        longer.finish()


def test_damage_is_refused():
    with pytest.raises(BadDelta, match="damage"):
        _frame(b"not a frame at all").exactly(1)
