from devicesim.world.watch import MOMENTS, Watch, Watcher


class Minutes(Watcher):
    def __init__(self):
        self.seen = []

    def checkpoint(self, now):
        self.seen.append(now)


def test_only_those_who_override_a_moment_are_called_at_it():
    watch, minutes = Watch(), Minutes()
    watch.add(minutes)
    watch.add(Watcher())
    assert {m for m in MOMENTS if getattr(watch, m)} == {"checkpoint"}
    for seen in watch.checkpoint:
        seen(60)
    assert minutes.seen == [60]
    assert watch.watchers[0] is minutes
