"""Windows grow and shrink, patience follows what was measured."""

from __future__ import annotations

from devicesdk.agent.dice import Dice
from devicesdk.agent.pace import RTO_NS_MAX, RTO_NS_MIN, SERIALISATION_NS_MAX, Pace
from devicesdk.wire.timebase import MS, SECOND

CHUNK = 16_384


def _pace(chunk=CHUNK, round_bytes=131_072):
    pace = Pace()
    pace.begin(chunk, round_bytes)
    return pace


def test_the_window_starts_at_two_and_doubles_to_128_kib():
    pace = _pace()
    seen = []
    for _ in range(5):
        seen.append(pace.chunks)
        pace.round_over(pace.chunks * CHUNK, SECOND, clean=True)
    assert seen == [2, 4, 8, 8, 8]


def test_a_round_that_lost_something_does_not_grow_the_window():
    pace = _pace()
    pace.round_over(CHUNK, SECOND, clean=False)
    assert pace.chunks == 2


def test_a_timeout_halves_the_window_down_to_one():
    pace = _pace()
    for _ in range(3):
        pace.round_over(CHUNK, SECOND, clean=True)
    for expected in (4, 2, 1, 1):
        pace.timed_out()
        assert pace.chunks == expected


def test_large_chunks_go_one_by_one_and_small_ones_up_to_512():
    assert _pace(131_072).chunks == 1
    tiny = _pace(256)
    for _ in range(12):
        tiny.round_over(256, SECOND, clean=True)
    assert tiny.chunks == 512
    assert _pace(131_072, round_bytes=16_384).chunks == 1


def test_patience_is_clamped_and_spread_by_a_quarter():
    pace, dice = _pace(), Dice(1, 1)
    for _ in range(20):
        pace.answered(20 * MS)
        pace.round_over(100 * CHUNK, SECOND, clean=True)
    drawn = [pace.patience_ns(0, dice) for _ in range(200)]
    assert min(drawn) >= RTO_NS_MIN * 3 // 4
    assert max(drawn) <= RTO_NS_MIN * 5 // 4
    assert max(drawn) - min(drawn) > RTO_NS_MIN // 3, "no jitter: a fleet would ask in step"


def test_patience_doubles_with_each_timeout_up_to_its_bound():
    pace, dice = _pace(), Dice(1, 1)
    pace.answered(SECOND)
    before = pace.patience_ns(0, dice)
    pace.timed_out()
    assert pace.patience_ns(0, dice) > before * 6 // 5
    for _ in range(20):
        pace.timed_out()
    assert pace.patience_ns(0, dice) <= RTO_NS_MAX * 5 // 4


def test_a_slow_link_is_given_the_time_that_a_chunk_takes():
    pace, dice = _pace(), Dice(1, 1)
    for _ in range(30):
        pace.answered(600 * MS)
        pace.round_over(2_048, SECOND, clean=True)  # 2 KiB/s: a chunk takes 8 s
    assert pace.patience_ns(CHUNK, dice) > 8 * SECOND


def test_an_unmeasured_link_is_taken_for_a_slow_one_and_a_dead_one_has_a_bound():
    assert _pace().patience_ns(CHUNK, Dice(1, 1)) > 4 * SECOND
    pace = _pace()
    pace.round_over(1, 3_600 * SECOND, clean=True)
    assert pace.patience_ns(CHUNK, Dice(1, 1)) <= RTO_NS_MAX * 5 // 4 + SERIALISATION_NS_MAX


def test_round_trips_are_smoothed():
    pace = _pace()
    pace.answered(100 * MS)
    assert pace.rtt_ms == 100
    for _ in range(100):
        pace.answered(300 * MS)
    assert 290 <= pace.rtt_ms <= 300


def test_a_round_that_took_no_time_measures_nothing():
    pace = _pace()
    pace.round_over(CHUNK, 0, clean=True)
    assert pace.patience_ns(CHUNK, Dice(1, 1)) > 4 * SECOND
