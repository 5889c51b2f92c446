"""Small worlds under a fault, with a diary of what devices went through: for tests of faults."""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.watch import Watcher
from tests_kit import worlds


class Diary(Watcher):
    """Who came and went when, in minutes, and how many were online at each minute."""

    def __init__(self, drill, probes_s=60):
        self.world, self.drill = drill.world, drill
        self.came, self.went, self.tried, self.got = [], [], [], []
        self.online = {}
        self._every = probes_s * SECOND
        self.world.kernel.at(self._every, self._look)

    def _look(self, now, _):
        self.online[now / MINUTE] = self.drill.meter.sessions.online_count
        self.world.kernel.at(now + self._every, self._look)

    def connected(self, host, now):
        self.came.append((now / MINUTE, host.device))

    def disconnected(self, host, now, reason):
        self.went.append((now / MINUTE, host.device, reason))

    def attempted(self, host, now):
        self.tried.append((now / MINUTE, host.device))

    def received(self, host, message, now):
        self.got.append((now / MINUTE, host.device, message.kind))

    def between(self, what, begin, end):
        """The entries of a list from one minute to another."""
        return [entry for entry in what if begin <= entry[0] < end]


def ran(timeline, rest="", *, count=4, duration="60m", before=None, **more):
    """Run devices through a timeline; `before` may look at the drill first. Returns drill and diary."""
    text = worlds.scenario_text(
        rest + f"timeline: [{', '.join(timeline)}]\n", count=count, duration=duration, **more
    )
    drill = worlds.make_drill(text)
    diary = Diary(drill)
    drill.world.watch.add(diary)
    if before is not None:
        before(drill)
    drill.world.run()
    return drill, diary


def nothing_left(drill):
    """Whether no path has anything laid over it any more."""
    return [
        host.device
        for host in drill.world.hosts
        if host.path.gates is not None
        or host.path.black
        or host.path.stuffed
        or any(getattr(host.path.overlay, name) for name in type(host.path.overlay).__slots__)
    ]
