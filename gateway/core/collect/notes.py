"""The kinds of `Note` that the collect machine makes, each with the sentence that it stands for.

Decides names and wording; a note never decides anything. ``{subject}``, ``{a}`` and ``{b}`` are the
note's fields.
"""

from __future__ import annotations

from typing import Final

RAISED: Final = {
    "data": "drift.raised.data",
    "hardware": "drift.raised.hardware",
    "both": "drift.raised.both",
    "sensor": "drift.raised.sensor",
}
CLEARED: Final = "drift.cleared"
WINDOW_CLOSED: Final = "collect.window_closed"
WINDOW_DROPPED: Final = "collect.window_dropped"
JUDGED: Final = "collect.judged"
MALFORMED: Final = "collect.malformed"
FULL: Final = "collect.full"
DOSE: Final = "drift.dose"
ALONE: Final = "drift.device"
DEBUG_UNASKED: Final = "debug.unasked"

SENTENCES: Final[dict[str, str]] = {
    RAISED["data"]: "Drift in {subject}: the inputs have moved (PSI {a} permille, {b} frames).",
    RAISED["hardware"]: "Drift in {subject}: the hardware computes wrongly ({a} permille, {b}).",
    RAISED["both"]: "Drift in {subject}: inputs and hardware ({a} permille, {b}).",
    RAISED["sensor"]: "In {subject} single devices see something else ({a} of them, {b} frames).",
    CLEARED: "Drift in {subject} is over (PSI {a} permille, {b} frames).",
    DOSE: "Residuals of golden probes grow in {subject}: rank correlation {a} permille, one in {b} by chance.",
    ALONE: "Device {subject} alone fails its golden probe, {a} times in a row, by {b} permille: its hardware, not its sensor.",
    WINDOW_CLOSED: "A telemetry window closed with {a} cohorts and {b} frames.",
    WINDOW_DROPPED: "The oldest telemetry window ({a}) was dropped: {b} are kept.",
    JUDGED: "Telemetry of {subject}: p95 latency {a} us, before {b} us.",
    MALFORMED: "Telemetry of {subject} was not understood and dropped ({a} so far).",
    DEBUG_UNASKED: "Device {subject} told rows of debug mode under grant {a}, which nobody gave: dropped.",
    FULL: "Telemetry of {subject} is not counted: {a} are the limit.",
}
"""What each kind means, for people."""
