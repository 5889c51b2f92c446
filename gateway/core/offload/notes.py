"""The kinds of `Note` that the offload machine makes, each with the sentence that it stands for.

Decides names and wording; a note never decides anything. ``{subject}``, ``{a}`` and ``{b}`` are the
note's fields.
"""

from __future__ import annotations

from typing import Final

TAKEN: Final = "offload.taken"
ANSWERED: Final = "offload.answered"
BUSY: Final = "offload.busy"
BUDGET: Final = "offload.budget"
REFUSED: Final = "offload.refused"
FAILED: Final = "offload.failed"
LATE: Final = "offload.late"

SENTENCES: Final[dict[str, str]] = {
    TAKEN: "{a} frames of device {subject} are being run, one of {b} asks.",
    ANSWERED: "Device {subject} was answered about {a} frames ({b} bytes).",
    BUSY: "Device {subject} is to ask again in {a} ms: {b} asks are being run.",
    BUDGET: "Device {subject} is to ask again in {a} ms: it has used its frames.",
    REFUSED: "An ask of device {subject} was refused ({a} frames).",
    FAILED: "Frames of device {subject} could not be run.",
    LATE: "{a} asks were not run in time and are forgotten.",
}
"""What each kind means, for people."""
