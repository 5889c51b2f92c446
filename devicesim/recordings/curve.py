"""Curves of how many were online, and how far two of them are apart.

Decides what a point of a curve is: the mean over one step of time, so that an event a second earlier or
later is a sixtieth of a minute and not a whole device. Leaves out where presence comes from.

Rules: the deviation at a step is the difference of the means over the number of devices; a last step
shorter than half a step is left out, unless it is the only one; so is every step of which something is
unknown.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import msgspec

from devicesdk.wire.timebase import MINUTE
from devicesim.recordings.intervals import pairs


def steps_of(length_ns: int, step_ns: int) -> int:
    """How many steps a curve of this length has."""
    whole, rest = divmod(length_ns, step_ns)
    return max(1, whole + (rest >= step_ns // 2 and rest > 0))


def online_curve(
    presence: Iterable[array[int]], length_ns: int, step_ns: int = MINUTE
) -> list[float]:
    """Mean number online in each step.

    Args:
        presence: for each device up, down, up, down, ... in ns from the start.
        length_ns: of the curve.
        step_ns: of one point.
    """
    count = steps_of(length_ns, step_ns)
    time = [0] * (count + 1)
    rises = [0] * (count + 2)
    for edges in presence:
        for up, down in pairs(edges):
            _add(time, rises, max(0, up), min(down, length_ns), step_ns, count)
    curve, whole = [], 0
    for step in range(count):
        whole += rises[step]
        lasts = min(step_ns, length_ns - step * step_ns)
        curve.append((time[step] + whole * lasts) / lasts)
    return curve


def _add(time: list[int], rises: list[int], up: int, down: int, step_ns: int, count: int) -> None:
    """Add one interval: its first and last step in part, those between as a whole."""
    if down <= up:
        return
    first, last = min(up // step_ns, count), min(down // step_ns, count)
    if first == last:
        time[first] += down - up
        return
    time[first] += (first + 1) * step_ns - up
    time[last] += down - last * step_ns
    rises[first + 1] += 1
    rises[last] -= 1


class Deviation(msgspec.Struct, frozen=True):
    """How far a curve is from the recorded one, as a share of the devices."""

    step_ns: int
    recorded: tuple[float, ...]
    found: tuple[float, ...]
    apart: tuple[float | None, ...]
    """By step; None where something is unknown."""

    @property
    def worst(self) -> float | None:
        """The greatest of all; None when no step can be judged."""
        return max((each for each in self.apart if each is not None), default=None)

    def greatest(self, count: int) -> list[int]:
        """The steps that are furthest apart, furthest first."""
        known = [step for step, each in enumerate(self.apart) if each is not None]
        return sorted(known, key=lambda step: -(self.apart[step] or 0.0))[:count]


def compare(
    recorded: list[float],
    found: list[float],
    devices: int,
    step_ns: int = MINUTE,
    unknown: Iterable[tuple[int, int]] = (),
) -> Deviation:
    """Hold a curve against the recorded one; steps that only one of them has are left out."""
    count = min(len(recorded), len(found))
    blind = [False] * count
    for begin, end in unknown:
        for step in range(begin // step_ns, min(count, -(-end // step_ns))):
            blind[step] = True
    apart = tuple(
        None if blind[step] else abs(recorded[step] - found[step]) / max(1, devices)
        for step in range(count)
    )
    return Deviation(step_ns, tuple(recorded[:count]), tuple(found[:count]), apart)
