"""How much the transfers machine serves and remembers at once; the unit is last in each name.

Decides the bounds and says what happens at each. Leaves out the wire's own bounds
(`devicesdk.wire.limits`).
"""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE, MS, SECOND
from gateway.core.limits import CoreLimits


class TransferLimits(CoreLimits, frozen=True):
    """Bounds of the transfers machine."""

    bytes_per_s_max: int = 64 * 1024**2
    """Of all chunks together. Used up: WAIT (budget), each device with an instant of its own."""
    burst_bytes_max: int = 16 * 1024**2
    """What may be sent at once after a pause; at least one round."""
    deployment_bytes_per_s_max: int = 48 * 1024**2
    """Of one deployment: another one, perhaps the fix, always gets through."""
    deployment_burst_bytes_max: int = 12 * 1024**2
    active_max: int = 5_000
    """Devices served at the same time. Full: WAIT (busy)."""
    lease_ns: int = 30 * SECOND
    """A device that has not asked for this long is not active any more; asking renews."""
    paused_retry_ns: int = 30 * SECOND
    """WAIT (paused) asks to come back after once to twice this long, by a hash of the device id."""
    busy_retry_ns: int = 5 * SECOND
    """WAIT (busy) spreads returning devices in the same way."""
    budget_retry_ns_min: int = 50 * MS
    budget_retry_ns_max: int = MINUTE
    """WAIT (budget) names the instant at which the budget will have room for this device, at most
    this far ahead."""
    grants_max: int = 200_000
    """Full: the grant is not taken, the device is answered Unauthorized (transient); noted."""
    refusals_max: int = 50_000
    """Devices whose grant was revoked, and why. Full: the oldest reason is forgotten, the device is
    then answered Unauthorized."""
    blobs_max: int = 20_000
    """Full: the blob is not taken and requests for it are answered InternalError; noted."""
    deployments_max: int = 2_000
    """Budgets and pauses remembered by deployment. Full: the budget that was idle longest goes; a
    pause is never forgotten."""
