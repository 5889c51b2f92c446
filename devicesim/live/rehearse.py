"""Run a scenario against a real broker: open, assemble, drive, judge, report.

Decides the order of these steps, with the very rehearsal of virtual time on another stage. Leaves out
the console (cli.py) and each step itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from devicesdk.wire.timebase import to_seconds
from devicesim.live.drive import drive
from devicesim.live.stage import LiveStage, Setting, open_stage
from devicesim.rehearse import Rehearsal
from devicesim.report.record import RunRecord, Venue
from devicesim.scenario.schema import Scenario

Pulse = Callable[[Rehearsal, int], None]


async def rehearse_live(
    scenario: Scenario,
    file: Path,
    *,
    seed: int | None = None,
    out: Path | None = None,
    overrides: tuple[str, ...] = (),
    until: int | None = None,
    broker: str = "auto",
    pulse: Pulse | None = None,
) -> tuple[Rehearsal, RunRecord]:
    """Run a scenario in real time, `clock.speed` times as fast as the wall.

    Args:
        scenario: loaded and checked, with ``clock.mode: real``.
        file: where it came from.
        seed: overrides the scenario's.
        out: folder for the run's files.
        overrides: what ``--set`` changed.
        until: scenario instant to stop at, ns.
        broker: ``auto``, ``mosquitto``, ``embedded`` or a URL.
        pulse: called with the rehearsal and the scenario instant now and then.

    Raises:
        BrokerError: no broker could be started, or none is known by that name.
    """
    with tempfile.TemporaryDirectory(prefix="fleetdrill-") as scratch:
        setting = Setting(folder=Path(scratch), speed=scenario.clock.speed, broker=broker)
        async with open_stage(setting) as stage:
            rehearsal = Rehearsal(
                scenario, file, seed=seed, out=out, overrides=overrides, stage=stage
            )
            digest = await drive(
                rehearsal.world,
                stage,
                until,
                None if pulse is None else lambda now: pulse(rehearsal, now),
            )
            record = rehearsal.conclude(digest, until, _venue(stage))
            return rehearsal, record


def _venue(stage: LiveStage) -> Venue:
    running = stage.running
    return Venue(
        mode="real",
        speed=stage.setting.speed,
        broker=running.name,
        lacks=list(running.lacks),
        tolerance_s=to_seconds(stage.tolerance_ns),
        lag_s=to_seconds(stage.pacer.lag_ns_max),
        held_s=to_seconds(stage.clock.held_ns) if stage.clock is not None else 0.0,
        held_share=stage.clock.held_share if stage.clock is not None else 0.0,
    )
