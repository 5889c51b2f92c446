"""A finished drill becomes the one value that every report is a view of.

Decides how what was watched is put into `devicesim.report.record.RunRecord`. Leaves out measuring
(measures.py, recorder.py, checks) and the facts of the real machine (wall time, CPU, versions), which
are handed in because nothing here may look at a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.inference.preprocess import FEATURE_NAMES
from devicesdk.wire.timebase import MINUTE, NEVER, SECOND, format_duration, to_seconds
from devicesim.report.record import (
    BadMinute,
    CheckRow,
    DeviceStory,
    DriftRow,
    FlagRow,
    GroupRow,
    LedgerRow,
    PercentileRow,
    RolloutRow,
    RunRecord,
    SiteRow,
    Venue,
    WaveRow,
)
from devicesim.scenario.population import group_count
from devicesim.world.latencies import Latencies, nearest_rank
from devicesim.world.ledger import DOWN, LEGS, UP, DropCause
from devicesim.world.short_story import short_story
from gateway.core.collect.scoring import histogram_of

if TYPE_CHECKING:
    from devicesim.world.checks.check import Check
    from devicesim.world.drifting import Stretch
    from devicesim.world.measures import Meter
    from devicesim.world.recorder import Recorder
    from devicesim.world.session_meter import Spread
    from devicesim.world.world import World
    from gateway.core import rows

WORST_DEVICES_MAX: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What only the real machine knows about a run."""

    venue: Venue = Venue()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_mib: float = 0.0
    scenario_digest: str = ""
    reproduce: str = ""
    overrides: list[str] = []
    machine: dict[str, str] = {}
    versions: dict[str, str] = {}
    seeds: dict[str, str] = {}


def build_record(
    world: World,
    meter: Meter,
    recorder: Recorder,
    checks: list[Check],
    *,
    trace_digest: str,
    around: Circumstances,
) -> RunRecord:
    """Make the record of a run that has ended.

    Args:
        world: after `run`.
        meter: of that world.
        recorder: of that world.
        checks: all that watched it.
        trace_digest: what `World.run` returned.
        around: what was measured outside.
    """
    scenario = world.scenario
    found = [_told(check.row(), recorder) for check in checks]
    virtual_s = to_seconds(world.now)
    return RunRecord(
        scenario=scenario.name,
        seed=world.entropy.seed,
        verdict="failed" if any(row.held is False for row in found) else "passed",
        title=scenario.title,
        description=scenario.description,
        clock_start=_iso(scenario.clock.start_unix_ns),
        trace_digest=trace_digest,
        scenario_digest=around.scenario_digest,
        reproduce=around.reproduce,
        overrides=around.overrides,
        devices=len(world.hosts),
        groups=_groups(world),
        virtual_s=virtual_s,
        wall_s=around.wall_s,
        cpu_s=around.cpu_s,
        speedup=virtual_s / around.wall_s if around.wall_s else 0.0,
        events=world.kernel.events,
        inferences=sum(host.frames_run for host in world.hosts),
        messages=sum(row.opened for row in world.ledger.rows() if row.leg in (UP, DOWN)),
        windows=recorder.windows,
        attempts_peak_per_s=recorder.attempts_peak_per_s,
        memory_mib=around.memory_mib,
        checks=found,
        drops=_drops(world),
        ledger=_ledger(world),
        rollouts=_rollouts(world, meter),
        flags=_flags(meter),
        drifts=_drifts(meter, recorder),
        series=recorder.series() | meter.returns.series(),
        bands=recorder.bands,
        percentiles=_percentiles(meter, recorder, world.now),
        worst_devices=_worst(world, recorder),
        first_bad_minute=_first_bad_minute(world, recorder, checks),
        decisions=dict(sorted(recorder.decisions.items())),
        choices=meter.decisions.by_rule,
        cohorts=recorder.drifts.rows(recorder.spell),
        returns=meter.returns.rows(),
        venue=around.venue,
        hardship=_hardship(world),
        skipped=list(world.skipped),
        machine=around.machine,
        versions=around.versions,
        seeds=around.seeds,
    )


def _hardship(world: World) -> list[SiteRow]:
    if world.buggify is None:
        return []
    return [
        SiteRow(one.site.name, one.site.what, one.active, one.passed, one.fired)
        for one in world.buggify.counts()
    ]


def _told(row: CheckRow, recorder: Recorder) -> CheckRow:
    if row.held is not False:
        return row
    return msgspec.structs.replace(row, explanation=short_story(row, recorder))


