"""The last reader before none: no model, a rule that anybody can check with a pencil.

Decides how a dial is read by looking for its needle: of 32 directions from the middle of the picture, the
darkest ray wins. Leaves out when it is used: a bundle names it as its last variant
(`devicesdk.agent.policy.RULE`), and only for models with the dial reader's shapes.

Rules: sums of whole numbers, so every processor reads the same; a picture without contrast has no needle
and gives no number, never a guess. It costs some 300 additions, a two-hundredth of the model, and reads
within a bin or two of an unobstructed dial (tests hold it to that); its confidence is on no model's scale.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devicesdk.inference.dials import PIXELS, SIDE, SWEEP_RAD
from devicesdk.inference.engine import LABELS, Floats

RULE_MACS: Final = 320
"""Additions of one reading, for devices that count work."""
CONTRAST_MIN: Final = 12.0
"""Luminance between the mean ray and the darkest one, below which there is no needle to be seen."""
_RADII: Final = np.arange(4.0, 9.6, 0.6)
_SHARPNESS: Final = 12.0


def _rays() -> Floats:
    """One column a direction: how much each pixel belongs to that ray; shape (1024, 32)."""
    weights = np.zeros((PIXELS, LABELS), dtype=np.float32)
    turns = (np.arange(LABELS) / (LABELS - 1) - 0.5) * SWEEP_RAD
    middle = (SIDE - 1) / 2
    for label, turn in enumerate(turns):
        columns = np.rint(middle + _RADII * np.sin(turn)).astype(int)
        rows = np.rint(middle - _RADII * np.cos(turn)).astype(int)
        np.add.at(weights[:, label], rows * SIDE + columns, 1.0)
    return weights


class DialRule:
    """An `Engine` without a model."""

    __slots__ = ("_rays",)

    def __init__(self) -> None:
        self._rays = _rays()

    def run(self, images: Floats) -> Floats:
        """Read dials; see `Engine.run`. Rows without a needle are not a number."""
        darkness = -(images @ self._rays) / np.float32(len(_RADII))
        contrast = darkness.max(axis=1) - darkness.mean(axis=1)
        scaled = _SHARPNESS * (darkness - darkness.max(axis=1, keepdims=True))
        scaled /= np.maximum(contrast, np.float32(1.0))[:, None]
        odds = np.exp(scaled)
        shares: Floats = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        shares[contrast < CONTRAST_MIN] = np.nan
        return shares
