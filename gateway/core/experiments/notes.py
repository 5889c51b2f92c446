"""The kinds of `Note` that the experiments machine makes, each with its sentence."""

from __future__ import annotations

from typing import Final

from gateway.core import notes as core

CREATED: Final = "experiment.created"
REFUSED: Final = core.EXPERIMENT_REFUSED
ALLOCATED: Final = "experiment.allocated"
FROZEN: Final = "experiment.frozen"
THAWED: Final = "experiment.thawed"
STOPPED: Final = "experiment.stopped"
PROMOTED: Final = "experiment.promoted"

SENTENCES: Final[dict[str, str]] = {
    CREATED: "Experiment {subject} began; up to {a} of 10,000 devices may run the candidate.",
    ALLOCATED: "Experiment {subject}: {a} of 10,000 devices run the candidate, at most {b} may.",
    FROZEN: "The allocation of an experiment is frozen after {a} bad of {b} windows: {subject}.",
    THAWED: "The allocation of an experiment may grow again ({a} bad of {b} windows): {subject}.",
    STOPPED: "An experiment was stopped after {a} bad of {b} windows: {subject}.",
    PROMOTED: "The candidate is promoted after {a} bad of {b} windows: {subject}.",
}
"""What each kind means, for people."""
