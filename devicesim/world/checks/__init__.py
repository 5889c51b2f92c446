"""The checks of a virtual world: what always holds, what must come to pass, what must have happened.

Decides which class keeps which promise of the scenario language; a test holds the two vocabularies
against each other. Leaves out the promises' meaning, which each class states.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from devicesim.scenario.promises import Promise
from devicesim.world.checks import (
    choices,
    convergence,
    exposure,
    halts,
    holdouts,
    images,
    messages,
    physics,
    promises,
    releases,
    retries,
    sometimes,
    transfers,
    verdicts,
    versions,
    waves,
)
from devicesim.world.checks.check import Check, Story, Unseen
from devicesim.world.checks.outcomes import EventuallyCheck, Finally, MeasuredCheck, ServiceLevel
from devicesim.world.liveness import NAME
from devicesim.world.readings import Readings, promises_of

if TYPE_CHECKING:
    from devicesim.world.measures import Meter
    from devicesim.world.world import World

__all__ = ["ALWAYS_CHECKS", "SOMETIMES_CHECKS", "Check", "Story", "make_checks"]

_ALWAYS: Final[tuple[type[Check], ...]] = (
    messages.Conservation,
    releases.NoFalseSuccess,
    images.DigestBeforeActivation,
    transfers.Resume,
    images.BootableSlot,
    images.NoReflash,
    images.HardwareFit,
    waves.WaveCap,
    halts.HaltHolds,
    versions.VersionsRise,
    messages.OneSession,
    messages.DeadLinkNoticed,
    retries.BoundedRetry,
    messages.BoundedQueues,
    physics.Energy,
    physics.TelemetryCounts,
    exposure.ExposureCap,
    messages.SilentWhenOff,
)
_SOMETIMES: Final[tuple[type[Check], ...]] = (
    sometimes.ResumedMidChunk,
    sometimes.DuplicateDelivered,
    sometimes.RollbackRan,
    sometimes.SessionLostMidTransfer,
    sometimes.ThrottledWhileUpdating,
    sometimes.DiedMidFlash,
    sometimes.DiedEmptyMidFlash,
    sometimes.Clock1970AtConnect,
    sometimes.BrokerRestartMidWave,
    sometimes.WaveHaltedByItself,
    exposure.CandidateRan,
    exposure.ExperimentStopped,
    exposure.ExperimentPromoted,
    choices.RuleSteppedDown,
    choices.RuleSteppedBack,
    choices.RefusedBeforeTrial,
)
ALWAYS_CHECKS: Final[dict[str, type[Check]]] = {check.name: check for check in _ALWAYS}
SOMETIMES_CHECKS: Final[dict[str, type[Check]]] = {check.name: check for check in _SOMETIMES}


def make_checks(world: World, meter: Meter) -> list[Check]:
    """Make the checks that the world's scenario asks for; they already hear what is said.

    Args:
        world: what is watched; the caller adds each check to its `watch`.
        meter: reads measures, and owns the hearing that the checks are added to.
    """
    wanted = world.scenario.checks
    unseen = world.stage.unseen
    if not world.scenario.experiments:
        unseen = {**unseen, exposure.NAME: "no experiment in this scenario"}
    readings = _readings(world, meter)
    checks: list[Check] = [_always(world, readings, item, unseen) for item in wanted.always]
    checks += [
        SOMETIMES_CHECKS[item](world)
        if isinstance(item, str)
        else promises.SometimesPromise(world, readings, item)
        for item in wanted.sometimes
    ]
    checks += [
        promises.EventuallyPromise(world, readings, must)
        if isinstance(must, Promise)
        else EventuallyCheck(world, meter, must)
        for must in wanted.eventually
    ]
    checks += [verdicts.VerdictCheck(world, meter, must) for must in wanted.verdicts]
    checks += [
        promises.EndPromise(world, readings, must)
        if isinstance(must, Promise)
        else Finally(world, meter, must)
        for must in wanted.at_end
    ]
    checks += [
        promises.LevelPromise(world, readings, must)
        if isinstance(must, Promise)
        else ServiceLevel(world, meter, must)
        for must in wanted.slo
    ]
    if wanted.liveness is not None:
        blind = unseen.get(NAME)
        checks.append(
            convergence.Converges(world, meter, wanted.liveness)
            if blind is None
            else Unseen(world, NAME, blind)
        )
    for check in checks:
        meter.hearing.add(check)
        if isinstance(check, EventuallyCheck | MeasuredCheck):
            check.holdouts = partial(holdouts.find, world, meter)
    return checks


def _readings(world: World, meter: Meter) -> Readings:
    """What expressions read; it watches only where there is an expression."""
    mine = [promise.expect for promise in promises_of(world.scenario.checks)]
    readings = Readings(world, meter, mine)
    if mine:
        world.watch.add(readings)
    return readings


def _always(
    world: World, readings: Readings, item: str | Promise, unseen: Mapping[str, str]
) -> Check:
    if isinstance(item, Promise):
        return promises.AlwaysPromise(world, readings, item)
    return Unseen(world, item, unseen[item]) if item in unseen else ALWAYS_CHECKS[item](world)
