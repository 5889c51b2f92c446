"""A scenario that replays a recording is run, and held against it.

Decides what is run and what comes out of it. Leaves out the comparison (curve.py) and the console.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from devicesim.recordings.curve import Deviation
from devicesim.recordings.intervals import RecordingError
from devicesim.rehearse import Rehearsal, open_scenario

if TYPE_CHECKING:
    from devicesim.report.terminal import Progress
    from devicesim.scenario.schema import Scenario


def replayed(
    file: Path, progress: Callable[[Scenario], AbstractContextManager[Progress]]
) -> tuple[Deviation, Scenario]:
    """Run the scenario in `file` in virtual time; gives both curves and the scenario.

    Raises:
        RecordingError: it follows no recording.
        ScenarioError: it is invalid.
    """
    scenario = open_scenario(file)
    rehearsal = Rehearsal(scenario, file)
    world, meter = rehearsal.world, rehearsal.drill.meter
    if meter.replay is None:
        raise RecordingError(f"{file}: expected a group with presence, found none")
    with progress(scenario) as bar:
        rehearsal.run(
            None,
            lambda now: bar.update(
                now, online=meter.online_count, devices=len(world.hosts), events=world.kernel.events
            ),
        )
    return meter.replay.deviation(scenario.clock.duration_ns), scenario
