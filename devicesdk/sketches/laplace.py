"""Noise for histograms in privacy mode: discrete Laplace, exact, and how noisy counts are spelt.

Decides the mechanism. Every bin of every histogram of inputs gets an integer Z with
``P(Z = z) ~ exp(-|z| / scale)``, drawn without a single float by the sampler of Canonne, Kamath and
Steinke 2020, "The discrete Gaussian for differential privacy", algorithms 1 and 2, so that no rounding
of a logarithm leaks what was to be hidden (Mironov 2012). Leaves out where luck comes from.

Accounting: two windows are neighbours when one frame differs. That frame sits in one bin of the
confidence, one of the entropy and one of each of eight features (or, in error, under its error's name and
in the features), so replacing it changes the counts by at most `SENSITIVITY` = 20 in all, and
``scale = 20 / epsilon`` makes the whole window epsilon-differentially private (Dwork, McSherry, Nissim,
Smith 2006). How many frames there were is public: it is the schedule.

Rules: noise is symmetric, so sums over devices are unbiased; a count may turn negative, and travels with
`offset` added; what is below minus the offset (once in ten million bins) is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Final

SENSITIVITY: Final = 20
EPSILON_PERMILLE_MIN: Final = 10
EPSILON_PERMILLE_MAX: Final = 100_000
_SCALES_KEPT: Final = 16
"""The offset in scales: exp(-16) of all draws lie beyond."""

Below = Callable[[int], int]
"""Draws an integer in [0, bound), evenly and unpredictably."""


def offset_of(epsilon_permille: int) -> int:
    """What is added to each count on the wire."""
    return -(-_SCALES_KEPT * SENSITIVITY * 1000 // epsilon_permille)


def variance_of(epsilon_permille: int) -> float:
    """Variance of the noise of one bin, about ``2 scale^2``."""
    return 2.0 * (SENSITIVITY * 1000 / epsilon_permille) ** 2


def noisy(counts: Sequence[int], epsilon_permille: int, below: Below) -> list[int]:
    """Counts with noise and the offset, never negative.

    Raises:
        ValueError: an epsilon that cannot be meant.
    """
    if not EPSILON_PERMILLE_MIN <= epsilon_permille <= EPSILON_PERMILLE_MAX:
        raise ValueError(
            f"expected an epsilon of {EPSILON_PERMILLE_MIN}-{EPSILON_PERMILLE_MAX} thousandths, found "
            f"{epsilon_permille}; 1000 is 1"
        )
    top, bottom = SENSITIVITY * 1000, epsilon_permille
    common = gcd(top, bottom)
    top, bottom, offset = top // common, bottom // common, offset_of(epsilon_permille)
    return [max(0, count + offset + discrete_laplace(top, bottom, below)) for count in counts]


def discrete_laplace(top: int, bottom: int, below: Below) -> int:
    """Draw an integer with scale ``top / bottom`` (algorithm 2)."""
    while True:
        rest = below(top)
        if not _exp_minus(rest, top, below):
            continue
        whole = 0
        while _exp_minus(1, 1, below):
            whole += 1
        size = (rest + top * whole) // bottom
        negative = below(2)
        if size or not negative:
            return -size if negative else size


def _exp_minus(top: int, bottom: int, below: Below) -> bool:
    """True with probability ``exp(-top / bottom)``, for a share of at most 1 (algorithm 1)."""
    tries = 1
    while below(bottom * tries) < top:
        tries += 1
    return tries % 2 == 1
