"""Fewer pixels: what a camera sees when a policy asks it for less.

Decides how a prepared picture is reduced: by the mean of each block, rounded half up, and blown up again
by repetition, because a model's input has one size. Leaves out who asks (devicesdk/agent/policy.py).

Rule: pixels stay whole numbers, so that features stay exact; a side that does not divide the picture's
counts as the next smaller one that does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devicesdk.inference.engine import Floats
from devicesdk.inference.preprocess import SIDE

OFFSET: Final = 128


def usable_side(side: int) -> int:
    """The side that frames are reduced to; 0: they stay as they are."""
    if not 0 < side < SIDE:
        return 0
    while SIDE % side:
        side -= 1
    return side


def reduced(pixels: Floats, side: int) -> Floats:
    """Reduce prepared pictures, shape (n, 1024), to `side` x `side` and blow them up again."""
    side = usable_side(side)
    if not side:
        return pixels
    block = SIDE // side
    cells = pixels.reshape(-1, side, block, side, block).sum(axis=(2, 4))
    means = np.floor(cells / np.float32(block * block) + np.float32(0.5))
    large = means.repeat(block, axis=1).repeat(block, axis=2)
    return np.ascontiguousarray(large.reshape(len(pixels), -1), dtype=np.float32)


def packed(pixels: Floats) -> bytes:
    """Prepared pictures as bytes, one a value: what an ask carries."""
    return (pixels + np.float32(OFFSET)).astype(np.uint8).tobytes()
