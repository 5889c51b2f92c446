"""What only a rehearsal knows: how far a model's readings are from what its devices were shown.

Decides when a candidate reads worse than what it replaces. Leaves out everything that a gateway sees as well: a model
that is sure of itself and wrong passes its kit and every gate, and no live fleet would tell.

Rules: bundles are compared within one run, over frames of the same fleet in the same weather; too few frames are no
evidence; a frame without a reading counts as a failure and not as a distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from devicesim.world.inference import VariantStats
from gateway.core.rehearsals.job import CheckTold

FRAMES_MIN: Final = 300
WORSE_PERMILLE: Final = 20.0
"""Permille of full scale by which the mean distance may grow."""
WORSE_TIMES: Final = 2.0
"""And by how often, where that is more."""
FAILED_MORE: Final = 0.02
"""Share of frames without a reading that may come on top."""
NAME: Final = "reads as well as before"


class Read(msgspec.Struct, frozen=True):
    """How one bundle read, over all of its variants."""

    frames: int
    away_permille: float
    """Mean distance from the truth of frames with a reading."""
    failed: float
    """Share of frames without one."""


def read_by(stats: Mapping[str, VariantStats]) -> dict[str, Read]:
    """By bundle (``id@version``), from a pool's counters."""
    sums: dict[str, list[int]] = {}
    for name, one in stats.items():
        mine = sums.setdefault(name.partition("/")[0], [0, 0, 0])
        mine[0] += one.frames_run
        mine[1] += one.failed
        mine[2] += one.error_permille_sum
    return {
        name: Read(frames, away / max(1, frames - failed), failed / frames)
        for name, (frames, failed, away) in sums.items()
    }


def reads_worse(read: Mapping[str, Read], candidate: str) -> CheckTold | None:
    """What is wrong with a candidate's readings; None: nothing, or nobody knows."""
    mine = read.get(candidate)
    others = [(name, one) for name, one in read.items() if name != candidate]
    known = [(name, one) for name, one in others if one.frames >= FRAMES_MIN]
    if mine is None or mine.frames < FRAMES_MIN or not known:
        return None
    name, before = max(known, key=lambda pair: pair[1].frames)
    if mine.failed > before.failed + FAILED_MORE:
        return CheckTold(
            NAME,
            "truth",
            f"{candidate} gave no reading for {mine.failed:.1%} of {mine.frames} frames, {name} for "
            f"{before.failed:.1%}",
        )
    bound = max(before.away_permille + WORSE_PERMILLE, before.away_permille * WORSE_TIMES)
    if mine.away_permille > bound:
        return CheckTold(
            NAME,
            "truth",
            f"{candidate} reads {mine.away_permille / 10:.1f} % of full scale beside the truth, {name} "
            f"{before.away_permille / 10:.1f} %",
        )
    return None
