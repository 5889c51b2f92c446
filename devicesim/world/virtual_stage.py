"""The stage on which everything is in memory: broker, gateway and paths on virtual time.

Decides what each is made with. Leaves out devices (assemble.py) and the stage of real sockets (devicesim/live).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from devicesdk.bundle.trust import (
    Signer,
)
from devicesdk.wire.topics import Topics
from devicesim.scenario.schema import Scenario
from devicesim.world.broker.broker import Broker
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker_host import BrokerHost
from devicesim.world.buggify import Buggify
from devicesim.world.device_host import DeviceHost
from devicesim.world.device_parts import Parts, Workshop
from devicesim.world.gateway_host import GatewayHost
from devicesim.world.hard_gateway import HardGateway
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import Ledger
from devicesim.world.path import Path
from devicesim.world.trace import Trace
from devicesim.world.watch import Watch
from gateway.core.control.trust import RoleSigners
from gateway.core.gateway import Gateway

BACKLOG_UNLIMITED = 10_000_000
METERED_RADIOS = ("lte", "3g")
"""Paid by the byte, as a rule."""
INFLIGHT_MAX = 100
"""``max_inflight_messages`` of a broker that serves a gateway: mosquitto's 20 starve its requests."""
MakeGateway = Callable[[Signer, Signer, RoleSigners | None], Gateway]
"""Builds a core from the director's, the flags' and the roles' signers."""


class VirtualStage:
    """Everything in memory, on virtual time: every fault can be done, everything can be seen."""

    cannot: Mapping[str, str] = MappingProxyType({})
    unseen: Mapping[str, str] = MappingProxyType({})
    tolerance_ns = 0

    def __init__(self, buggify: Buggify | None = None) -> None:
        self._broker: BrokerHost | None = None
        self._buggify = buggify

    def broker(self, kernel: Kernel, ledger: Ledger, scenario: Scenario) -> BrokerHost:
        """Make the in-memory broker."""
        self._broker = BrokerHost(
            kernel,
            Broker(ledger, broker_limits(scenario)),
            refuses_when_busy=scenario.broker.overload == "refuse",
        )
        return self._broker

    def gateway(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        topics: Topics,
        make: Callable[[], Gateway],
        clock_start_ms: int,
    ) -> GatewayHost:
        """Make the virtual gateway host."""
        assert self._broker is not None
        parts = (kernel, trace, ledger, self._broker, watch, topics, make, clock_start_ms)
        if self._buggify is not None:
            return HardGateway(self._buggify.hand("gateway"), *parts)
        return GatewayHost(*parts)

    def path(self, shop: Workshop, parts: Parts, host: DeviceHost) -> Path:
        """Make a virtual path."""
        assert self._broker is not None
        return Path(shop.kernel, shop.ledger, self._broker, parts.link, parts.luck, host)


def broker_limits(scenario: Scenario) -> BrokerLimits:
    """The bounds of the broker that a scenario describes."""
    said = scenario.broker
    unlimited = said.accept_rate_per_s >= 1e9
    queues = said.overload == "queue"
    return BrokerLimits(
        accept_rate_per_s=None if unlimited else said.accept_rate_per_s,
        accept_backlog_max=BACKLOG_UNLIMITED if queues else said.backlog_max_connections,
        inflight_max=INFLIGHT_MAX,
        queue_messages_max=said.queue_max_messages,
        sessions_max=said.sessions_max,
        session_expiry_ns_max=said.session_expiry_max_ns,
    )
