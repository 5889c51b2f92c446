"""What golden probes say of a cohort's hardware, as evidence that grows and fades.

Decides when failed probes are a hardware fault. Each probe is a bet between two hypotheses: a share of
`probe_faults_tolerated` fails without a reason that holds, or `probe_faults_expected` does. The product of the
likelihood ratios is an e-value; its logarithm is never let below zero (CUSUM; Page 1954; as an e-detector: Shin,
Ramdas, Rinaldo 2024), so a healthy past does not hide a fault that begins today, and at most one false alarm in
`probe_evidence` windows is expected even where the tolerated share does fail. Leaves out what a probe
measures (the device) and the verdict (verdict.py).

A residual that grows with the heat of the chip (dose.py) convicts as well, however small it is.

Rules: no probe, no word: a cohort that was not probed is neither passed nor failed, and that is what people
see; an alarm stands until the evidence is gone again.
"""

from __future__ import annotations

import math
from typing import Final

from gateway.core.collect.cohorts import AlarmState, Cohort
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import CohortWindow

PROBE: Final = "probe"
"""The name under which golden probes have their alarm."""
_CAP: Final = 2.0
"""Evidence beyond this many times the alarm's is not remembered, or an alarm could outlive its cause."""


def weigh(
    cohort: Cohort, probed: int, failed: int, number: int, utc_ns: int, limits: CollectLimits
) -> None:
    """Take in one window's probes of a cohort.

    Args:
        cohort: whose.
        probed: how many ran.
        failed: how many of them failed.
        number: the window's.
        utc_ns: when it closed.
        limits: thresholds.
    """
    if probed:
        _remember(cohort, probed - failed, number, limits)
        _bet(cohort, probed, failed, utc_ns, limits)
    _conclude(cohort, number, limits)


def recall(cohort: Cohort, past: CohortWindow, number: int, limits: CollectLimits) -> None:
    """Take in a window that closed before a restart, oldest first; the alarm itself was restored."""
    if past.probes:
        _remember(cohort, past.probes - past.probes_failed, number, limits)
    _conclude(cohort, number, limits)


def _conclude(cohort: Cohort, number: int, limits: CollectLimits) -> None:
    state = cohort.alarms.get(PROBE)
    grows = cohort.dose is not None and cohort.dose.raised
    if grows or (state is not None and state.raised_ns):
        cohort.probe = "failed"
    elif cohort.passes >= limits.probes_min and number - cohort.probed <= limits.probe_windows_max:
        cohort.probe = "passed"
    else:
        cohort.probe = "unknown"


def _remember(cohort: Cohort, passed: int, number: int, limits: CollectLimits) -> None:
    if number - cohort.probed > limits.probe_windows_max:
        cohort.passes = 0
    if passed:
        cohort.passes += passed
        cohort.probed = number


def _bet(cohort: Cohort, probed: int, failed: int, utc_ns: int, limits: CollectLimits) -> None:
    low, high = limits.probe_faults_tolerated, limits.probe_faults_expected
    gain = failed * math.log(high / low) + (probed - failed) * math.log((1 - high) / (1 - low))
    state = cohort.alarms.get(PROBE)
    if state is None:
        if gain <= 0:
            return
        state = cohort.alarms[PROBE] = AlarmState()
    enough = math.log(limits.probe_evidence)
    state.evidence = min(max(0.0, state.evidence + gain), _CAP * enough)
    state.streak, state.quiet = (state.streak + 1, 0) if failed else (0, state.quiet + 1)
    if state.evidence >= enough and not state.raised_ns:
        state.raised_ns = max(1, utc_ns)
    if not state.evidence:
        del cohort.alarms[PROBE]
