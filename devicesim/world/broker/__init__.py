"""The in-memory MQTT 5 broker of the world; see `broker.py` for what it does and leaves out."""

from __future__ import annotations

from devicesim.world.broker.broker import Broker
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import (
    Access,
    Connack,
    Connect,
    Message,
    Outlet,
    ReasonCode,
    Will,
    packet_bytes,
)

__all__ = [
    "Access",
    "Broker",
    "BrokerLimits",
    "Connack",
    "Connect",
    "Message",
    "Outlet",
    "ReasonCode",
    "Will",
    "packet_bytes",
]