def _iso(unix_ns: int) -> str:
    instant = _EPOCH + timedelta(microseconds=unix_ns // 1_000)
    return instant.isoformat().replace("+00:00", "Z")


def _groups(world: World) -> list[GroupRow]:
    scenario = world.scenario
    return [
        GroupRow(
            group.group,
            group_count(group, scenario.scale),
            group.profile,
            ", ".join(f"{name} {100 * share:.0f}%" for name, share in group.links.items())
            if len(group.links) > 1
            else next(iter(group.links)),
        )
        for group in scenario.fleet
    ]


def _drops(world: World) -> dict[str, int]:
    """Copies lost by cause, over the legs that carry messages, in the order of `DropCause`."""
    sums = dict.fromkeys(DropCause, 0)
    for leg in LEGS:
        if leg != "retained":
            for cause, count in world.ledger.drops(leg).items():
                sums[cause] += count
    return {cause.value: count for cause, count in sums.items() if count}


def _ledger(world: World) -> list[LedgerRow]:
    return [
        LedgerRow(row.leg, row.kind, row.opened, row.delivered, sum(row.dropped.values()), row.held)
        for row in world.ledger.rows()
    ]


def _rollouts(world: World, meter: Meter) -> list[RolloutRow]:
    start_ns = world.scenario.clock.start_unix_ns

    def since(utc_ns: int) -> float | None:
        return to_seconds(utc_ns - start_ns) if utc_ns else None

    def wave(row: rows.WaveRow) -> WaveRow:
        return WaveRow(
            share=row.share,
            size=row.size,
            offered=row.offered,
            exposed=row.exposed,
            committed=row.committed,
            failed=row.failed,
            rolled_back=row.rolled_back,
            opened_s=since(row.opened_ns),
            closed_s=since(row.closed_ns),
            e_value=row.e_value,
            verdict=row.verdict,
        )

    return [
        RolloutRow(
            name, row.plan.bundle, row.phase.name.lower(), row.why, [wave(w) for w in row.waves]
        )
        for name, row in meter.updates.rollouts.items()
    ]


def _drifts(meter: Meter, recorder: Recorder) -> list[DriftRow]:
    return [
        DriftRow(
            verdict=one.verdict,
            cohort=recorder.spell(one.cohort),
            start_s=to_seconds(one.began_ns),
            end_s=None if one.ended_ns < 0 else to_seconds(one.ended_ns),
            device=one.device,
            devices=one.devices,
            histogram=_histogram(one),
            effect=one.effect,
        )
        for one in meter.drift.stretches
    ]


def _histogram(one: Stretch) -> str:
    """As people call it; what the features of a picture are is known."""
    name = histogram_of(one.histogram)
    tail = " against its own past" if name != one.histogram else ""
    number = name.removeprefix("feature")
    return (FEATURE_NAMES[int(number)] if number.isdigit() else name).replace("_", " ") + tail


def _flags(meter: Meter) -> list[FlagRow]:
    return [_flag(spread) for spread in meter.sessions.spreads.values() if spread.told]


def _flag(spread: Spread) -> FlagRow:
    took = spread.latencies.between()

    def seconds(share: float) -> float | None:
        value = nearest_rank(took, share)
        return None if value is None else to_seconds(value)

    return FlagRow(
        at_s=to_seconds(spread.at_ns),
        what=spread.what,
        reached=len(took),
        p50_s=seconds(0.5),
        p99_s=seconds(0.99),
        last_s=seconds(1.0),
    )


def _percentiles(meter: Meter, recorder: Recorder, end: int) -> list[PercentileRow]:
    """Each latency over the whole run, and before, during and after the faults if there were any."""
    phases = [("whole run", 0, NEVER)]
    if recorder.bands:
        first = int(min(band.start_s for band in recorder.bands) * SECOND)
        last = int(max(band.end_s for band in recorder.bands) * SECOND)
        phases += [("before the faults", 0, first), ("faults", first, last)]
        if last < end:
            phases.append(("after the faults", last, NEVER))
    kinds: list[tuple[str, Latencies]] = [
        ("reconnect", meter.sessions.reconnects),
        ("kill to obeyed", meter.sessions.kills),
        ("offer", meter.updates.offers),
        ("update", meter.updates.updates),
    ]
    return [
        row
        for metric, latencies in kinds
        for phase, start, stop in phases
        if (row := _row(metric, phase, latencies.between(start, stop))).n
    ]


def _row(metric: str, phase: str, took: list[int]) -> PercentileRow:
    p50, p90, p99, most = (
        None if (value := nearest_rank(took, share)) is None else to_seconds(value)
        for share in (0.5, 0.9, 0.99, 1.0)
    )
    return PercentileRow(metric, phase, len(took), p50, p90, p99, most)


def _worst(world: World, recorder: Recorder) -> list[DeviceStory]:
    """The devices with most trouble; equal ones by how long they were away, then by index."""
    trouble, offline = recorder.trouble, recorder.offline_ns
    order = sorted(
        range(len(world.hosts)),
        key=lambda i: (-(trouble[i] + recorder.attempts[i] // 10), -offline[i], i),
    )
    stories = []
    for index in order[:WORST_DEVICES_MAX]:
        host = world.hosts[index]
        away = format_duration(offline[index] // SECOND * SECOND)
        score = f"{recorder.attempts[index]} connects, away {away}, trouble {trouble[index]}"
        lines = recorder.stories.lines(index)
        stories.append(DeviceStory(host.device, host.parts.group, score, lines))
    return stories


def _first_bad_minute(world: World, recorder: Recorder, checks: list[Check]) -> BadMinute | None:
    """The minute of the earliest failure, with the other stories of that minute."""
    lasting = [check for check in checks if check.kind in ("always", "eventually")]
    failed = [(check.first, check.row()) for check in lasting if check.first is not None]
    if not failed:
        return None
    first, row = min(failed, key=lambda pair: pair[0].at_ns)
    minute = first.at_ns // MINUTE * MINUTE
    lines = [f"{check.name}: {story}" for check in lasting
             for story in check.failed
             if story is not first and minute <= story.at_ns < minute + MINUTE]  # fmt: skip
    if first.device:
        index = world.host(first.device).index
        lines += recorder.stories.lines(index, minute + MINUTE)
    return BadMinute(to_seconds(minute), f"{row.name}: {row.story}", lines)
