"""What the broker refuses, and from which size on.

Decides the bounds and their defaults; the policy when one is reached stands beside each field. The
defaults are those of mosquitto 2.0 (``man mosquitto.conf``) where it has one. Leaves out what a
device or gateway allows itself.
"""

from __future__ import annotations

import msgspec

from devicesdk.wire.timebase import DAY


class BrokerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one broker; every queue has one.

    Raises:
        ValueError: a bound is out of its range.
    """

    accept_rate_per_s: float | None = None
    """CONNECTs worked off per second; None: at once. Beyond it they wait in the backlog."""
    accept_backlog_max: int = 100
    """Connections that wait to be accepted (mosquitto's ``listen`` backlog); the next SYN is dropped."""
    queue_messages_max: int = 1_000
    """QoS 1 copies a session may wait for (``max_queued_messages``); the newest is dropped."""
    inflight_max: int = 20
    """QoS 1 copies sent and not yet acknowledged (``max_inflight_messages``); the next one queues."""
    packet_bytes_max: int = 262_144
    """Largest packet accepted (``max_packet_size``); a larger one ends the connection, 0x95."""
    session_expiry_ns_max: int = 14 * DAY
    """Longest life of an abandoned session; a longer wish is cut and the CONNACK says so."""
    sessions_max: int = 1_000_000
    """Sessions held, connected or not; a further client is refused, 0x97."""
    subscriptions_per_session_max: int = 1_000
    """Filters of one client; a further one is refused in the SUBACK, 0x97."""
    retained_messages_max: int = 4_000_000
    """Topics with a retained message; a message for a further topic is refused, 0x97."""
    topic_levels_max: int = 200
    """Levels of a topic or filter (mosquitto's own bound); a deeper one is invalid."""
    route_cache_topics_max: int = 131_072
    """Topics whose route is remembered; the cache is emptied when full."""

    def __post_init__(self) -> None:
        """Refuse bounds that would make a broker that cannot work."""
        rate = self.accept_rate_per_s
        if rate is not None and not 0 < rate <= 1e9:
            raise ValueError(f"expected accept_rate_per_s in (0, 1e9] or None, found {rate}")
        if not 1 <= self.inflight_max <= 65_535:
            raise ValueError(f"expected inflight_max in 1..65535, found {self.inflight_max}")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and value < (0 if name == "session_expiry_ns_max" else 1e-9):
                raise ValueError(f"expected a positive {name}, found {value}")
