"""The faults of broker, gateway and download source that are more than being down.

Decides their names, parameters and units. Leaves out restart, crash and slowness (faults.py) and how the
world does it (`devicesim.world.service_faults`).

Rules: what a broker does to some of its clients takes a target, which is everybody unless it is said.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from devicesdk.wire.timebase import DAY
from devicesim.scenario.action import Action, Hits, Span
from devicesim.scenario.fields import Duration, PositiveDuration, PositiveShare, Share, Target
from devicesim.scenario.selector import EVERYBODY

_WHO = "Which clients: a selector; all unless it says so."


class BrokerCertificateExpires(Action):
    """Let the broker's certificate expire: every TLS handshake fails, connections that are open live."""

    do: Literal["broker.certificate_expires"]
    target: Target | None = Field(default=EVERYBODY, description=_WHO)
    clocks: Literal["right", "own"] = Field(
        default="right",
        description="right: everybody sees it expire at once; own: each device judges by its own"
        " clock, so one that is late still connects, and one that believes in 1970 (no clock battery, no"
        " time server) never does.",
    )
    lasts_ns: Duration = Field(
        default=0, alias="lasts", description="How long it is still good for; 0s: it expires now."
    )
    age_ns: PositiveDuration = Field(
        default=90 * DAY, alias="age", description="How long ago it was issued (notBefore)."
    )


class BrokerRefuse(Action):
    """Let the broker's book of subscribers be wrong: CONNECT is answered with not authorized."""

    do: Literal["broker.refuse"]
    target: Target | None = Field(default=EVERYBODY, description=_WHO)
    share: PositiveShare = Field(
        default=1.0, description="Share of the target that is refused: the same until the end."
    )


class BrokerFlowControl(Action):
    """Let the broker accept only a share of the attempts to connect; the others are told it is busy."""

    do: Literal["broker.flow_control"]
    target: Target | None = Field(default=EVERYBODY, description=_WHO)
    share: Share = Field(description="Share of the attempts let in, drawn anew for each.")


class BrokerOverflow(Action, hits=Hits.BROKER):
    """Let the broker queue less for each session; what is over the bound is dropped, the newest first."""

    do: Literal["broker.overflow"]
    queue_max_messages: int = Field(
        alias="queue_max",
        ge=0,
        le=1_000_000,
        description="Messages that a session may wait for; what waits already stays.",
    )


class BrokerDropAcked(Action, hits=Hits.BROKER):
    """Let the broker acknowledge messages (QoS 1) and then drop them."""

    do: Literal["broker.drop_acked"]
    share: PositiveShare = Field(description="Share of the messages, drawn for each.")
    of: Literal["devices", "gateway", "all"] = Field(
        default="devices", description="Whose messages."
    )


class BrokerTakeOver(Action):
    """Let a second client connect under the target's id: the broker gives it the session."""

    do: Literal["broker.take_over"]
    every_ns: Duration = Field(
        default=0, alias="every", description="Again each time so much has passed; 0s: once."
    )


class SourceGone(Action, hits=Hits.GATEWAY):
    """Take the source of downloads away: requests for chunks are not answered."""

    do: Literal["source.gone"]
    share: PositiveShare = Field(default=1.0, description="Share of the requests not answered.")


class GatewayFullStore(Action, hits=Hits.GATEWAY):
    """Fill the gateway's store: no commit succeeds, so nothing that must be kept is acknowledged or said.

    The process ends at each commit that fails, and its supervisor starts it again five seconds later;
    meanwhile it answers what needs no commit, such as requests for chunks.
    """

    do: Literal["gateway.full_store"]


class GatewayRestart(Action, hits=Hits.GATEWAY):
    """Restart the gateway in good order: what it has is durable. Without for it is back at once."""

    do: Literal["gateway.restart"]


class GatewayDeployOlder(Action, hits=Hits.GATEWAY, span=Span.REQUIRED):
    """Deploy an older version of the gateway: it refuses rows of a newer one, and stays down till undone."""

    do: Literal["gateway.deploy_older"]
