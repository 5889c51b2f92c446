"""What a run leaves behind for people: one plain value, and every report is a view of it.
Decides the names and units of everything a report may show. The world fills a `RunRecord` at the
end of a run; `html`, `document`, `junit` and `terminal` read it and measure nothing themselves, so
the same number is the same in all four. Leaves out how anything was measured.

Rules: instants (`at_s`, `start_s`, ``t_s``) are seconds since the start of the scenario, durations
end in ``_s``; both are floats because they are shown, never compared. None means *not known* and is
shown as a dash, which zero is not. Every list may be empty: a run that died early still has a
report.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from devicesim.scenario.checks import ALWAYS

CheckKind = Literal["always", "eventually", "sometimes", "finally", "slo"]
Verdict = Literal["passed", "failed"]
CULPRITS_MAX: Final = 20
EXPLANATION_LINES_MAX: Final = 10
CHECK_KINDS: Final[tuple[CheckKind, ...]] = ("always", "eventually", "sometimes", "finally", "slo")


class GroupRow(msgspec.Struct, frozen=True):
    """One group of the fleet; `profile` and `link` are the names in the scenario."""

    name: str
    count: int
    profile: str = ""
    link: str = ""


class LaneMark(msgspec.Struct, frozen=True):
    """One moment of one actor: when, of which kind, and in words."""

    at_s: float
    kind: str
    text: str


class Lane(msgspec.Struct, frozen=True):
    """The moments of one device, or of the gateway or the broker, in order."""

    who: str
    marks: list[LaneMark]


class CheckRow(msgspec.Struct, frozen=True):
    """What became of one check.

    `held` is None when it could not be judged, or was never exercised. `at_s` is the instant at
    which it first failed, for ``sometimes`` the one at which it was first seen. `count` says how
    often it was judged, for ``sometimes`` how often it was seen.

    Of a check that failed, `first_bad_ns` is the first instant (ns since the start) at which the failure
    could be known, `culprits` are device ids (or ``gateway``, ``broker``), those that matter most first,
    at most `CULPRITS_MAX`, and `explanation` tells in at most `EXPLANATION_LINES_MAX` lines what led to it.
    """

    name: str
    kind: CheckKind
    held: bool | None
    story: str = ""
    at_s: float | None = None
    count: int = 0
    first_bad_ns: int | None = None
    culprits: list[str] = msgspec.field(default_factory=list)
    explanation: list[str] = msgspec.field(default_factory=list)
    blamed: int = 0
    """How many culprits there are in all, where that is more than are named."""
    lanes: list[Lane] = msgspec.field(default_factory=list)
    """What happened to those concerned before it failed, for a picture."""


class LedgerRow(msgspec.Struct, frozen=True):
    """Copies of one kind of message on one leg: ``opened = delivered + dropped + held``."""

    leg: str
    kind: str
    opened: int
    delivered: int
    dropped: int
    held: int


class WaveRow(msgspec.Struct, frozen=True):
    """One wave of a rollout, counts in devices.

    `share` is the part of the audience reached when the wave is full (0 to 1), `size` the devices
    of this wave. `e_value` is the gate's evidence against the new bundle when the wave closed.
    """

    share: float
    size: int
    offered: int = 0
    exposed: int = 0
    committed: int = 0
    failed: int = 0
    rolled_back: int = 0
    opened_s: float | None = None
    closed_s: float | None = None
    e_value: float | None = None
    verdict: str = ""


class RolloutRow(msgspec.Struct, frozen=True):
    """One rollout: what it brought, how it ended, and why."""

    id: str
    bundle: str
    state: str
    why: str = ""
    waves: list[WaveRow] = msgspec.field(default_factory=list)


class FlagRow(msgspec.Struct, frozen=True):
    """One change of flags: how many devices obeyed, and how long after the change they did."""

    at_s: float
    what: str
    reached: int
    p50_s: float | None = None
    p99_s: float | None = None
    last_s: float | None = None


class DriftRow(msgspec.Struct, frozen=True):
    """One verdict of drift while it stood; `end_s` None: it stood to the end.

    `device` is the one whose sensor it is, empty for a whole cohort. `histogram` showed it most; `effect` is its
    largest population stability index, of golden probes the share that failed.
    """

    verdict: str
    cohort: str
    start_s: float
    end_s: float | None = None
    device: str = ""
    devices: int = 0
    histogram: str = ""
    effect: float = 0.0


class Series(msgspec.Struct, frozen=True):
    """Curves over one set of instants; a value may be NaN where nothing was measured.

    `unit` is ``""`` or ``"devices"`` for counts, ``"share"`` for 0 to 1, else any unit (``C``,
    ``B/s``, ``1/min``).
    """

    unit: str
    t_s: list[float]
    values: dict[str, list[float]]


class DriftSpan(msgspec.Struct, frozen=True):
    """A stretch of time in which one cohort had one verdict: none, data, hardware, both or sensor."""

    start_s: float
    end_s: float
    verdict: str
    psi: float = 0.0
    """Largest bias-corrected PSI in it."""
    probe: str = "unknown"
    """What golden probes said at its end."""
    why: str = ""
    """Evidence beside that, in words."""


class CohortRow(msgspec.Struct, frozen=True):
    """One cohort (bundle, hardware class, region), its verdicts one after the other."""

    cohort: str
    devices: int
    """The most that spoke in one window."""
    spans: list[DriftSpan] = msgspec.field(default_factory=list)


class Band(msgspec.Struct, frozen=True):
    """A fault's stretch of time; `kind` is its verb (``partition``) or its family (``network``)."""

    start_s: float
    end_s: float
    label: str
    kind: str = ""


