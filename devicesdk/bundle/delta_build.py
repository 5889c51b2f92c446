"""Making deltas: three encoders.

Decides what is in each encoder's body. Leaves out which deltas are made and kept (delta_plan.py), and the
device's side (delta_apply.py).

Bodies: ``FULL`` is one Zstandard frame. ``PREFIX`` is segments, each a head (offset and size of its stretch of
the base, size of the segment, size of its frame) and a frame that may point into that stretch. ``WORDS`` is
one frame of records: ``COPY`` (the base's bytes), ``RAW`` (bytes follow) and ``DIFF`` (words follow in a
`Form`).

Rules: the same two images give the same bytes; nothing that the applier's bounds refuse is ever made.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from devicesdk.bundle.delta import (
    PIECE_BYTES_MAX,
    PREFIX_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    Encoder,
    Header,
    encode_header,
)
from devicesdk.bundle.delta_align import RAW, Run, align
from devicesdk.bundle.delta_words import FORMS, Form, difference, lay_out
from devicesdk.bundle.zstd import pack

SEGMENT_HEAD: Final = struct.Struct(">QIII")
RECORD_HEAD: Final = struct.Struct(">BBBxIQ")
COPY, BYTES, DIFF = range(3)
COPIED: Final = -1
"""Width of a run that is the same on both sides."""
COPY_BYTES_MAX: Final = 2**31

_FULL_LEVEL: Final = 19
_LEVEL: Final = 9
_TRIAL_LEVEL: Final = 1
_FEW_BYTES: Final = 2 * 1024**2
"""So few can be compressed at the highest level in a second."""
_ANCHOR_BYTES: Final = 16
_ANCHOR_STRIDE: Final = 2048
_PROBES: Final = 8


class Delta(msgspec.Struct, frozen=True):
    """A delta, and what it leads from and to."""

    header: Header
    data: bytes
    """Header and body: the blob."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the blob."""
        return sha256(self.data).digest()


def _delta(encoder: Encoder, base: bytes, target: bytes, body: Iterable[bytes]) -> Delta:
    origin = sha256(base).digest() if base else b""
    header = Header(encoder, len(base), len(target), origin, sha256(target).digest())
    return Delta(header, b"".join((encode_header(header), *body)))


# -- full ------------------------------------------------------------------------------------------


def encode_full(target: bytes) -> Delta:
    """The target alone, as small as Zstandard makes it within the window that devices grant."""
    return _delta(Encoder.FULL, b"", target, (pack(target, _FULL_LEVEL),))


# -- prefix ----------------------------------------------------------------------------------------


def encode_prefix(base: bytes, target: bytes) -> Delta:
    """Segments of the target, each compressed after the stretch of the base where it came from.

    Raises:
        ValueError: there is no base.
    """
    if not base:
        raise ValueError("expected a base to take as prefix, found no bytes; use encode_full")
    return _delta(Encoder.PREFIX, base, target, _segments(base, target))


def _segments(base: bytes, target: bytes) -> Iterable[bytes]:
    anchors = _anchors(base) if len(base) > PREFIX_BYTES_MAX else {}
    shift = 0
    for start in range(0, len(target), SEGMENT_BYTES_MAX):
        segment = target[start : start + SEGMENT_BYTES_MAX]
        shift = _shift(anchors, segment, start, shift)
        margin = (PREFIX_BYTES_MAX - len(segment)) // 2
        low = max(0, min(start + shift - margin, len(base) - PREFIX_BYTES_MAX))
        prefix = base[low : low + PREFIX_BYTES_MAX]
        frame = pack(segment, _LEVEL, prefix)
        yield SEGMENT_HEAD.pack(low, len(prefix), len(segment), len(frame))
        yield frame


def _anchors(base: bytes) -> dict[bytes, int]:
    """Places in the base by what stands there; what stands at several places is none."""
    found: dict[bytes, int] = {}
    for at in range(0, len(base) - _ANCHOR_BYTES, _ANCHOR_STRIDE):
        key = base[at : at + _ANCHOR_BYTES]
        found[key] = -1 if key in found else at
    return found


