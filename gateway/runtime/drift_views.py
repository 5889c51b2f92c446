"""Drift as people are told of it: cohorts with their verdicts, and scores by time.

Decides names. Leaves out judging (gateway/core/collect).

Rules: a cohort's scores are those of the newest closed window in which it spoke.
"""

from __future__ import annotations

import msgspec

from devicesdk.sketches.histogram import LATENCY_EDGES_US, unpack
from gateway.core.collect.bins import BINS, HISTOGRAMS, LATENCY_INDEX
from gateway.core.collect.overview import CohortView, Counters
from gateway.core.collect.rows import CohortWindow, Score, WindowRow
from gateway.core.gateway import Gateway
from gateway.runtime.rollout_views import to_ms
from gateway.runtime.verbs import ShowDrift, VerbError


class ScoreView(msgspec.Struct, frozen=True):
    """One histogram against its baseline in the newest closed window."""

    feature: str
    psi: float
    """Population stability index, bias-corrected."""
    p: float
    alarm: bool


class CohortDrift(msgspec.Struct, frozen=True):
    """One cohort: bundle, hardware class and region in common."""

    name: str
    bundle: str
    """First bytes of the manifest's digest, hex."""
    hardware: str
    region: str
    verdict: str
    """none, data, hardware, both or sensor."""
    probe: str
    """passed, failed or unknown."""
    devices: int
    """That spoke in the newest closed window."""
    frames: int
    open_windows: int
    open_frames: int
    alarms: dict[str, int]
    """Feature to since when, UTC ms."""
    scores: list[ScoreView]
    quantiles: tuple[float, ...]
    """5, 25, 50, 75, 95 % of the readings, about; empty: no sketches."""
    sensors: list[tuple[str, str]]
    """(device, feature) of single devices that are shifted."""


class DriftPage(msgspec.Struct, frozen=True):
    """Cohorts in the order of their names, and what was counted."""

    closed_ms: int
    """When the newest window closed, UTC; 0: none has."""
    counters: Counters
    cohorts: list[CohortDrift]
    next: str | None


class ScoreAt(msgspec.Struct, frozen=True):
    """One closed window."""

    window: int
    closed_ms: int
    psi: float
    p: float
    alarm: bool
    verdict: str


class HistogramTold(msgspec.Struct, frozen=True):
    """One feature of one cohort in the newest closed window in which it spoke, beside its baseline."""

    cohort: str
    feature: str
    closed_ms: int
    """Of that window, UTC."""
    current: list[int]
    """Counts by bin."""
    baseline: list[float]
    """Shares by bin, of the bundle's training reference."""
    edges_ms: list[float]
    """Of latency, between its bins; of anything else none: bins are as wide as each other."""


def drift_page(core: Gateway, verb: ShowDrift) -> DriftPage:
    """A page of cohorts."""
    whole = core.collect.overview()
    newest = {}
    for window in whole.windows:
        newest.update({cohort.cohort: cohort for cohort in window.cohorts})
    cohorts = [cohort for cohort in whole.cohorts if cohort.name > verb.after][: verb.limit]
    more = len(cohorts) == verb.limit
    return DriftPage(
        to_ms(whole.windows[-1].closed_ns) if whole.windows else 0,
        whole.counters,
        [_cohort(cohort, newest.get(cohort.name)) for cohort in cohorts],
        cohorts[-1].name if more else None,
    )


def _cohort(view: CohortView, closed: CohortWindow | None) -> CohortDrift:
    scores: tuple[Score, ...] = () if closed is None else closed.scores
    return CohortDrift(
        name=view.name,
        bundle=view.bundle.hex(),
        hardware=view.hardware,
        region=view.region,
        verdict=view.drift,
        probe="unknown" if closed is None else closed.probe,
        devices=0 if closed is None else closed.devices,
        frames=0 if closed is None else closed.frames,
        open_windows=view.open_windows,
        open_frames=view.open_frames,
        alarms={feature: to_ms(since) for feature, since in view.alarms},
        scores=[ScoreView(s.feature, s.psi, s.p, s.alarm) for s in scores],
        quantiles=view.quantiles,
        sensors=[] if closed is None else list(closed.singles),
    )


def scores_of(core: Gateway, cohort: str, feature: str) -> list[ScoreAt]:
    """Scores of one feature of one cohort, by time."""
    return [
        found
        for window in core.collect.overview().windows
        if (found := _score_in(window, cohort, feature)) is not None
    ]


def histogram_of(core: Gateway, cohort: str, feature: str) -> HistogramTold:
    """One histogram beside its baseline.

    Raises:
        VerbError: ``unknown``: no such cohort or feature has a baseline and a closed window.
    """
    view = next((one for one in core.collect.overview().cohorts if one.name == cohort), None)
    known = () if view is None else core.collect.references(view.bundle, view.hardware)
    reference = next((one for one in known if one.name == feature), None)
    closed = _newest(core, cohort)
    if reference is None or closed is None:
        raise VerbError(
            "unknown",
            f"expected a cohort that spoke in a closed window and a feature with a baseline, found {cohort!r} and "
            f"{feature!r}",
        )
    closed_ns, counts = closed
    latency = reference.first == HISTOGRAMS[LATENCY_INDEX][0]
    return HistogramTold(
        cohort,
        feature,
        to_ms(closed_ns),
        unpack(counts, BINS)[reference.first : reference.stop] if counts else [],
        reference.shares,
        [edge / 1_000 for edge in LATENCY_EDGES_US] if latency else [],
    )


def _newest(core: Gateway, cohort: str) -> tuple[int, bytes] | None:
    for window in reversed(core.collect.overview().windows):
        for said in window.cohorts:
            if said.cohort == cohort:
                return window.closed_ns, said.counts
    return None


def _score_in(window: WindowRow, cohort: str, feature: str) -> ScoreAt | None:
    for said in window.cohorts:
        if said.cohort == cohort:
            for score in said.scores:
                if score.feature == feature:
                    closed_ms = to_ms(window.closed_ns)
                    return ScoreAt(
                        window.number, closed_ms, score.psi, score.p, score.alarm, said.drift
                    )
    return None
