"""How much telemetry the collect machine keeps, and how it judges; the unit is last in each name.

Decides the bounds, what happens at each, and the thresholds of an alarm. Leaves out the wire's own
bounds (`devicesdk.wire.limits`) and the bins (`devicesdk.sketches.histogram`).
"""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE
from gateway.core.limits import CoreLimits


class CollectLimits(CoreLimits, frozen=True):
    """Bounds and thresholds of the collect machine."""

    window_ns: int = 15 * MINUTE
    """Cohorts are scored over this long, by the instant of arrival."""
    telemetry_bytes_max: int = 4096
    """A larger message is dropped and counted as malformed."""
    window_frames_max: int = 1_000_000
    """More frames in one message are dropped and counted as malformed: sums of squares stay exact."""
    sources_max: int = 200_000
    """Full: telemetry of devices not known yet is dropped and counted."""
    cohorts_max: int = 1_024
    """Full: the cohort that was silent longest is forgotten; when all have spoken in this window,
    telemetry of a new one is dropped and counted."""
    windows_kept_max: int = 128
    """Closed windows kept for reports. Full: the oldest is dropped and counted."""
    block_messages: int = 256
    """Messages folded into the cohorts' sums at once."""
    journal_messages_max: int = 65_536
    """Messages made durable one by one; beyond, sums and cursors are made durable instead."""
    cursors_per_page: int = 256
    """Devices whose cursors share a durable row."""
    error_codes_max: int = 32
    """Different error codes counted in a cohort's window. Full: counted as ``other``."""
    watches_max: int = 64
    """Rollouts compared with what ran before. Full: the oldest is no longer watched."""
    judge_interval_ns: int = MINUTE
    """While a candidate that is watched sends telemetry, it is judged this often."""

    hardware_labels: tuple[str, ...] = ("hardware_class", "hardware", "profile")
    """Registry labels that may name the hardware class; the first that a device has counts."""
    region_labels: tuple[str, ...] = ("region",)

    score_frames_min: int = 200
    """A cohort's window with fewer frames is not scored; its alarms stay as they are."""
    score_windows_min: int = 20
    """With fewer device windows than this their likeness cannot be estimated: not scored either."""
    discovery_rate: float = 0.05
    """Expected share of false calls among all calls of a window (Benjamini-Hochberg)."""
    psi_raise_min: float = 0.02
    """Effect below which a significant shift is of no interest (bias-corrected PSI)."""
    psi_clear_max: float = 0.01
    """Hysteresis: an alarm clears only when the effect falls below this."""
    raise_windows: int = 2
    """Windows in a row that must show the shift before there is an alarm."""
    clear_windows: int = 2
    """Windows in a row without it before the alarm is cleared."""
    baseline_frames_default: int = 4_000
    """Size of the training reference where a bundle pins probabilities and not counts."""
    probe_permille_max: int = 20
    """A golden probe with a larger residual (permille of full scale) has failed."""
    probe_failed_share: float = 0.5
    """More than this share of a cohort's probes must fail to call it a hardware fault."""
    probes_min: int = 3
    """Fewer probes in a cohort's window say nothing."""
