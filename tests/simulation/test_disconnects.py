"""The connection breaks at every message of a download, one run for each: no chunk comes twice."""

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.world.watch import Watcher
from tests_kit import worlds

SHARDS = 4


class Cutter(Watcher):
    """Resets the path at the n-th message received after the offer."""

    def __init__(self, world, nth):
        self.world, self.left, self.seen = world, nth, 0

    def received(self, host, message, now):
        if now < 30 * MINUTE:
            return
        self.seen += 1
        self.left -= 1
        if self.left == 0:
            self.world.kernel.at(now, self._cut, host)

    def _cut(self, now, host):
        host.path.overlay.reset = 1
        host.path.refresh(now)
        host.path.overlay.reset = 0
        host.path.refresh(now)


def update(nth):
    drill = worlds.make_drill(worlds.scenario_text(worlds.ROLLOUT, count=1, duration="70m"))
    cutter = Cutter(drill.world, nth)
    drill.world.watch.add(cutter)
    drill.world.run()
    return drill, cutter


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_disconnect_at_any_message_fetches_no_chunk_twice(shard):
    calm, counted = update(0)
    goal = calm.world.hosts[0].manifest
    assert counted.seen > 8
    for nth in range(1 + shard, counted.seen + 1, SHARDS):
        drill, _ = update(nth)
        told = f"disconnect at message {nth} of {counted.seen}"
        assert drill.world.hosts[0].manifest == goal, told
        assert drill.meter.refetched_chunks == 0, f"{told}: {drill.meter.refetched_chunks} again"
        assert worlds.broken(drill) == [], told
