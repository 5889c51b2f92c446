"""The infrastructure of a scenario: the broker, and how devices hold on to it.

Decides their options; the defaults are no hardship (mosquitto's own limits, an agent with the
back-off of the wire protocol). Leaves out what they do with them: `devicesim.world.broker` and
`devicesdk.agent`.

Rules: each limit says what happens past it.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from devicesdk.agent.config import ANSWER_NS_MAX
from devicesdk.wire.timebase import DAY, SECOND
from devicesim.scenario.backoffs import WORDS, ABackoff, Backoff
from devicesim.scenario.fields import Duration, Model, PositiveDuration, Rate

UNLIMITED_PER_S: Final = 1e9


class Broker(Model):
    """The MQTT broker that everybody connects to."""

    accept_rate_per_s: Rate = Field(
        default=UNLIMITED_PER_S,
        alias="accept_rate",
        description="New connections accepted at most; what happens past it is `overload`.",
    )
    overload: Literal["drop", "refuse", "queue"] = Field(
        default="queue",
        description="Connections past accept_rate: queue waits its turn, refuse answers server"
        " busy, drop never answers.",
    )
    backlog_max_connections: int = Field(
        default=100,
        alias="backlog",
        ge=1,
        le=1_000_000,
        description="With drop and refuse: connections that may wait their turn. More than accept_rate"
        " works off before a client gives up, and none of them is still there when it is served.",
    )
    queue_max_messages: int = Field(
        default=1000,
        alias="queue_max",
        ge=1,
        le=1_000_000,
        description="Messages queued per session; past it the newest is dropped and counted.",
    )
    sessions_max: int = Field(
        default=1_000_000,
        alias="session_store",
        ge=1,
        le=10_000_000,
        description="Sessions held, of clients connected or not; past it a new client is refused.",
    )
    session_expiry_max_ns: PositiveDuration = Field(
        default=14 * DAY,
        alias="session_expiry_max",
        description="Longest that an absent client's session is kept.",
    )


class Agent(Model):
    """The device agent's connection settings."""

    keepalive_ns: PositiveDuration = Field(
        default=60 * SECOND, alias="keepalive", description="MQTT keep-alive interval."
    )
    session_expiry_ns: Duration = Field(
        default=DAY, alias="session_expiry", description="Session expiry asked of the broker."
    )
    stable_ns: Duration = Field(
        default=60 * SECOND,
        alias="stable_after",
        description="A session this old resets the back-off.",
    )
    resubscribe: Literal["session_lost", "never"] = Field(
        default="session_lost",
        description="When a device that has subscribed since its boot subscribes again. session_lost: where"
        " the broker says that it holds no session, or may not; never: it takes connected for subscribed, as"
        " clients do that subscribe once at start-up.",
    )
    answer_after_ns: Duration = Field(
        default=SECOND,
        alias="answer_after",
        le=ANSWER_NS_MAX,
        description="What a whole segment hears at one instant, a kill list or flags, is obeyed at once and"
        " reported this much later at the earliest.",
    )
    answer_spread_ns: Duration = Field(
        default=SECOND,
        alias="answer_spread",
        le=ANSWER_NS_MAX,
        description="And, drawn by each device, up to this much after that. 0s: all in the same instant.",
    )
    tls_time: Literal["own", "proved"] = Field(
        default="own",
        description="What the dates of the broker's certificate are held against where devices judge by"
        " their own clocks. own: the wall clock; proved: the newest signed instant that the device has"
        " kept, where that is later.",
    )
    backoff: ABackoff = Field(
        default_factory=Backoff,
        description="Waits between attempts to connect: a policy by name, or figures; a group may"
        " replace it.",
        json_schema_extra=WORDS,
    )
