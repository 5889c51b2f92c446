"""Which stretch of the base corresponds to which stretch of the target.

Decides the *runs* that cover the target from its first byte to its last. Leaves out what is written down
for each (delta_build.py).

Theory of operation. Tensors correspond by name where they have the same size, else the next unused one of
the same size and width (an exporter may rename them). What lies between two tensors is compared with what
lies before the corresponding tensor of the base: common beginning, common end, and between them either
words (when both have the same length) or the target's own bytes. A file that is no ONNX model is one such
gap from end to end.

Rule: runs are in the target's order, touch each other, and are never longer than their base is.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from devicesdk.bundle.onnx_layout import Tensor, tensors

RAW: Final = 0
"""Width of a run that has no base."""
_SCAN_BYTES: Final = 1024**2


class Run(msgspec.Struct, frozen=True, gc=False):
    """A stretch of the target and what it is compared with."""

    target: int
    base: int
    size_bytes: int
    width: int
    """Bytes of a word; `RAW` where there is nothing to compare with."""
    guessed: bool = False
    """Nothing says what these bytes are: other widths are worth trying."""


def align(base: bytes, target: bytes) -> list[Run]:
    """The runs of a pair of images."""
    runs: list[Run] = []
    at = base_at = 0
    for mine, theirs in _pairs(tensors(base), tensors(target)):
        low = base_at if base_at <= mine.offset else mine.offset
        _gap((base, low, mine.offset), (target, at, theirs.offset), runs)
        words = theirs.size_bytes - theirs.size_bytes % theirs.width
        runs.append(Run(theirs.offset, mine.offset, words, theirs.width))
        at, base_at = theirs.offset + words, mine.offset + words
    _gap((base, base_at, len(base)), (target, at, len(target)), runs)
    return runs


def _pairs(base: list[Tensor], target: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Corresponding tensors, in the target's order."""
    named = {(tensor.name, tensor.size_bytes): tensor for tensor in base}
    taken = {
        tensor.offset
        for tensor in (named.get((other.name, other.size_bytes)) for other in target)
        if tensor is not None
    }
    spare: dict[tuple[int, int], list[Tensor]] = {}
    for tensor in reversed(base):
        if tensor.offset not in taken:
            spare.setdefault((tensor.size_bytes, tensor.width), []).append(tensor)
    pairs = []
    for other in target:
        found = named.get((other.name, other.size_bytes))
        if found is None:
            left = spare.get((other.size_bytes, other.width))
            found = left.pop() if left else None
        if found is not None:
            pairs.append((found, other))
    return pairs


def _gap(base: tuple[bytes, int, int], target: tuple[bytes, int, int], runs: list[Run]) -> None:
    (_, low, high), (_, start, end) = base, target
    room = min(high - low, end - start)
    head = _common(base[0], low, target[0], start, room)
    tail = _common_end(base[0], high, target[0], end, room - head)
    middle = (end - start) - head - tail
    if head:
        runs.append(Run(start, low, head, 1))
    if middle and high - low == end - start:
        _words(low + head, start + head, middle, runs)
    elif middle:
        runs.append(Run(start + head, 0, middle, RAW))
    if tail:
        runs.append(Run(end - tail, high - tail, tail, 1))


def _words(base: int, target: int, size: int, runs: list[Run]) -> None:
    whole = size - size % 4
    if whole:
        runs.append(Run(target, base, whole, 4, guessed=True))
    if size % 4:
        runs.append(Run(target + whole, base + whole, size % 4, 1))


def _common(base: bytes, low: int, target: bytes, start: int, room: int) -> int:
    """How many bytes are the same from here on."""
    same = 0
    while same < room:
        step = min(_SCAN_BYTES, room - same)
        mine = np.frombuffer(base, np.uint8, step, low + same)
        theirs = np.frombuffer(target, np.uint8, step, start + same)
        differs = np.flatnonzero(mine != theirs)
        if differs.size:
            return same + int(differs[0])
        same += step
    return same


def _common_end(base: bytes, high: int, target: bytes, end: int, room: int) -> int:
    """How many bytes are the same up to here."""
    same = 0
    while same < room:
        step = min(_SCAN_BYTES, room - same)
        mine = np.frombuffer(base, np.uint8, step, high - same - step)
        theirs = np.frombuffer(target, np.uint8, step, end - same - step)
        differs = np.flatnonzero(mine != theirs)
        if differs.size:
            return same + step - 1 - int(differs[-1])
        same += step
    return same
