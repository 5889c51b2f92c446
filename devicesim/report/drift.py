"""The drift panel: each cohort a strip, each stretch of a verdict a bar with the verdict's name in it.

Decides colours, order, words and where bars stand. Leaves out the verdicts (the gateway's) and drawing (style
sheet and template). Positions are per cent of the run, on the same axis as the timeline's.

Rules: what is well is pale and has no label, so that trouble is what one sees; a bar too narrow for its name has it in its
hint, and evidence in words is a list; times are the scenario's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from devicesim.report.figures import Clock, count, duration, elapsed, number
from devicesim.report.lanes import percent, span_s
from devicesim.report.palette import BLUE, GREY, ORANGE, PURPLE, VERMILLION
from devicesim.report.record import CohortRow, DriftSpan, RunRecord

COLOURS: Final = {
    "data": BLUE, "hardware": VERMILLION, "both": PURPLE, "sensor": ORANGE, "none": GREY,
}  # fmt: skip
MEANS: Final = {
    "data": "what the cameras see has moved; the golden probe passes",
    "hardware": "the golden probe fails, or its residual grows with heat; what is seen is as ever",
    "both": "the probe fails and the inputs have moved",
    "sensor": "single devices see something else; their own probe passes",
    "none": "nothing in alarm",
}
_LEAST_WIDTH: Final = 0.3
_LABEL_WIDTH: Final = 1.0
"""Per cent of the run that a letter of a label takes, about."""


class Stretch(msgspec.Struct, frozen=True):
    """One bar: where it is (per cent), its verdict and whether there is room for its name."""

    left: float
    width: float
    verdict: str
    colour: str
    label: bool
    hint: str
    start_s: float
    end_s: float


class Strip(msgspec.Struct, frozen=True):
    """One cohort."""

    cohort: str
    devices: str
    calm: bool
    stretches: list[Stretch]


def drift(record: RunRecord, clock: Clock) -> dict[str, Any] | None:
    """What the template needs; None where no window of telemetry closed."""
    if not record.cohorts:
        return None
    strips = [_strip(row, span_s(record), clock) for row in record.cohorts]
    met = {one.verdict for row in record.cohorts for one in row.spans}
    return {
        "strips": strips,
        "calm": sum(strip.calm for strip in strips),
        "key": [
            {"name": name, "colour": colour, "means": MEANS[name]}
            for name, colour in COLOURS.items()
            if name in met
        ],
        "also": [_told(row, one, clock) for row in record.cohorts for one in row.spans if one.why],
    }


def _strip(row: CohortRow, span: float, clock: Clock) -> Strip:
    calm = all(one.verdict == "none" for one in row.spans)
    stretches = [_stretch(one, span, clock) for one in row.spans]
    return Strip(row.cohort, count(row.devices), calm, stretches)


def _stretch(one: DriftSpan, span: float, clock: Clock) -> Stretch:
    left = percent(one.start_s, span)
    width = max(_LEAST_WIDTH, percent(one.end_s, span) - left)
    hint = (
        f"{one.verdict}: {clock.at(one.start_s)} to {clock.at(one.end_s)}, "
        f"{duration(one.end_s - one.start_s)}; PSI {number(one.psi)}, probe {one.probe}"
    )
    hint += f"; {one.why}" if one.why else ""
    room = one.verdict != "none" and width >= _LABEL_WIDTH * len(one.verdict)
    colour = COLOURS.get(one.verdict, GREY)
    return Stretch(
        min(left, 100 - width), width, one.verdict, colour, room, hint, one.start_s, one.end_s
    )


def _told(row: CohortRow, one: DriftSpan, clock: Clock) -> dict[str, str]:
    return {
        "cohort": row.cohort,
        "verdict": one.verdict,
        "since": clock.at(one.start_s),
        "elapsed": elapsed(one.start_s),
        "why": one.why,
    }
