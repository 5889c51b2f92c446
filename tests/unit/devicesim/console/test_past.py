"""The fleet by time: looked at once for each instant, however often the run is taken."""

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.console.memory import Memory
from devicesim.console.past import POINTS, Past
from devicesim.console.runs import open_run
from devicesim.console.take import Take
from devicesim.console.tape import Tape


def test_a_day_has_a_point_every_ten_minutes_and_an_hour_one_a_minute():
    assert Past(24 * HOUR).due(0) == 10 * MINUTE
    assert Past(HOUR).due(0) == MINUTE
    assert Past(10 * 24 * HOUR).due(0) * POINTS >= 10 * 24 * HOUR


def test_two_takes_have_one_past(finished):
    run = open_run(finished)
    past, tape = Past(run.end_ns), Tape()
    Take(run, tape, past, Memory(run.start_ms)).run(HOUR, lambda _: None)
    first = list(past.points)
    assert [point.at_ms - run.start_ms for point in first] == [n * 60_000 for n in range(1, 61)]
    assert first[-1].online == 5
    Take(run, tape, past, Memory(run.start_ms)).run(HOUR + 10 * MINUTE, lambda _: None)
    tape.close()
    assert past.points[:60] == first
    assert len(past.points) == 70
    assert past.until(run.start_ms + 30 * 60_000) == first[:30]
