"""The one e-process: evidence that may be looked at after every observation, without regret.

Decides what counts of good and bad outcomes are worth as evidence. Leaves out what an outcome is and
what is done about the evidence: rollout gates and experiments have their own modules for that, and both
bet with what is here. An import contract keeps them apart otherwise.

Theory of operation. The hypothesis is that an outcome is bad with probability at most p0, whatever
happened before. Each outcome is a bet against it: with an alternative q > p0 the stake is multiplied by
q/p0 when the outcome is bad, by (1-q)/(1-p0) when it is not. With q of m times the odds of p0 these are
m/w and 1/w where w = 1 + (m-1) p0, so the wealth after f bad ones of n is m^f / w^n. Under the hypothesis
the wealth is a supermartingale that starts at 1, so it ever exceeds 1/alpha with probability at most
alpha (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference"): it
may be looked at after every message, and the next outcome may be chosen by what was seen, unlike with a
percentage or a z-test. The bet is spread over a fixed grid of odds (a mixture is again a martingale), of
which the largest is capped so that one good outcome never ruins it.

Three more tests are the same bet on other counts: that failures are *rarer* than p0 is a bet on the good
outcomes (`rarer`); that of two models on the same input the one fails more often is a bet on those inputs
where just one of them failed, with p0 = 1/2 (`paired`; McNemar 1947). Where the two saw different inputs
there is no pair to bet on, and the likelihood ratio of universal inference takes its place
(`two_sample`).

Rules: only counts matter, so nothing needs to be kept but the counts; every value is finite.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

ODDS: Final = (2.5, 6.0, 15.0, 40.0, 200.0)
"""Alternatives, as multiples of the odds of p0; at p0 = 2 % they are 5, 11, 23, 45 and 80 %."""
LOG_MAX: Final = 60.0
"""Logarithm of the largest wealth worth telling apart."""
_JEFFREYS: Final = 0.5
_LOG_BETA_OF_PRIOR: Final = 2.0 * math.lgamma(_JEFFREYS) - math.lgamma(2.0 * _JEFFREYS)


@lru_cache(maxsize=256)
def _bets(tolerated: float) -> tuple[tuple[float, float], ...]:
    """(ln m, ln w) of each alternative."""
    return tuple((math.log(odds), math.log1p((odds - 1.0) * tolerated)) for odds in ODDS)


def e_value(judged: int, bad: int, tolerated: float) -> float:
    """Evidence that outcomes are bad more often than tolerated.

    Args:
        judged: outcomes that count, the bad ones among them.
        bad: bad ones.
        tolerated: share p0 of the hypothesis; 0 is refuted by the first bad outcome, 1 by nothing.
    """
    if tolerated <= 0.0:
        return math.exp(LOG_MAX) if bad else 1.0
    total = 0.0
    for gain, cost in _bets(tolerated):
        total += math.exp(min(bad * gain - judged * cost, LOG_MAX))
    return total / len(ODDS)


def rarer(judged: int, bad: int, share: float) -> float:
    """Evidence that outcomes are bad *less* often than `share`, in (0, 1)."""
    return e_value(judged, judged - bad, 1.0 - share)


def paired(only_candidate: int, only_production: int) -> float:
    """Evidence that the candidate fails more often than production on the same inputs.

    Args:
        only_candidate: inputs on which the candidate failed and production did not.
        only_production: the other way round. Inputs on which both or neither failed say nothing.
    """
    return e_value(only_candidate + only_production, only_candidate, 0.5)


def two_sample(candidate: tuple[int, int], production: tuple[int, int]) -> float:
    """Evidence that the candidate is bad more often than production, on inputs of their own.

    The marginal likelihood of both under Jeffreys' prior over the largest likelihood of any pair of
    shares with that of the candidate not above that of production (Wasserman, Ramdas and Balakrishnan
    2020, "Universal inference"). For each such pair the ratio to its own likelihood is a martingale, and
    the largest likelihood makes the ratio smallest: so it stays below that martingale, whichever pair is
    the true one, and may be looked at like any other e-value, also when the sizes of the groups follow
    from what was seen.

    Args:
        candidate: (judged, bad).
        production: (judged, bad).
    """
    likeliest = _log_largest(candidate, production)
    log_e = _log_marginal(*candidate) + _log_marginal(*production) - likeliest
    return math.exp(min(log_e, LOG_MAX))


def _log_marginal(judged: int, bad: int) -> float:
    """Logarithm of the likelihood of counts, averaged over Jeffreys' prior."""
    return (
        math.lgamma(bad + _JEFFREYS)
        + math.lgamma(judged - bad + _JEFFREYS)
        - math.lgamma(judged + 2.0 * _JEFFREYS)
        - _LOG_BETA_OF_PRIOR
    )


def _log_largest(candidate: tuple[int, int], production: tuple[int, int]) -> float:
    """Logarithm of the largest likelihood under the hypothesis that the candidate is not worse."""
    judged, bad = candidate
    of_judged, of_bad = production
    if bad * of_judged <= of_bad * judged:
        return _log_best(judged, bad) + _log_best(of_judged, of_bad)
    return _log_best(judged + of_judged, bad + of_bad)


def _log_best(judged: int, bad: int) -> float:
    """Logarithm of the likelihood of counts at their own share."""
    if not 0 < bad < judged:
        return 0.0
    good = judged - bad
    return bad * math.log(bad / judged) + good * math.log(good / judged)
