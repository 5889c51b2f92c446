"""How much of anything the gateway core keeps or says at once; the unit is last in each name.

Decides the bounds and what they mean. Leaves out the wire's own bounds (`devicesdk.wire.limits`) and
where values come from (a file, a scenario). What happens at a bound is said beside it.
"""

from __future__ import annotations

import msgspec

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from devicesdk.wire.topics import ROOT_DEFAULT


class CoreLimits(msgspec.Struct, frozen=True):
    """What the limits of all three machines have in common."""

    root: str = ROOT_DEFAULT
    """Topic root of the tenant."""


class ControlLimits(CoreLimits, frozen=True):
    """Bounds of the control machine, and which labels it reads."""

    region_labels: tuple[str, ...] = ("region",)
    hardware_labels: tuple[str, ...] = ("hardware_class", "hardware", "profile")
    power_labels: tuple[str, ...] = ("power",)
    """Registry labels that a canary must span; of each list the first that a device has counts, none
    of them is an empty one. A device's own report of its hardware class goes first."""

    zone_labels: tuple[str, ...] = ("tz",)
    """Registry labels that name a device's time zone; the first that it has counts."""

    twins_max: int = 200_000
    """Full: a device that is not known yet is not taken in; it is noted."""
    bundles_max: int = 1_000
    """Full: `RegisterBundle` is refused."""
    deltas_max: int = 5_000
    """Full: `RegisterDelta` is refused."""
    rollouts_max: int = 1_000
    """Full: `CreateRollout` is refused."""
    waves_max: int = 64
    """More waves than this in a plan: refused. A retry that would exceed it is refused too."""
    quarantine_entries_max: int = 16
    """Bad digests remembered for a device; full: the oldest is forgotten."""
    flags_per_segment_max: int = 1_000
    """Full: `SetFlag` is refused."""
    segments_max: int = 64
    """Full: `SetFlag` of a new segment is refused."""

    debug_ns_max: int = HOUR
    """Longest grant of debug mode; the device has a bound of its own."""
    debug_heard_ns_max: int = 10 * MINUTE
    """A device that hears of its grant within this has all of the time; later, what is left of it."""
    debug_open_max: int = 64
    """Devices in debug mode at once. Full: `GrantDebug` is refused."""
    debug_rows_max: int = 1_024
    """Grants kept for the books. Full: the oldest that is over goes."""
    debug_expiry_ns: int = MINUTE
    """How long the broker keeps a grant for a device that is away; it is sent again when it is back."""

    start_retry_ns: int = 10 * SECOND
    """A rollout that waits for its first device looks again this often."""
    pace_interval_ns: int = 30 * SECOND
    """A rollout that waits for room in a budget looks again this often."""
    timestamp_lives_ns: int = 3 * DAY
    """How long a device may act on a timestamp: the longest that a frozen fleet goes unnoticed."""
    timestamp_renewed_ns: int = 36 * HOUR
    """A timestamp of this age is replaced."""
    priority_update: int = 500
    priority_revert: int = 900
    """Of chunk requests, 0 to 1000."""

    page_devices: int = 500
    """Offers, holds or reverts made in one batch; the next page is due at once."""
    outbox_in_flight_max: int = 1_000
    """Wants and queries published and not yet acknowledged; the rest waits in the outbox. Kill list
    and flags do not wait."""

    report_page_devices: int = 200
    """Devices asked to report in one batch."""
    report_interval_ns: int = SECOND
    """Between two such pages: the fleet's answers must not overrun the broker's queue."""
    report_expiry_ns: int = 60 * SECOND
    stale_ns: int = 30 * MINUTE
    """A device with an open want that was not heard for this long is asked to report."""
    sweep_interval_ns: int = 10 * MINUTE

    retries_max: int = 3
    """Offers made again after a failure of the link, of storage, of load shedding or of integrity."""
    judged_frames_min: int = 200
    """Inferences a cohort must have shown before its latency is judged."""
    latency_strikes: int = 2
    """Judgements in a row above the ratio that halt."""
    drain_strikes: int = 3
    """The same of batteries that empty too fast."""
