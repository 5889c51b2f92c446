"""Random hardship at named places of our own code, as `buggify` in a scenario asks for.

Decides which places are active in a run, and when an active one acts. Leaves out what a place does, which
stands in the code of agent and gateway core (`devicesdk.wire.hardship`) and in the awkward hosts (hard_device.py,
hard_gateway.py).

Rules: a place is active or not for the whole run, drawn from a stream of its own; when it acts is drawn from a stream
named by place and device, so that neither another place nor another device changes anybody's luck. A scenario
without `buggify` has none of this: its machines hold `CALM`, its hosts are the plain ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.agent import sites as agent_sites
from devicesdk.wire.hardship import Hardship, Site
from devicesim.entropy import Entropy, Stream
from devicesim.world import host_sites
from gateway.core import sites as core_sites

if TYPE_CHECKING:
    from devicesim.scenario.checks import Buggify as Said
    from devicesim.scenario.schema import Scenario

SITES: Final[tuple[Site, ...]] = (*agent_sites.SITES, *host_sites.SITES, *core_sites.SITES)
"""All of them, in the order of reports."""


class SiteCount(msgspec.Struct, frozen=True):
    """What one place did in a run."""

    site: Site
    active: bool
    passed: int
    """How often an active place was passed."""
    fired: int


class Buggify:
    """The hardship of one run.

    Args:
        entropy: of the run.
        said: shares of places that are active, and of passages at which they act.
    """

    __slots__ = ("_active", "_books", "entropy", "fire")

    def __init__(self, entropy: Entropy, said: Said) -> None:
        self.entropy, self.fire = entropy, said.fire
        self._active = {
            site.name: entropy.stream("buggify.activate", site.name).chance(said.activate)
            for site in SITES
        }
        self._books = {site.name: [0, 0] for site in SITES}

    def hand(self, ident: str) -> Hand:
        """What one device or the gateway asks."""
        return Hand(self, ident)

    def book(self, site: Site) -> list[int] | None:
        """Passages and acts of a place, to be counted in; None: it is not active."""
        return self._books[site.name] if self._active[site.name] else None

    def counts(self) -> list[SiteCount]:
        """What each place did so far."""
        return [SiteCount(s, self._active[s.name], *self._books[s.name]) for s in SITES]


def buggify_of(scenario: Scenario, entropy: Entropy) -> Buggify | None:
    """The hardship that a scenario asks for; None where it asks for none."""
    said = scenario.buggify
    return Buggify(entropy, said) if said.activate and said.fire else None


class Hand(Hardship):
    """The hardship of one device, or of the gateway.

    Args:
        run: of which run.
        ident: whose.
    """

    __slots__ = ("_ident", "_run", "_streams")

    def __init__(self, run: Buggify, ident: str) -> None:
        self._run, self._ident = run, ident
        self._streams: dict[str, Stream] = {}

    def fires(self, site: Site) -> bool:
        """Whether the place shall act."""
        book = self._run.book(site)
        if book is None:
            return False
        book[0] += 1
        fires = self._stream(site).chance(self._run.fire * site.share)
        book[1] += fires
        return fires

    def below(self, site: Site, bound: int) -> int:
        """How much."""
        return self._stream(site).integer(bound)

    def _stream(self, site: Site) -> Stream:
        stream = self._streams.get(site.name)
        if stream is None:
            stream = self._run.entropy.stream("buggify", f"{site.name}/{self._ident}")
            self._streams[site.name] = stream
        return stream
