"""How far a histogram is from a pinned baseline, and whether that is more than chance.

Decides the statistics: chi-square with a correction for the baseline's own finite sample and for frames
that resemble each other, its p-value, false-discovery control over many tests, and the population
stability index with its bias taken off. Leaves out what is tested together and what an alarm is
(gateway/core/collect), and who sums up products (there too).

Frames of one device are no independent draws. The sum over devices r of their deviations e_r estimates
the true covariance V of the counts; against the multinomial one it gives a matrix D whose mean eigenvalue
is the *design effect* (Kish 1965) and whose uneven eigenvalues stretch the tail of chi-square. Both are
corrected for: the mean by division (Rao and Scott 1981), the unevenness by fewer degrees of freedom
(Satterthwaite, with F for a scale that was
estimated from few devices; Rao and Scott 1984, "On chi-squared tests for multiway contingency tables with cell
proportions estimated from survey data"). Without the second, one healthy window in five alarmed.

Rules: the same result everywhere (products are whole numbers, sums of floats are exactly rounded, no
scipy); adjacent bins are merged until each expects at least `EXPECTED_MIN` counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

EXPECTED_MIN: Final = 5.0
SHARE_MIN: Final = 1e-12
"""A bin that the baseline holds rarer than this has no likeness of its own: dividing by it overflows."""
_ITERATIONS_MAX: Final = 1000
_EPSILON: Final = 1e-15
_TINY: Final = 1e-300


class Products(NamedTuple):
    """What devices r with n_r frames and counts c_r add up to."""

    devices: int
    sizes_squared: int
    """``sum n_r^2``."""
    cross: npt.NDArray[np.int64]
    """``sum n_r c_r``, shape (bins,)."""
    squares: npt.NDArray[np.int64]
    """``sum c_r c_r'``, shape (bins, bins)."""


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """One histogram against its baseline."""

    statistic: float
    """Chi-square after all corrections."""
    freedom: int
    """Merged bins less one. 0: there was nothing to test."""
    p: float
    psi: float
    """Population stability index, bias taken off; may be slightly negative when nothing moved."""
    design: float = 1.0
    """Mean design effect, at least 1: so many times fewer frames would tell as much, were they
    independent."""
    uneven: float = 0.0
    """Squared coefficient of variation of the design effects; degrees of freedom are divided by one more
    than this."""


NOTHING_TO_TEST: Final = Comparison(0.0, 0, 1.0, 0.0)


def compare(
    counts: Sequence[int],
    baseline: Sequence[float],
    baseline_count: float,
    products: Products | None = None,
    baseline_alike: float = 1.0,
) -> Comparison:
    """Test whether `counts` came from `baseline`.

    With n counts, baseline probabilities p of m samples, design effects d of the counts and b of the
    baseline: the statistic is ``sum (c - n p)^2 / (n p (d + b n / m))``, because the difference of the two
    shares has variance ``p (d / n + b / m)``. PSI's expectation under no shift is
    ``(bins - 1)(d / n + b / m)`` (Yurdakul and Naranjo 2020), which is subtracted.

    Args:
        counts: the histogram.
        baseline: probabilities, or anything proportional to them.
        baseline_count: how many samples they were estimated from.
        products: how the counts came about; None: independent draws.
        baseline_alike: how many samples of the baseline came from one device each.

    Raises:
        ValueError: the two have different numbers of bins, or the baseline is not positive.
    """
    mass = math.fsum(baseline)
    if len(counts) != len(baseline) or mass <= 0 or baseline_count <= 0:
        raise ValueError(
            f"expected {len(baseline)} counts and a positive baseline, found {len(counts)} counts, "
            f"mass {mass} of {baseline_count} samples"
        )
    total, shares = sum(counts), [p / mass for p in baseline]
    if total <= 0:
        return NOTHING_TO_TEST
    rough = 1.0
    if products is not None:
        rough = _design(products, counts, shares)[0]
    firsts = merged_bins(shares, total / rough)
    freedom = len(firsts) - 1
    if freedom < 1:
        return NOTHING_TO_TEST
    counts, shares = _summed(counts, firsts), _summed(shares, firsts)
    design, uneven = 1.0, 0.0
    if products is not None:
        design, uneven = _design(_merged(products, firsts), counts, shares)
    base = _baseline_design(design, total, products, baseline_alike)
    spread = design + base * total / baseline_count
    statistic = math.fsum(
        (c - total * p) ** 2 / (total * p * spread) for c, p in zip(counts, shares, strict=True)
    ) / (1.0 + uneven)
    bias = freedom * (design / total + base / baseline_count)
    effective = freedom / (1.0 + uneven)
    if products is None:
        p_value = chi_square_tail(statistic, effective)
    else:
        p_value = f_tail(statistic / effective, effective, max(1, products.devices - 1))
    return Comparison(statistic, freedom, p_value, _psi(counts, shares) - bias, design, uneven)


