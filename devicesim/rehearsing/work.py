"""Rehearses a job: fetches, composes, runs each seed until the rollout is over, and tells the verdict.

Decides the order, when a run is over, and what is told while it goes on. Leaves out every step itself.

Rules: a run ends when its rollout has, and the fleet was watched for `WATCHED` more, or its time is up; the first seed that
fails is told in full; all seeds are run, so that a verdict says how many held.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND, format_duration
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.rehearsing.bundles import NotRehearsable, ReadBlob, blobs_in, unpack
from devicesim.rehearsing.compose import ROLLOUT, Composed, Composer
from devicesim.rehearsing.truth import read_by, reads_worse
from devicesim.rehearsing.verdict import Ran, verdict_of
from devicesim.scenario import ScenarioError
from devicesim.stock import PLANS_SUFFIX, load_profiles
from devicesim.world.world import one_core, patient_collector, quiet_collector
from gateway.core.rehearsals.job import REFUSED, Job, Named, Step, Verdict, cut

STEP: Final = 5 * MINUTE
"""How often a run is looked at."""
WATCHED: Final = HOUR
"""After the rollout has ended."""
FILE: Final = "scenario.yaml"
BEFORE: Final = "0.0.0"
"""Version under which a candidate's own bytes stand for what runs, where nothing does."""
Tell = Callable[[Step], None]


def rehearse_job(job: Job, tell: Tell) -> Verdict:
    """Rehearse it; leaves the scenario, its bundles and the reports in the job's folder.

    Args:
        job: what is asked.
        tell: hears how far it is.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        composed = _composed(job, folder, blobs_in(Path(job.blobs)))
        runs = [_run(job, folder, place, tell) for place in range(len(job.seeds))]
    except (NotRehearsable, ScenarioError, ValueError) as error:
        return Verdict(outcome=REFUSED, why=cut(str(error)))
    return verdict_of(runs, composed.assumptions)


def _composed(job: Job, folder: Path, read: ReadBlob) -> Composed:
    if (folder / FILE).exists():
        raise NotRehearsable(f"expected no rehearsal in {folder} yet, found one: say --out")
    if not job.shape.groups or not any(group.selected for group in job.shape.groups):
        raise NotRehearsable("expected a plan that is for some enrolled device, found none")
    said: list[str] = []
    factory, bundles, candidate = _fetched(job, folder / "bundles", read, said)
    file = folder / FILE
    profiles, links = load_profiles(file)
    composed = Composer(job, factory, candidate, profiles, links).compose(bundles)
    file.write_text(composed.text, encoding="utf-8")
    plans = msgspec.json.encode({ROLLOUT: composed.plan})
    file.with_suffix(PLANS_SUFFIX).write_bytes(plans)
    told = (*said, *composed.assumptions)
    return Composed(composed.text, composed.plan, composed.devices, told)


def _fetched(
    job: Job, folder: Path, read: ReadBlob, said: list[str]
) -> tuple[dict[str, str], dict[str, str], str]:
    """Bundles: the virtual fleet's by what devices run, directories by name, and the candidate."""
    bundles: dict[str, str] = {}

    def fetch(bundle: Named, version: str = "") -> str:
        where = folder / bundle.digest[:16] / (version or "own")
        name = unpack(read, bundle, where, version)
        bundles[name] = str(where.resolve())
        return name

    factory: dict[str, str] = {}
    for bundle in job.others:
        if bundle.name == job.candidate.name:
            continue
        try:
            factory[bundle.name] = fetch(bundle)
        except NotRehearsable as error:
            said.append(cut(f"{bundle.name} cannot be run here: {error}"))
    candidate = fetch(job.candidate)
    same = candidate.partition("@")[0]
    factory = {k: v for k, v in factory.items() if v.partition("@")[0] == same}
    if any(group.running == job.candidate.name for group in job.shape.groups):
        factory[job.candidate.name] = candidate
    if not factory:
        factory[""] = fetch(job.candidate, BEFORE)
        said.append(
            "nothing else that can be run runs there yet: the candidate replaces a copy of itself"
        )
    return factory, {name: bundles[name] for name in _factory_first(bundles, factory)}, candidate


def _factory_first(bundles: dict[str, str], factory: dict[str, str]) -> list[str]:
    wanted = list(dict.fromkeys(factory.values()))
    return [*wanted, *(name for name in bundles if name not in wanted)]


def _run(job: Job, folder: Path, place: int, tell: Tell) -> Ran:
    seed = job.seeds[place]
    file = folder / FILE
    rehearsal = Rehearsal(
        open_scenario(file), file, seed=seed, folder=folder / f"seed-{seed}", explain=True
    )
    world = rehearsal.world
    begun, count = place / len(job.seeds), len(job.seeds)

    def breathe(now: int) -> None:
        share = _progress(rehearsal, now)
        doing = f"seed {seed}: {format_duration(now // SECOND * SECOND) if now else '0s'} of virtual time"
        tell(Step(share=min(1.0, begun + share / count), doing=doing))

    end = world.open(None, breathe)
    now, ends = 0, end
    with patient_collector(), quiet_collector(), one_core():
        while now < ends:
            now = min(ends, now + STEP)
            world.kernel.run(now, world.breathe)
            if ends == end and _over(rehearsal):
                ends = min(end, now + WATCHED)
        digest = world.close(now)
    read = read_by(world.pool.variant_stats())
    record = rehearsal.conclude(digest, now, pulse=breathe)
    return Ran(record, reads_worse(read, job.candidate.name))


def _over(rehearsal: Rehearsal) -> bool:
    """Whether the rollout has begun and ended."""
    row = rehearsal.drill.meter.updates.rollouts.get(ROLLOUT)
    return row is not None and row.phase.ended


def _progress(rehearsal: Rehearsal, now: int) -> float:
    """A guess of how much is done: by waves, and a little by time."""
    row = rehearsal.drill.meter.updates.rollouts.get(ROLLOUT)
    if row is None:
        return min(0.1, now / (10 * HOUR))
    if row.phase.ended:
        return 0.95
    done = sum(wave.closed_ns > 0 for wave in row.waves)
    return 0.1 + 0.8 * done / max(1, len(row.plan.waves))


def bounded(memory_bytes: int, cpu_s: int) -> None:
    """Bound this process: past it an allocation fails, or it is ended."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
