"""The faults of the network that are more than a cut: what middleboxes, resolvers and portals do.

Decides their names, parameters and units. Leaves out the plain faults of links (faults.py) and how the
world does it (`devicesim.world.network_faults`).

Rules: as link faults do, these end by their `for`, or by `heal`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from devicesim.scenario.action import Action
from devicesim.scenario.fields import Duration, PositiveDuration


class Hold(Action):
    """Hold what is published, both ways; at the end it is let go in its order. Keep-alives pass."""

    do: Literal["hold"]


class CaptivePortal(Action):
    """Put a captive portal in the path: TCP connects, the broker's CONNACK never comes."""

    do: Literal["captive_portal"]
    existing: Literal["silent", "live"] = Field(
        default="silent",
        description="Connections that are open already: silent: nothing gets through on them any"
        " more and nobody is told; live: they stay as they are.",
    )


class NatTimeout(Action):
    """Let a NAT forget connections on which nothing was said: half-open, nobody is told.

    A keep-alive below `idle` prevents it.
    """

    do: Literal["nat.timeout"]
    idle_ns: PositiveDuration = Field(
        alias="idle", description="Silence after which a connection's mapping is gone."
    )


class DnsGone(Action):
    """Take the broker's name away: new connections fail to resolve it, those that are open live."""

    do: Literal["dns.gone"]
    ttl_ns: Duration = Field(
        default=0,
        alias="ttl",
        description="How long no answer is remembered: who asked in vain learns of the return within"
        " it, each device at a random moment.",
    )
