"""Whether the evidence of failures is enough to stop a rollout, at any moment and without regret.

Decides the e-value of what was seen. Leaves out what a failure is (outcomes.py) and what is done
(rollouts.py).

Theory of operation. A member that is judged is an outcome of the e-process (eprocess.py), a failure is
a bad one: it may be looked at after every message.

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

from collections.abc import Sequence
from functools import lru_cache

from gateway.core.eprocess import e_value

__all__ = ["e_value", "evidence", "stakes"]


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
