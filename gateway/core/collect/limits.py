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
    debug_windows_max: int = 2_048
    """Windows of debug mode kept. Full: the oldest goes."""
    watches_max: int = 64
    """Rollouts compared with what ran before. Full: the oldest is no longer watched."""
    witness_ns: int = MINUTE
    """A device is a witness of experiments this often, whatever it sends: no one outvotes a fleet. More of
    its windows are counted like any other, and experiments do not hear of them."""
    witness_burst_max: int = 192
    """So many windows may have waited on a device without a link and still count: what an agent keeps, by default."""
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
    baseline_frames_alike: int = 16
    """How many frames of a training reference came from one device each, as in the shipped bundles."""
    output_histograms: tuple[str, ...] = ("confidence", "entropy", "latency", "feature7", "reading")
    """Histograms of what the model says; all others are of its inputs, and a model cannot move those."""
    privacy_permille_min: int = 100
    """Telemetry of privacy mode with a smaller epsilon (thousandths) is dropped and counted as malformed:
    its noise would drown the others'."""
    private_devices_min: int = 50
    """A cohort with devices in privacy mode is not scored with fewer devices than this."""
    probe_permille_max: int = 20
    """A golden probe with a larger residual (permille of full scale) has failed, whatever its kit says."""
    probe_faults_tolerated: float = 0.001
    """Share of golden probes that may fail without a reason that holds."""
    probe_faults_expected: float = 0.1
    """Share that fails where the hardware is at fault, at the least: what the evidence is weighed for."""
    probe_evidence: float = 100.0
    """E-value of the golden probes at which the hardware is blamed; one window can be enough."""
    probes_min: int = 3
    """So many probes have to have passed before inputs are blamed for a shift."""
    probe_windows_max: int = 128
    """Probes that passed longer ago than this say nothing any more."""
    probe_alone_min: int = 2
    """So many failures in a row of one device's probes, while its cohort's pass, are told of that device."""
    dose_probes_max: int = 512
    """Last probes of a cohort that are looked at for a residual that grows with heat. Full: the oldest goes."""
    dose_probes_min: int = 30
    """With fewer nothing is said."""
    dose_chip_c_min: float = 8.0
    """Nor where the coolest and the hottest chip are nearer than this, degrees Celsius."""
    dose_latency_bins_min: float = 2.0
    """The same for bins of latency (half an octave each)."""
    dose_permille_min: float = 5.0
    """Residual by which the hotter half has to exceed the other, permille of full scale."""
    dose_p_raise: float = 1e-4
    """Chance (for both doses together) at which the hardware is blamed."""
    dose_p_clear: float = 0.01
    """Hysteresis: the blame is taken back only above this."""
    sensor_devices_min: int = 20
    """A device is held against its cohort only where there are this many."""
    sensor_windows_min: int = 96
    """Windows from which a device's own habit is learnt."""
    sensor_change_min: float = 0.15
    """Smallest change of a mean rank (0 .. 1) against the cohort's that singles out a device."""
    sensor_deviations: float = 6.0
    """The same, in standard deviations of its own habit."""
    sensor_windows: int = 12
    """So many windows in a row, to be singled out and to be forgiven."""
    sensor_share_max: float = 0.1
    """Where more of a cohort's devices are singled out, it is not their sensors."""
