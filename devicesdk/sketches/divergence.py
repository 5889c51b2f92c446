"""How far a histogram is from a pinned baseline, and whether that is more than chance.

Decides the statistics: chi-square with a correction for the baseline's own finite sample, its
p-value, false-discovery control over many tests, and the population stability index with its bias
taken off. Leaves out what is tested together and what an alarm is (gateway/core/collect).

Rules: plain floats over short lists, the same result everywhere (no numpy, no scipy); adjacent bins
are merged until each expects at least `EXPECTED_MIN` counts; `design` is the design effect, how many
times larger the variance is than that of independent frames because frames of one device resemble
each other (Kish 1965; used as in Rao and Scott 1981: first-order correction). 1 means independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

EXPECTED_MIN: Final = 5.0
_ITERATIONS_MAX: Final = 1000
_EPSILON: Final = 1e-15
_TINY: Final = 1e-300


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """One histogram against its baseline."""

    statistic: float
    """Chi-square after both corrections."""
    freedom: int
    """Degrees of freedom: merged bins less one. 0: there was nothing to test."""
    p: float
    psi: float
    """Population stability index, bias taken off; may be slightly negative when nothing moved."""


NOTHING_TO_TEST: Final = Comparison(0.0, 0, 1.0, 0.0)


def compare(
    counts: Sequence[int], baseline: Sequence[float], baseline_count: float, design: float = 1.0
) -> Comparison:
    """Test whether `counts` came from `baseline`.

    With n counts, baseline probabilities p of m samples, design effect d: the statistic is
    ``sum (c - n p)^2 / (n p (d + n / m))``, chi-square with bins - 1 degrees of freedom, because the
    difference of the two shares has variance ``p (d / n + 1 / m)``. PSI's expectation under no shift
    is ``(bins - 1)(d / n + 1 / m)`` (Yurdakul and Naranjo 2020), which is subtracted.

    Raises:
        ValueError: the two have different numbers of bins, or the baseline is not positive.
    """
    mass = math.fsum(baseline)
    if len(counts) != len(baseline) or mass <= 0 or baseline_count <= 0:
        raise ValueError(
            f"expected {len(baseline)} counts and a positive baseline, found {len(counts)} counts, "
            f"mass {mass} of {baseline_count} samples"
        )
    total = sum(counts)
    merged = merge_bins(counts, [p / mass for p in baseline], total / design)
    bins = len(merged)
    if bins < 2:
        return NOTHING_TO_TEST
    spread = design + total / baseline_count
    statistic = math.fsum((c - total * p) ** 2 / (total * p * spread) for c, p in merged)
    bias = (bins - 1) * (design / total + 1 / baseline_count)
    return Comparison(
        statistic, bins - 1, chi_square_tail(statistic, bins - 1), _psi(merged) - bias
    )


def merge_bins(
    counts: Sequence[int], shares: Sequence[float], expected_total: float
) -> list[tuple[int, float]]:
    """Merge adjacent bins from the left until each expects `EXPECTED_MIN` of `expected_total`
    counts; what is left at the right end joins the last bin. Returns (count, share) pairs."""
    merged: list[tuple[int, float]] = []
    count, share = 0, 0.0
    for c, p in zip(counts, shares, strict=True):
        count += c
        share += p
        if share * expected_total >= EXPECTED_MIN:
            merged.append((count, share))
            count, share = 0, 0.0
    if merged:
        last_count, last_share = merged[-1]
        merged[-1] = (last_count + count, last_share + share)
    return merged


def _psi(merged: Sequence[tuple[int, float]]) -> float:
    # Half a count in each bin keeps the logarithm finite (Jeffreys' prior).
    total = sum(count for count, _ in merged) + 0.5 * len(merged)
    out = 0.0
    for count, share in merged:
        found = (count + 0.5) / total
        out += (found - share) * math.log(found / share)
    return out


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Probability that chi-square with `freedom` degrees exceeds `statistic`: ``Q(k/2, x/2)``."""
    return gamma_tail(freedom / 2, statistic / 2)


def gamma_tail(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x) for a > 0.

    By the power series of P = 1 - Q (NIST DLMF 8.11.4) left of ``a + 1``, by the continued fraction
    (DLMF 8.9.2, evaluated as in Lentz 1976) right of it. To 1e-12 for a up to 10^4; the iterations
    are bounded, so for much larger a the last digits, and then all, are lost.
    """
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return max(0.0, 1.0 - front * _series(a, x))
    return front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _ITERATIONS_MAX):
        term *= x / (a + n)
        total += term
        if term < total * _EPSILON:
            break
    return total


def _fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c = 1 / _TINY
    d = 1 / b
    out = d
    for n in range(1, _ITERATIONS_MAX):
        numerator = -n * (n - a)
        b += 2
        d = numerator * d + b
        c = b + numerator / c
        d = 1 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        out *= d * c
        if abs(d * c - 1) < _EPSILON:
            break
    return out


def discoveries(p_values: Sequence[float], q: float) -> list[bool]:
    """Which tests to call significant so that at most a share `q` of the calls is expected false.

    Benjamini and Hochberg 1995: the largest rank r with ``p_(r) <= q r / tests``, and all below it.
    """
    order = sorted(range(len(p_values)), key=lambda i: (p_values[i], i))
    called = 0
    for rank, index in enumerate(order, 1):
        if p_values[index] <= q * rank / len(order):
            called = rank
    out = [False] * len(order)
    for index in order[:called]:
        out[index] = True
    return out


def design_effect(
    squares: Sequence[float], cross: Sequence[float], counts: Sequence[int], sizes_squared: float
) -> float:
    """Mean design effect of a histogram summed over windows (devices), at least 1.

    For windows r with n_r frames and counts c_rj: `squares` is ``sum_r c_rj^2`` by bin, `cross` is
    ``sum_r n_r c_rj`` by bin, `sizes_squared` is ``sum_r n_r^2``. The between-window variance
    ``sum_r (c_rj - n_r s_j)^2`` over the multinomial one ``n s_j (1 - s_j)``, averaged with weights
    ``1 - s_j`` (the trace of Rao and Scott's design matrix over its rank).
    """
    total = sum(counts)
    live = sum(1 for c in counts if c)
    if live < 2:
        return 1.0
    trace = 0.0
    for q, s, c in zip(squares, cross, counts, strict=True):
        if c:
            share = c / total
            trace += (q - 2 * share * s + share * share * sizes_squared) / c
    return max(1.0, trace / (live - 1))