class PercentileRow(msgspec.Struct, frozen=True):
    """Percentiles of one metric in one phase (or window) of the run, values in `unit`."""

    metric: str
    phase: str
    n: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None
    unit: str = "s"


class SiteRow(msgspec.Struct, frozen=True):
    """One named place of our own code at which a run was made hard on purpose."""

    name: str
    what: str
    active: bool
    passed: int = 0
    """How often it was passed while active."""
    fired: int = 0
    """How often it acted."""


class ReturnRow(msgspec.Struct, frozen=True):
    """How one group came back from outages: connects tried, those that no session came of, the most
    that began in one second, and how long a session took from the moment it was possible."""

    group: str
    policy: str
    devices: int
    attempts: int
    wasted: int
    peak_per_s: int
    p50_s: float | None = None
    p99_s: float | None = None
    last_s: float | None = None


class DeviceStory(msgspec.Struct, frozen=True):
    """Why one device is among the worst, and its filtered log."""

    device: str
    group: str
    score_text: str
    lines: list[str] = msgspec.field(default_factory=list)


class BadMinute(msgspec.Struct, frozen=True):
    """The first minute in which something went wrong that should not have."""

    at_s: float
    what: str
    lines: list[str] = msgspec.field(default_factory=list)


class Venue(msgspec.Struct, frozen=True):
    """Where a run took place: in virtual time, or against a real broker."""

    mode: str = "virtual"
    speed: float = 1.0
    """Scenario seconds per real one."""
    broker: str = ""
    """What it was, such as ``mosquitto 2.0.11``."""
    lacks: list[str] = msgspec.field(default_factory=list)
    """What clients of that broker had to do without."""
    tolerance_s: float = 0.0
    """What durations that something is judged by were given more, in scenario seconds."""
    lag_s: float = 0.0
    """By how many scenario seconds the machine fell behind at worst."""
    held_s: float = 0.0
    """For how many scenario seconds, in all, time stood still to wait for the machine."""
    held_share: float = 0.0
    """How much of the run's real time that was, 0 to 1."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report shows about one run. `clock_start` is an ISO 8601 instant."""

    scenario: str
    seed: int
    verdict: Verdict
    title: str = ""
    description: str = ""
    clock_start: str = "1970-01-01T00:00:00Z"
    trace_digest: str = ""
    scenario_digest: str = ""
    reproduce: str = ""
    overrides: list[str] = msgspec.field(default_factory=list)
    """What ``--set`` changed, as ``path=value``."""

    devices: int = 0
    groups: list[GroupRow] = msgspec.field(default_factory=list)
    virtual_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    speedup: float = 0.0
    events: int = 0
    inferences: int = 0
    messages: int = 0
    windows: int = 0
    attempts_peak_per_s: int = 0
    """Most tries to connect of the whole fleet in one second."""
    memory_mib: float = 0.0

    checks: list[CheckRow] = msgspec.field(default_factory=list)
    drops: dict[str, int] = msgspec.field(default_factory=dict)
    ledger: list[LedgerRow] = msgspec.field(default_factory=list)
    rollouts: list[RolloutRow] = msgspec.field(default_factory=list)
    flags: list[FlagRow] = msgspec.field(default_factory=list)
    drifts: list[DriftRow] = msgspec.field(default_factory=list)
    series: dict[str, Series] = msgspec.field(default_factory=dict)
    bands: list[Band] = msgspec.field(default_factory=list)
    percentiles: list[PercentileRow] = msgspec.field(default_factory=list)
    worst_devices: list[DeviceStory] = msgspec.field(default_factory=list)
    first_bad_minute: BadMinute | None = None
    decisions: dict[str, int] = msgspec.field(default_factory=dict)

    choices: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """How often each rule of a run-time policy decided, by hardware class."""
    cohorts: list[CohortRow] = msgspec.field(default_factory=list)
    """Cohorts that were told anything but none first; a bounded number."""
    returns: list[ReturnRow] = msgspec.field(default_factory=list)
    """Where groups come back in ways of their own."""
    venue: Venue = Venue()
    hardship: list[SiteRow] = msgspec.field(default_factory=list)
    """Every place that ``buggify`` may make hard; empty where the scenario asks for none."""
    skipped: list[str] = msgspec.field(default_factory=list)
    """Actions of the timeline that could not be done there, each with the reason."""
    machine: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    seeds: dict[str, str] = msgspec.field(default_factory=dict)


def failed_first(checks: list[CheckRow]) -> list[CheckRow]:
    """Order checks for reading: failed, then not judged, then held.

    Of those that failed, what the scenario asks for comes before what holds for every scenario, each by
    the instant at which it failed: a reader knows the former, and often it is what they ran it for.
    """
    return sorted(checks, key=_reading_order)


def first_failure(checks: list[CheckRow]) -> CheckRow | None:
    """Return the failed check that a reader is told of first."""
    first = failed_first(checks)[:1]
    return first[0] if first and first[0].held is False else None


def broke_s(check: CheckRow) -> float:
    """When a check failed; one without an instant did so at the end, later than any."""
    return math.inf if check.at_s is None else check.at_s


def _reading_order(check: CheckRow) -> tuple[int, bool, float, int]:
    rank = 0 if check.held is False else 1 if check.held is None else 2
    kind = CHECK_KINDS.index(check.kind)
    if rank:
        return rank, False, math.inf, kind
    return rank, check.kind == "always" and check.name in ALWAYS, broke_s(check), kind
