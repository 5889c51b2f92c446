"""Hardship at named places of our own code: the seam through which a rehearsal makes them awkward.

Decides what such a place is called and how it asks. Leaves out when one acts: that is drawn by whoever rehearses
(devicesim/world/buggify.py); a real device and a real gateway are handed `CALM` and nothing ever does.
After FoundationDB's BUGGIFY (Zhou et al. 2021, "FoundationDB: A Distributed Unbundled Transactional Key Value
Store", section 6.1).

Rules: whatever a place does when it acts is allowed at any time by the contract of the code around it (an
order that nobody promised, a size that is merely a preference, doing again what is idempotent), so that every
promise still holds; a machine without IO stays one: it asks, and draws nothing itself.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec


class Site(msgspec.Struct, frozen=True):
    """One place."""

    name: str
    """Room and what happens: ``agent.window_of_one``."""
    what: str
    """One sentence for reports: what the code does when the place acts."""
    share: float = 1.0
    """Factor on the chance that it acts when passed: below one for what is passed often and hurts much."""


class Hardship(Protocol):
    """Whom a place asks."""

    def fires(self, site: Site) -> bool:
        """Whether the place shall act, this time that it is passed."""
        ...

    def below(self, site: Site, bound: int) -> int:
        """How much: an integer in [0, bound), for a place that acts; `bound` is positive."""
        ...


class Calm:
    """No hardship, ever."""

    __slots__ = ()

    def fires(self, site: Site) -> bool:  # noqa: ARG002 - every place gets the same answer
        """No."""
        return False

    def below(self, site: Site, bound: int) -> int:  # noqa: ARG002 - asked by nobody
        """Nothing."""
        return 0


CALM: Final = Calm()
