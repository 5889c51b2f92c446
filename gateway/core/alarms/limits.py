"""Thresholds and bounds of the alarms machine; the unit is last in each name.

Decides defaults. Leaves out what is compared with them (rules.py).
"""

from __future__ import annotations

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from gateway.core.limits import CoreLimits


class AlarmLimits(CoreLimits, frozen=True):
    """When an alarm is raised and cleared, how many there are, and who is told."""

    off: tuple[str, ...] = ()
    """Kinds that are never raised."""
    look_ns: int = 5 * SECOND
    """Conditions of the core are looked at this often."""

    broker_ns: int = 30 * SECOND
    """So long without the broker."""
    offline_percent_raise: int = 20
    offline_percent_clear: int = 10
    offline_percent_critical: int = 50
    offline_ns: int = 5 * MINUTE
    offline_devices_min: int = 5
    """A smaller fleet has no share that means anything."""
    halted_ns_max: int = 7 * DAY
    """A rollout that was halted longer ago is nobody's news."""
    expiry_days_raise: int = 21
    expiry_days_clear: int = 22
    expiry_days_critical: int = 7
    disk_percent_raise: int = 10
    disk_percent_clear: int = 15
    disk_percent_critical: int = 5
    """Of free space."""
    outbox_rows_raise: int = 10_000
    outbox_rows_clear: int = 5_000
    outbox_ns: int = 5 * MINUTE

    calm_ns: int = MINUTE
    """A condition must have been good so long before its alarm is cleared."""
    calm_ns_max: int = HOUR
    """The same of one that flaps: doubled each time it is raised again, up to this."""
    flap_ns: int = 15 * MINUTE
    """Raised again within so long of its end, it is the same alarm."""
    refresh_ns: int = 5 * MINUTE
    """When an open alarm was last seen is written down this often."""

    each_max: int = 100
    """Alarms of one kind that are open or about to be raised. Full: further subjects are counted by one alarm of
    the kind ``alarms_full``, and raised as soon as there is room."""
    kept_max: int = 500
    """Cleared ones that are kept for people. Full: the oldest is forgotten."""
    silence_ns_max: int = 30 * DAY
    deliveries_max: int = 1_000
    """Events that wait for the webhook. Full: the oldest is dropped and counted; what is so now is always told by
    the alarms themselves."""
    webhook: bool = False
    """Whether events wait for a webhook."""
    mqtt: bool = False
    """Whether events are published."""
