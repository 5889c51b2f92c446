"""How many devices may run a candidate: Thompson sampling under a cap that grows look by look.

Decides the share of devices that run the candidate after a look, and whether the look must be the last.
Leaves out what a bad window is (outcomes.py), which devices are meant by a share (the hash bucket of the
flag, so that a share that grows only adds devices) and when looks happen (experiments.py).

Theory of operation. At each look the shares of bad windows of both arms are drawn from their posteriors,
`DRAWS` times; the share of draws in which the candidate's is the smaller one is the share of devices
that it would get ("probability matching": Thompson 1933; Russo et al. 2018, "A tutorial on Thompson
sampling"). It gets no more than the cap, which starts at 1 % and doubles with each look at which nothing
is wrong. Two values of the e-process watch, after *every* window and not only at looks:

- *Brake*: evidence above `brake` that the candidate is bad more often than tolerated. It ends the
  experiment. A candidate that is as good as tolerated is ever stopped with probability at most 1 / brake.
- *Freeze*: evidence above `freeze` of that, or that the candidate is worse than production. The cap does
  not grow and the share falls to where it began, so that the question is settled on few devices; it thaws
  when the evidence is gone.

Rules: a share never exceeds its cap; the cap doubles at most once a look; where nobody ran the candidate
since the last look the cap grows to `BLIND_SHARE_MAX` at most (a small share may mean nobody at all, and
a fleet that is silent must not be taken for one that is well); the same counts, seed and look give the
same share.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core import eprocess
from gateway.core.experiments.luck import Luck

DRAWS: Final = 200
SHARE_FIRST: Final = 0.01
BLIND_SHARE_MAX: Final = 0.08
PRIOR_WINDOWS: Final = 4.0
"""Weight of the prior, which says of each arm that it is as bad as tolerated."""


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Windows of one arm."""

    judged: int = 0
    bad: int = 0

    @property
    def pair(self) -> tuple[int, int]:
        """(judged, bad), as the e-process takes them."""
        return self.judged, self.bad


class Brakes(msgspec.Struct, frozen=True, gc=False):
    """What is tolerated of a candidate, and how much evidence it takes."""

    tolerated: float = 0.02
    """Share p0 of windows that may be bad."""
    brake: float = 20.0
    """E-value that ends the experiment: a good candidate is ever stopped in 1 of this many."""
    freeze: float = 2.0
    """E-value that keeps the cap from growing."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a look has decided."""

    cap: float
    share: float
    frozen: bool


def evidence_against(candidate: Tally, brakes: Brakes) -> float:
    """E-value of "bad more often than tolerated"."""
    return eprocess.e_value(candidate.judged, candidate.bad, brakes.tolerated)


def frozen(candidate: Tally, production: Tally, brakes: Brakes) -> bool:
    """Whether the safety metric moves the wrong way."""
    if evidence_against(candidate, brakes) > brakes.freeze:
        return True
    return eprocess.two_sample(candidate.pair, production.pair) > brakes.freeze


def matched(luck: Luck, candidate: Tally, production: Tally, tolerated: float) -> float:
    """Share of draws in which the candidate is the better arm."""
    prior_bad = max(tolerated, 1e-6) * PRIOR_WINDOWS
    prior_good = PRIOR_WINDOWS - prior_bad
    a, b = prior_bad + candidate.bad, prior_good + candidate.judged - candidate.bad
    c, d = prior_bad + production.bad, prior_good + production.judged - production.bad
    beta = luck.beta
    return sum(beta(a, b) <= beta(c, d) for _ in range(DRAWS)) / DRAWS


def look(
    luck: Luck,
    candidate: Tally,
    production: Tally,
    brakes: Brakes,
    cap: float,
    cap_max: float,
    *,
    fresh: int,
) -> Step:
    """Look at the arms and allocate anew.

    Args:
        luck: of this look.
        candidate: all its windows so far.
        production: the same of devices that run production beside it.
        brakes: what is tolerated.
        cap: the cap that held until now.
        cap_max: where it ends.
        fresh: windows of the candidate since the last look.
    """
    still = frozen(candidate, production, brakes)
    if not still and (fresh > 0 or 2.0 * cap <= BLIND_SHARE_MAX):
        cap = min(cap_max, 2.0 * cap)
    share = matched(luck, candidate, production, brakes.tolerated)
    return Step(cap, min(cap, share, SHARE_FIRST if still else 1.0), still)