def _shift(anchors: dict[bytes, int], segment: bytes, start: int, before: int) -> int:
    """By how much most of a segment has moved, as far as samples tell; else as the one before."""
    votes: dict[int, int] = {}
    for probe in range(_PROBES):
        low = probe * len(segment) // _PROBES
        for at in range(low, min(low + _ANCHOR_STRIDE, len(segment))):
            found = anchors.get(segment[at : at + _ANCHOR_BYTES], -1)
            if found >= 0:
                shift = found - (start + at)
                votes[shift] = votes.get(shift, 0) + 1
    return max(votes, key=lambda shift: (votes[shift], -abs(shift)), default=before)


# -- words -----------------------------------------------------------------------------------------


def encode_words(base: bytes, target: bytes) -> Delta:
    """Differences of corresponding words.

    Raises:
        ValueError: there is no base.
    """
    if not base:
        raise ValueError("expected a base to compare with, found no bytes; use encode_full")
    records = b"".join(_records(base, target))
    level = _FULL_LEVEL if len(records) <= _FEW_BYTES else _LEVEL
    return _delta(Encoder.WORDS, base, target, (pack(records, level),))


def _records(base: bytes, target: bytes) -> Iterable[bytes]:
    copied: Run | None = None
    for run in _trimmed(base, target):
        if run.width == COPIED:
            if copied is not None and _continues(copied, run):
                size = copied.size_bytes + run.size_bytes
                copied = Run(copied.target, copied.base, size, COPIED)
                continue
            if copied is not None:
                yield RECORD_HEAD.pack(COPY, 0, 0, copied.size_bytes, copied.base)
            copied = run
            continue
        if copied is not None:
            yield RECORD_HEAD.pack(COPY, 0, 0, copied.size_bytes, copied.base)
            copied = None
        yield from _written(base, target, run)
    if copied is not None:
        yield RECORD_HEAD.pack(COPY, 0, 0, copied.size_bytes, copied.base)


def _trimmed(base: bytes, target: bytes) -> Iterable[Run]:
    """Runs in pieces, equal beginnings and ends as runs of their own."""
    for run in align(base, target):
        for done in range(0, run.size_bytes, PIECE_BYTES_MAX):
            size = min(PIECE_BYTES_MAX, run.size_bytes - done)
            piece = Run(run.target + done, run.base + done, size, run.width, run.guessed)
            if run.width == RAW:
                yield piece
            else:
                yield from _edges(base, target, piece)


def _edges(base: bytes, target: bytes, run: Run) -> Iterable[Run]:
    mine = np.frombuffer(base, np.uint8, run.size_bytes, run.base)
    theirs = np.frombuffer(target, np.uint8, run.size_bytes, run.target)
    differs = np.flatnonzero(mine != theirs)
    if not differs.size:
        yield Run(run.target, run.base, run.size_bytes, COPIED)
        return
    width = run.width
    head = int(differs[0]) // width * width
    end = -(-(int(differs[-1]) + 1) // width) * width
    if head:
        yield Run(run.target, run.base, head, COPIED)
    yield Run(run.target + head, run.base + head, end - head, width, run.guessed)
    if end < run.size_bytes:
        yield Run(run.target + end, run.base + end, run.size_bytes - end, COPIED)


def _continues(before: Run, run: Run) -> bool:
    touches = before.base + before.size_bytes == run.base
    return touches and before.size_bytes + run.size_bytes <= COPY_BYTES_MAX


def _written(base: bytes, target: bytes, run: Run) -> tuple[bytes, bytes]:
    new = target[run.target : run.target + run.size_bytes]
    if run.width == RAW:
        return RECORD_HEAD.pack(BYTES, 0, 0, run.size_bytes, 0), new
    old = base[run.base : run.base + run.size_bytes]
    width, form, data = _smallest(old, new, (run.width, 1) if run.guessed else (run.width,))
    return RECORD_HEAD.pack(DIFF, width, form, run.size_bytes, run.base), data


def _smallest(old: bytes, new: bytes, widths: tuple[int, ...]) -> tuple[int, Form, bytes]:
    tried = []
    for width in dict.fromkeys(widths):
        zigzag = difference(old, new, width)
        tried += [(width, form, lay_out(zigzag, old, width, form)) for form in FORMS[width]]
    return min(tried, key=lambda one: len(pack(one[2], _TRIAL_LEVEL)))
