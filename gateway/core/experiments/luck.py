"""Random numbers of an experiment: a stream that a seed, a name and a place in it determine.

Decides the draws. Leaves out where the seed comes from (a value of the configuration) and what the
draws decide (bandit.py). Nothing has to be kept but the seed and how many looks there were: a look that
is repeated after a crash draws the same.

SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"); gamma variates by
Marsaglia and Tsang 2000, "A simple method for generating gamma variables". Not for secrets.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_TINY: Final = 2.0**-54
_NORMAL: Final = NormalDist().inv_cdf


class Luck:
    """One stream of draws.

    Args:
        seed: the gateway's seed, any integer.
        name: whose luck it is.
        place: which look.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int, name: str, place: int) -> None:
        key = f"{seed}\0{name}\0{place}".encode()
        self._state = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")

    def uniform(self) -> float:
        """A number in (0, 1)."""
        self._state = value = self._state + _GOLDEN & _MASK
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
        return ((value ^ (value >> 31)) >> 11) * 2.0**-53 + _TINY

    def gamma(self, shape: float) -> float:
        """A gamma variate of scale 1; `shape` is above 0."""
        if shape < 1.0:
            return self.gamma(shape + 1.0) * math.pow(self.uniform(), 1.0 / shape)
        d = shape - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        while True:
            x = _NORMAL(self.uniform())
            v = (1.0 + c * x) ** 3
            if v > 0.0 and math.log(self.uniform()) < 0.5 * x * x + d - d * v + d * math.log(v):
                return d * v

    def beta(self, a: float, b: float) -> float:
        """A beta variate; `a` and `b` are above 0."""
        x = self.gamma(a)
        return x / (x + self.gamma(b))
