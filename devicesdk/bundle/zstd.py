"""The one way to Zstandard: frames with a bounded window, and reading them a piece at a time.

Decides which binding is used (PEP 784: the standard library's from Python 3.14 on, its backport before)
and the window that a frame may ask a reader for. Leaves out what is in the frames (delta_*.py).

Rules: every frame is written with its content size and a window of at most ``2 ** WINDOW_LOG_MAX`` bytes,
and a frame that asks for more is refused before memory is reserved for it; a reader never holds more than
it was asked for; damage is one `BadDelta`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, TypeAlias

from devicesdk.bundle.delta import WINDOW_LOG_MAX, BadDelta

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Read: TypeAlias = Callable[[int, int], bytes]
"""Random access to bytes: (offset, size) to at most so many bytes."""

INPUT_BYTES: Final = 64 * 1024
_WINDOW_LOG_MIN: Final = 10


def pack(data: bytes | memoryview, level: int, prefix: bytes | None = None) -> bytes:
    """One frame of `data`.

    Args:
        data: what is in it.
        level: 1 (quick) to 19 (small).
        prefix: bytes that the reader has too: matches may point into them.
    """
    length = len(data) + len(prefix or b"")
    option = zstd.CompressionParameter
    options: dict[int, int] = {
        option.compression_level: level,
        option.window_log: max(_WINDOW_LOG_MIN, min(WINDOW_LOG_MAX, length.bit_length())),
        option.content_size_flag: 1,
        option.checksum_flag: 0,
        option.dict_id_flag: 0,
    }
    if prefix is not None:
        options[option.enable_long_distance_matching] = 1
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=_as_prefix(prefix))
    compressor.set_pledged_input_size(len(data))
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


def _as_prefix(prefix: bytes | None) -> tuple[zstd.ZstdDict, int] | None:
    if prefix is None or len(prefix) < _PREFIX_BYTES_MIN:
        return None
    return zstd.ZstdDict(prefix, is_raw=True).as_prefix


_PREFIX_BYTES_MIN: Final = 8
"""Shorter ones are no dictionary to the library, on either side."""


class Frame:
    """Reads one frame, a piece at a time.

    Args:
        read: where the frame is.
        offset: its first byte.
        end: the byte after it, or after whatever it must not go past.
        prefix: what it was packed with.
    """

    __slots__ = ("_at", "_decompressor", "_end", "_read")

    def __init__(self, read: Read, offset: int, end: int, prefix: bytes | None = None) -> None:
        self._read, self._at, self._end = read, offset, end
        limit: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX}
        self._decompressor = zstd.ZstdDecompressor(zstd_dict=_as_prefix(prefix), options=limit)

    def some(self, size: int) -> bytes:
        """At most `size` bytes; none only at the end of the frame.

        Raises:
            BadDelta: damaged, cut off, or a window that is too large.
        """
        decompressor = self._decompressor
        while not decompressor.eof:
            piece = self._more() if decompressor.needs_input else b""
            try:
                out = decompressor.decompress(piece, size)
            except zstd.ZstdError as error:
                raise BadDelta(f"expected a Zstandard frame, found damage: {error}") from error
            if out:
                return out
        return b""

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            BadDelta: as `some`, or the frame ends before.
        """
        first = self.some(size)
        if len(first) == size:
            return first
        parts, left = [first], size - len(first)
        while left:
            part = self.some(left)
            if not part:
                raise BadDelta(f"expected {left} more bytes in a frame, found its end")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Insist that the frame ends here, and that nothing follows it.

        Raises:
            BadDelta: there is more.
        """
        if self.some(1):
            raise BadDelta("expected the end of a frame, found more content than was declared")
        if self._at != self._end or self._decompressor.unused_data:
            raise BadDelta("expected nothing after a frame, found more bytes")

    def _more(self) -> bytes:
        piece = self._read(self._at, min(INPUT_BYTES, self._end - self._at))
        if not piece:
            raise BadDelta("expected the rest of a frame, found the end of the delta")
        self._at += len(piece)
        return piece
