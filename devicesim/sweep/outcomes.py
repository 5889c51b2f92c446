"""The numbers that one run is remembered by.

Decides which scalars of a finished drill a sweep keeps: every measure of the scenario language that had
something to measure, and what the run amounted to. Leaves out their distribution over seeds (tables.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import to_seconds
from devicesim.scenario.checks import MEASURES
from devicesim.scenario.values import Kind
from devicesim.world.ledger import DOWN, UP

if TYPE_CHECKING:
    from devicesim.world.drill import Drill

AMOUNTS: Final[dict[str, str]] = {
    "devices": "devices of the fleet",
    "events": "events executed",
    "messages": "messages sent, both ways",
    "inferences": "frames run by devices",
    "windows": "telemetry windows collected",
}
"""Scalars that are no measure of the scenario language: counts all of them."""


def outcomes_of(drill: Drill) -> dict[str, float]:
    """Read a drill that has ended: name to value, durations in seconds, shares from 0 to 1."""
    world, meter = drill.world, drill.meter
    found: dict[str, float] = {
        "devices": len(world.hosts),
        "events": world.kernel.events,
        "messages": sum(row.opened for row in world.ledger.rows() if row.leg in (UP, DOWN)),
        "inferences": sum(host.frames_run for host in world.hosts),
        "windows": drill.recorder.windows,
    }
    for name, (kind, _) in MEASURES.items():
        value = meter.read(name)
        if value is not None:
            found[name] = to_seconds(int(value)) if kind is Kind.DURATION else float(value)
    return {name: float(value) for name, value in found.items()}


def unit_of(name: str) -> str:
    """The unit of an outcome as reports spell it: ``s``, ``share``, or nothing for counts."""
    kind = MEASURES[name][0] if name in MEASURES else Kind.COUNT
    return {Kind.DURATION: "s", Kind.SHARE: "share"}.get(kind, "")


def meaning_of(name: str) -> str:
    """What an outcome says, in words."""
    return MEASURES[name][1] if name in MEASURES else AMOUNTS.get(name, "")
