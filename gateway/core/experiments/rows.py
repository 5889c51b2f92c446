"""What the experiments machine keeps: one immutable row an experiment.

Decides the row. Leaves out where it is stored. Instants are UTC nanoseconds. A row's counts and the
cursors by which collect tells a repetition apart are made durable in one commit (gateway.py), so no
window is counted twice.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments.bandit import Tally


class Phase(enum.IntEnum):
    """The life of an experiment."""

    RUNNING = 0
    PROMOTED = 1
    STOPPED = 2


class ExperimentRow(msgspec.Struct, frozen=True, array_like=True):
    """An experiment; the key is its id."""

    plan: ExperimentPlan
    candidate: bytes
    production: bytes
    """Digests of the manifests."""
    phase: Phase = Phase.RUNNING
    why: str = ""
    tally: Tally = Tally()
    """Windows of the candidate."""
    baseline: Tally = Tally()
    """Windows of production in the same time."""
    alone: tuple[int, int] = (0, 0)
    """Windows of a shadow in which only the candidate, and only production, failed."""
    cap: float = 0.0
    share: float = 0.0
    """What the devices were told last; never above `cap`."""
    frozen: bool = False
    held: bool = False
    """Frozen by an operator."""
    looks: int = 0
    fresh: int = 0
    """Windows of the candidate since the last look."""
    look_ns: int = 0
    """When the next look is due."""
    fell_back: tuple[str, ...] = ()
    """Devices whose guardrails gave the candidate up."""
    staged: int = 0
    """How many devices held the candidate when the last of them did."""
    silent: int = 0
    """Looks in a row at which it was frozen or starved, and nobody had run it since the one before."""


EXPERIMENT: Final = "experiments.experiment"

TABLES: Final[dict[str, type[msgspec.Struct]]] = {EXPERIMENT: ExperimentRow}
"""Table name to the type of its rows."""
