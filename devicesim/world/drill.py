"""A world under observation: checks, measures and recorder attached, timeline armed.

Decides who watches a run and in which order; every shipped run goes through here, so that a scenario
is always checked. Leaves out what each of them sees.
"""

from __future__ import annotations

from devicesim.world.checks import make_checks
from devicesim.world.checks.check import Check
from devicesim.world.device_books import DeviceBooks
from devicesim.world.liveness import NAME, Healing
from devicesim.world.measures import Meter
from devicesim.world.recorder import Recorder
from devicesim.world.timeline import Timeline
from devicesim.world.world import World


class Drill:
    """Attaches everything that watches, and puts the timeline on the clock.

    Args:
        world: assembled and not run yet.
    """

    __slots__ = ("books", "checks", "meter", "recorder", "timeline", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.meter = Meter(world)
        world.watch.add(self.meter)
        self.checks: list[Check] = make_checks(world, self.meter)
        for check in self.checks:
            world.watch.add(check)
        self.recorder = Recorder(world, self.meter)
        world.watch.add(self.recorder)
        self.books = DeviceBooks(world, self.meter, self.recorder)
        world.watch.add(self.books)
        self.timeline = Timeline(world, self.meter.read_metric)
        self.timeline.arm()
        liveness = world.scenario.checks.liveness
        if liveness is not None and NAME not in world.stage.unseen:
            Healing(world, self.timeline, liveness).arm()