def merged_bins(shares: Sequence[float], expected_total: float) -> list[int]:
    """First bin of each group of adjacent bins, merged from the left until each expects `EXPECTED_MIN`
    of `expected_total` counts; what is left at the right end joins the last group."""
    firsts, start, share = [], 0, 0.0
    for place, p in enumerate(shares):
        share += p
        if share * expected_total >= EXPECTED_MIN:
            firsts.append(start)
            start, share = place + 1, 0.0
    return firsts


def _summed(values: Sequence[Any], firsts: Sequence[int]) -> list[Any]:
    stops = [*firsts[1:], len(values)]
    return [sum(values[first:stop]) for first, stop in zip(firsts, stops, strict=True)]


def _merged(products: Products, firsts: Sequence[int]) -> Products:
    rows = np.add.reduceat(products.squares, firsts, axis=0)
    return products._replace(
        cross=np.add.reduceat(products.cross, firsts),
        squares=np.add.reduceat(rows, firsts, axis=1),
    )


def _baseline_design(design: float, total: int, products: Products | None, alike: float) -> float:
    """The baseline's own design effect, if its frames resemble each other as these do (Kish 1965:
    ``1 + (frames of a device - 1) correlation``)."""
    if products is None or total <= products.devices:
        return 1.0
    correlation = (design - 1.0) / (total / max(1, products.devices) - 1.0)
    return 1.0 + (alike - 1.0) * min(1.0, correlation)


def _design(
    products: Products, counts: Sequence[int], shares: Sequence[float]
) -> tuple[float, float]:
    """Mean of the eigenvalues of the design matrix, at least 1, and their unevenness.

    The trace of D is the sum of the eigenvalues, that of D D the sum of their squares; the bias that the
    latter has because devices are few is taken off. Deviations are taken around the cohort's own shares: a
    shift that all devices share is no likeness.
    """
    devices, total = products.devices, sum(counts)
    if devices < 2:
        return 1.0, 0.0
    own = np.asarray(counts, np.float64) / total
    outward = np.multiply.outer(products.cross.astype(np.float64), own)
    around = products.sizes_squared * np.multiply.outer(own, own)
    covariance = (products.squares - outward - outward.T + around) * (devices / (devices - 1.0))
    live = [place for place, p in enumerate(shares) if p > SHARE_MIN]
    scale = np.sqrt(total * np.asarray(shares, np.float64)[live])
    matrix = covariance[np.ix_(live, live)] / np.multiply.outer(scale, scale)
    freedom, trace = len(live) - 1, math.fsum(np.diag(matrix).tolist())
    if freedom < 1 or trace <= 0:
        return 1.0, 0.0
    of_squares = math.fsum((matrix * matrix).ravel().tolist()) - trace * trace / (devices - 1.0)
    return max(1.0, trace / freedom), max(0.0, freedom * of_squares / (trace * trace) - 1.0)


def _psi(counts: Sequence[int], shares: Sequence[float]) -> float:
    # Half a count in each bin keeps the logarithm finite (Jeffreys' prior); noise may turn a count below.
    total = sum(max(0, count) for count in counts) + 0.5 * len(counts)
    out = 0.0
    for count, share in zip(counts, shares, strict=True):
        found = (max(0, count) + 0.5) / total
        out += (found - share) * math.log(found / share)
    return out


def chi_square_tail(statistic: float, freedom: float) -> float:
    """Probability that chi-square with `freedom` degrees exceeds `statistic`: ``Q(k/2, x/2)``."""
    return gamma_tail(freedom / 2, statistic / 2)


def f_tail(ratio: float, above: float, below: float) -> float:
    """Probability that F with `above` and `below` degrees exceeds `ratio` (DLMF 8.17, as in Abramowitz
    and Stegun 26.6.2): chi-square over its degrees where the scale itself had to be estimated."""
    if ratio <= 0:
        return 1.0
    return beta_share(below / (below + above * ratio), below / 2, above / 2)


def beta_share(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), 0 <= x <= 1, by the continued fraction DLMF 8.17.22
    (Lentz 1976) on the side where it converges fast."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_share(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1.0 / max(_TINY, 1.0 - (a + b) * x / (a + 1))
    out = d
    for m in range(1, _ITERATIONS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            out *= d * c
        if abs(d * c - 1.0) < _EPSILON:
            break
    return math.exp(log_front) * out / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


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
