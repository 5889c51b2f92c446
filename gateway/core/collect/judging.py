"""Comparing a candidate with what ran before, while a rollout watches.

Decides what `Judged` says: per hardware class the p95 latency of the candidate and of the baseline
since the watch began, where a watch asks for it how fast batteries empty (drain.py), and drift that the candidate shows and the baseline does not. Leaves out what
a gate makes of it (control's).

Rule: latency travels in bins of sqrt 2, so a difference of up to one bin is not proven and is
reported as none: both p95 are then said to be the baseline's. From two bins apart the smallest
difference is reported that the bins prove. So a ratio above 1 is never an artefact of a bin's edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from devicesdk.sketches import histogram
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.drain import Drains
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.totals import FRAMES, Totals
from gateway.core.collect.verdict import combine
from gateway.core.internal import Drift, Judged, Watching

P95: Final = 0.95
_US_PER_MS: Final = 1000.0


class Tally:
    """Latency and frames of one bundle on one hardware class."""

    __slots__ = ("frames", "latency")

    def __init__(self) -> None:
        self.latency = [0] * histogram.LATENCY_BINS
        self.frames = 0

    def add(self, latency: Sequence[int], frames: int) -> None:
        """Add a cohort's row."""
        self.latency = histogram.merge(self.latency, latency)
        self.frames += frames


class Watch:
    """One rollout under comparison."""

    __slots__ = ("asked", "judged_frames", "past")

    def __init__(self, asked: Watching) -> None:
        self.asked = asked
        self.past: dict[tuple[bytes, str], Tally] = {}
        """Of windows that have closed since the watch began."""
        self.judged_frames: dict[str, int] = {}
        """Candidate frames at the last judgement, by hardware class."""


class Judge:
    """All watches.

    Args:
        limits: of them `watches_max`, a bound; the oldest goes.
    """

    __slots__ = ("_max", "_watches", "drains")

    def __init__(self, limits: CollectLimits) -> None:
        self._watches: dict[str, Watch] = {}
        self._max = limits.watches_max
        self.drains: Drains | None = None
        """Told of the charge that each window says; None: no watch asks."""

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, asked: Watching) -> None:
        """Begin to compare; saying the same again changes nothing."""
        known = self._watches.get(asked.rollout)
        if known is not None and known.asked == asked:
            return
        self._watches.pop(asked.rollout, None)
        if len(self._watches) >= self._max:
            del self._watches[next(iter(self._watches))]
        self._watches[asked.rollout] = Watch(asked)
        if any(watch.asked.drain for watch in self._watches.values()):
            self.drains = self.drains or Drains()
        else:
            self.drains = None

    def window_closes(self, cohorts: Sequence[Cohort], sums: Totals) -> None:
        """Keep what the window said of the bundles that are compared."""
        for watch in self._watches.values():
            _collect(watch, cohorts, sums, watch.past)
        if self.drains is not None:
            self.drains.window_closes()

    def judge(
        self, cohorts: Sequence[Cohort], sums: Totals, known: Sequence[Cohort]
    ) -> list[Judged]:
        """What is new of each candidate, by hardware class.

        Args:
            cohorts: those that have spoken in this window.
            sums: their sums.
            known: all cohorts, for their drift.
        """
        out: list[Judged] = []
        for watch in self._watches.values():
            tallies = {key: _copy(tally) for key, tally in watch.past.items()}
            _collect(watch, cohorts, sums, tallies)
            candidate = watch.asked.candidate
            for bundle, hardware in sorted(tallies):
                tally = tallies[bundle, hardware]
                news = tally.frames != watch.judged_frames.get(hardware, 0)
                if bundle == candidate and news and any(tally.latency):
                    watch.judged_frames[hardware] = tally.frames
                    before = tallies.get((watch.asked.baseline, hardware))
                    judged = _judged(watch.asked, hardware, tally, before, known)
                    out.append(self._with_drain(judged, watch.asked))
        return out

    def _with_drain(self, judged: Judged, asked: Watching) -> Judged:
        if self.drains is None or not asked.drain:
            return judged
        hardware = judged.cohort
        rates = self.drains.compare((asked.candidate, hardware), (asked.baseline, hardware))
        return msgspec.structs.replace(
            judged, drain_percent_h=rates[0], baseline_drain_percent_h=rates[1]
        )


def _copy(tally: Tally) -> Tally:
    copied = Tally()
    copied.add(tally.latency, tally.frames)
    return copied


def _collect(
    watch: Watch,
    cohorts: Sequence[Cohort],
    sums: Totals,
    tallies: dict[tuple[bytes, str], Tally],
) -> None:
    """Add the open window's rows of the two bundles."""
    for cohort in cohorts:
        bundle = cohort.bundle
        if bundle is not None and bundle in {watch.asked.candidate, watch.asked.baseline}:
            tally = tallies.setdefault((bundle, cohort.hardware), Tally())
            tally.add(sums.latency(cohort.slot), sums.scalar(cohort.slot, FRAMES))


def _judged(
    asked: Watching, hardware: str, tally: Tally, before: Tally | None, known: Sequence[Cohort]
) -> Judged:
    new_ms, old_ms = proven_p95_ms(tally.latency, before.latency if before else ())
    drift, score = own_drift(asked, hardware, known)
    return Judged(asked.candidate, hardware, new_ms, old_ms, tally.frames, drift, score)


def proven_p95_ms(candidate: Sequence[int], baseline: Sequence[int]) -> tuple[float, float]:
    """p95 (ms) of both, no further apart than their bins prove; 0 for a baseline without counts."""
    new_low, _, _ = histogram.quantile_bin_us(candidate, P95)
    new = histogram.quantile_us(candidate, P95)
    if not any(baseline):
        return new / _US_PER_MS, 0.0
    old_low, old_high, _ = histogram.quantile_bin_us(baseline, P95)
    old = histogram.quantile_us(baseline, P95)
    bins_apart = round(2 * math.log2(new_low / old_low))
    if bins_apart > 1:
        return new_low / _US_PER_MS, old_high / _US_PER_MS
    if bins_apart >= -1:
        return old / _US_PER_MS, old / _US_PER_MS
    return new / _US_PER_MS, old / _US_PER_MS


def own_drift(asked: Watching, hardware: str, known: Sequence[Cohort]) -> tuple[Drift, float]:
    """Drift of the candidate on this hardware class that is its own, and the largest effect
    (bias-corrected PSI) of the cohorts that show it.

    A bundle is blamed for what only a bundle can do: a golden probe that fails where the baseline's does
    not, or outputs that moved while the inputs, which are counted before any model runs, stayed.
    What the baseline shares in the same region is not its own. Nor can outputs be blamed on a bundle where
    nobody runs the other one any more: weather and candidate look alike there. A shift of inputs is never
    its own, however few devices show it: before probes could vouch for a model, this was where small
    cohorts cried wolf. A `raw` watch asks nobody whose it is, and does.
    """
    mine = [c for c in known if c.hardware == hardware]
    peers = {c.region: c for c in mine if c.bundle == asked.baseline}
    own = [
        c
        for c in mine
        if c.bundle == asked.candidate and (asked.raw or _is_own(c, peers.get(c.region)))
    ]
    return combine([cohort.drift for cohort in own]), max(
        (cohort.effect for cohort in own if cohort.drift != "none"), default=0.0
    )


def _is_own(cohort: Cohort, peer: Cohort | None) -> bool:
    if cohort.probe == "failed":
        return peer is None or peer.probe != "failed"
    if cohort.inputs_moved or not cohort.outputs_moved:
        return False
    return peer is not None and peer.spoke >= cohort.spoke and peer.drift == "none"
