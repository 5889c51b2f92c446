"""How much of others' inference the gateway takes on; the unit is last in each name.

Decides the bounds and says what happens at each. Leaves out the wire's own (`devicesdk.wire.limits`).
"""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE, SECOND
from gateway.core.limits import CoreLimits


class OffloadLimits(CoreLimits, frozen=True):
    """Bounds of the offload machine."""

    in_flight_max: int = 8
    """Asks that are being run. Full: WAIT (busy). 0: the service is closed, asks are refused."""
    device_frames_max: int = 240
    """Frames of one device in one `device_period_ns`. Used up: WAIT (budget) until the next one."""
    device_period_ns: int = MINUTE
    devices_max: int = 20_000
    """Devices whose budget is remembered; full: the one that asked longest ago is forgotten."""
    models_max: int = 1_000
    """Bundles that can be asked for; full: the oldest is forgotten."""
    busy_retry_ns: int = 5 * SECOND
    """WAIT (busy) asks to come back after once to twice this long, by a hash of the device id."""
    run_timeout_ns: int = 10 * SECOND
    """An ask that was not run in this time is forgotten: its device reads by itself long since."""
    answer_expiry_ns: int = 10 * SECOND
    """The broker drops an answer that it could not deliver in this time."""
