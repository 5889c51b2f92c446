"""Ten lines about a failed check from what a run has kept anyway, without running it again.

Decides what is told of the first culprit: its last notable moments before the failure, from the recorder's
rings, and the faults that were in force. Leaves out causes, which only a second run knows
(`devicesim.explain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import SECOND
from devicesim.report.record import EXPLANATION_LINES_MAX, Band, CheckRow
from devicesim.world.checks.check import clock_text

if TYPE_CHECKING:
    from devicesim.world.recorder import Recorder

MOMENTS_MAX: Final = 5
CULPRITS_SHOWN: Final = 3
BANDS_SHOWN: Final = 2


def short_story(row: CheckRow, recorder: Recorder) -> list[str]:
    """What is known of a check that failed, at most `EXPLANATION_LINES_MAX` lines."""
    if row.first_bad_ns is None:
        return [row.story] if row.story else []
    told = [row.story, _when(row, row.first_bad_ns)]
    at_ns = row.first_bad_ns if row.at_s is None else round(row.at_s * SECOND)
    numbers = recorder.world.numbers
    device = next((name for name in row.culprits if name in numbers), "")
    if device:
        moments = recorder.stories.lines(numbers[device], at_ns)
        told += [f"{device} {moment}" for moment in moments[-MOMENTS_MAX:]]
    bands = [band for band in recorder.bands if band.start_s <= at_ns / SECOND <= band.end_s]
    told += [_in_force(band) for band in bands[:BANDS_SHOWN]]
    return told[:EXPLANATION_LINES_MAX]


def _when(row: CheckRow, first_ns: int) -> str:
    text = f"First bad at {clock_text(first_ns)}"
    if row.culprits:
        text += f", on {', '.join(row.culprits[:CULPRITS_SHOWN])}"
        more = max(row.blamed, len(row.culprits)) - min(len(row.culprits), CULPRITS_SHOWN)
        text += f" and {more} more" if more > 0 else ""
    return f"{text}."


def _in_force(band: Band) -> str:
    return f"In force then: {band.label}, since {clock_text(round(band.start_s * SECOND))}."
