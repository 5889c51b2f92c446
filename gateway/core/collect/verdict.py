"""Hardware, data, both or sensor: what a shift means, by golden probes, by who shares it.

Decides the cause of a cohort's shift. Leaves out whether there is one (scoring.py, probes.py, singles.py).

=============  =========================================  ============
golden probe   histograms                                 verdict
=============  =========================================  ============
fails          those of inputs as ever                    **hardware**
passes         shifted in the cohort                      **data**
fails          those of inputs shifted                    **both**
passes         shifted on single devices only             **sensor**
=============  =========================================  ============

A golden probe runs pinned inputs on the device. If it fails, the hardware computes wrongly, whatever
the inputs do, and what the model says (confidence, entropy, reading) moves as a consequence: only inputs
can then witness for the data. If it passes and a histogram moved, the inputs did. Where no probe ran,
the company tells: a shift that all regions of one hardware class show and no other class in those
regions does is the hardware's, unless the inputs moved; anything else is the data's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.collect.cohorts import ProbeState
from gateway.core.internal import Drift


class Finding(NamedTuple):
    """What one cohort shows."""

    bundle: bytes
    hardware: str
    region: str
    inputs_moved: bool
    outputs_moved: bool
    probe: ProbeState
    singled_out: bool = False
    """Single devices are shifted, and the cohort is not."""

    @property
    def shifted(self) -> bool:
        """Whether any histogram of the cohort is."""
        return self.inputs_moved or self.outputs_moved


def cause(finding: Finding, others: Sequence[Finding]) -> Drift:
    """The cause of one cohort's shift among all `others` (itself may be among them)."""
    if finding.probe == "failed":
        return "both" if finding.inputs_moved else "hardware"
    if not finding.shifted:
        return "sensor" if finding.singled_out else "none"
    if finding.probe == "passed" or finding.inputs_moved:
        return "data"
    return "hardware" if _by_company(finding, others) else "data"


def _by_company(finding: Finding, others: Sequence[Finding]) -> bool:
    """Whether the shift goes with the hardware class and not with the region."""
    peers = [other for other in others if other.bundle == finding.bundle]
    same_class = [p for p in peers if p.hardware == finding.hardware and p.region != finding.region]
    same_place = [p for p in peers if p.region == finding.region and p.hardware != finding.hardware]
    return (
        bool(same_class)
        and bool(same_place)
        and all(peer.shifted for peer in same_class)
        and not any(peer.shifted for peer in same_place)
    )


def combine(drifts: Sequence[Drift]) -> Drift:
    """One verdict for several cohorts; a single device's sensor is nobody else's."""
    data = any(drift in {"data", "both"} for drift in drifts)
    hardware = any(drift in {"hardware", "both"} for drift in drifts)
    if data and hardware:
        return "both"
    return "data" if data else "hardware" if hardware else "none"
