"""The agent's own luck, for jitter: small, pure and reproducible.

SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). Seeded by the
device's seed and the boot number, so two boots do not repeat each other's delays and nothing has to
be persisted. Not for secrets.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def _seeded(seed: int, salt: int) -> int:
    return _mix(_mix(seed & _MASK) + salt * _GOLDEN & _MASK)


def draw_once(seed: int, salt: int, bound: int) -> int:
    """An integer in [0, bound), the same for the same seed and salt; 0 when the bound is 0."""
    return _seeded(seed, salt) * bound >> 64


class Dice:
    """Draws of one boot.

    Args:
        seed: the device's seed, any integer.
        boot_id: which boot this is.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int, boot_id: int) -> None:
        self._state = _seeded(seed, boot_id)

    def below(self, bound: int) -> int:
        """An integer in [0, bound); 0 when the bound is 0."""
        self._state = self._state + _GOLDEN & _MASK
        return _mix(self._state) * bound >> 64

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]; `low` when `high` is smaller."""
        return low + self.below(max(0, high - low) + 1)
