"""What is remembered of a run's devices and rollouts, in the run's time."""

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.console.memory import Memory
from devicesim.console.past import Past
from devicesim.console.runs import open_run
from devicesim.console.take import Take
from devicesim.console.tape import Tape


def test_a_take_is_remembered_and_the_next_one_begins_anew(finished):
    run = open_run(finished)
    memory, tape, past = Memory(run.start_ms), Tape(), Past(run.end_ns)
    Take(run, tape, past, memory).run(HOUR, lambda _: None)
    events = memory.events("kiosk-0003")
    kinds = [one.kind for one in events]
    assert "connected" in kinds
    assert ("outcome", "committed") in [(one.kind, one.about) for one in events]
    assert all(run.start_ms <= one.at_ms <= run.start_ms + 3_600_000 for one in events)
    windows = memory.windows("kiosk-0003")
    assert 1 <= len(windows) <= 4, "a window every quarter of an hour"
    points = memory.points("r1")
    assert points[-1].committed == 5
    assert points[0].at_ms >= run.start_ms + 30 * 60_000
    assert memory.since_ms == run.start_ms
    Take(run, tape, past, memory).run(20 * MINUTE, lambda _: None)
    tape.close()
    assert memory.points("r1") == []
    again = memory.events("kiosk-0003")
    assert again == events[: len(again)], "the same run"
    assert len(again) < len(events)
