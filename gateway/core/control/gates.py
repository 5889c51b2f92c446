"""Whether the evidence of failures is enough to stop a rollout, at any moment and without regret.

Decides the e-value of what was seen. Leaves out what a failure is (outcomes.py) and what is done
(rollouts.py).

Theory of operation. The hypothesis is that a member fails with probability at most p0. Each member
that is judged is a bet against it: with an alternative q > p0 the stake is multiplied by q/p0 when
the member fails, by (1-q)/(1-p0) when it does not. With q of m times the odds of p0 these are m/w and
1/w where w = 1 + (m-1) p0, so the wealth after f failures of n is m^f / w^n. Under the hypothesis the wealth is a
supermartingale that starts at 1, so it ever exceeds 1/alpha with probability at most alpha (Ville
1939; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference"): it may be
looked at after every message, unlike a percentage or a z-test. The bet is spread over a fixed grid
of odds (a mixture is again a martingale), of which the largest is capped so that one success never
ruins it.

Rules:

- A member enters when it is *at risk*: its image is whole and verified, and what is left (kit,
  trial) is the release's; until it fails it stands on the side of those that did not. Failures are
  reported sooner than successes, so counting only what has ended would stop good releases. With
  entries at risk the wealth is never above that of the same members' final outcomes in order of
  entry, so the bound holds however long successes take.
- Each wave has a stake of its own (half on the first, the rest shared), because a failure that needs
  many devices to show would drown in earlier successes. The sum over waves is one martingale: the
  bound holds for the whole rollout.
- Only counts matter, so nothing needs to be kept but the counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_ODDS: Final = (2.5, 6.0, 15.0, 40.0, 200.0)
"""Alternatives, as multiples of the odds of p0; at p0 = 2 % they are 5, 11, 23, 45 and 80 %."""
_LOG_MAX: Final = 60.0
"""Logarithm of the largest wealth worth telling apart."""


@lru_cache(maxsize=256)
def _bets(tolerated: float) -> tuple[tuple[float, float], ...]:
    """(ln m, ln w) of each alternative."""
    return tuple((math.log(odds), math.log1p((odds - 1.0) * tolerated)) for odds in _ODDS)


def e_value(judged: int, blamed: int, tolerated: float) -> float:
    """Wealth of one wave's bets.

    Args:
        judged: members at risk, those that failed among them.
        blamed: those that failed in a way that counts against the release.
        tolerated: failure share p0 of the hypothesis; 0 is refuted by the first failure.
    """
    if tolerated <= 0.0:
        return math.exp(_LOG_MAX) if blamed else 1.0
    total = 0.0
    for gain, cost in _bets(tolerated):
        total += math.exp(min(blamed * gain - judged * cost, _LOG_MAX))
    return total / len(_ODDS)


@lru_cache(maxsize=64)
def stakes(waves: int) -> tuple[float, ...]:
    """Divide a stake of 1 over the waves of a plan: half on the first, the rest evenly."""
    if waves == 1:
        return (1.0,)
    return (0.5,) + (0.5 / (waves - 1),) * (waves - 1)


def evidence(counts: Sequence[tuple[int, int]], planned: int, tolerated: float) -> float:
    """Wealth of a rollout.

    Args:
        counts: (judged, blamed) of each wave opened since the start or the last retry.
        planned: how many waves there will be at most; stakes of waves to come are kept.
        tolerated: failure share p0 of the hypothesis.
    """
    split = stakes(max(planned, len(counts)))
    wealth = sum(split[len(counts) :])
    for stake, (judged, blamed) in zip(split, counts, strict=False):
        wealth += stake * e_value(judged, blamed, tolerated)
    return wealth
