"""A flood is told by a handful of lines, whoever sends it, and everybody's first line is written."""

from devicesdk.aio.log_brake import CULPRITS_MAX, WINDOW_NS, LogBrake


def test_two_thousand_of_one_culprit_are_four_lines_with_their_counts():
    brake = LogBrake()
    told = [count for _ in range(2000) if (count := brake.tells("garbage", "dev-1", 5))]
    assert told == [1, 10, 100, 1000]


def test_events_and_culprits_are_counted_apart():
    brake = LogBrake()
    assert [brake.tells("garbage", "dev-1", 0) for _ in range(2)] == [1, 0]
    assert brake.tells("garbage", "dev-2", 0) == 1
    assert brake.tells("too large", "dev-1", 0) == 1


def test_a_new_window_begins_with_a_line():
    brake = LogBrake()
    assert brake.tells("garbage", "dev-1", 7) == 1
    assert brake.tells("garbage", "dev-1", 7 + WINDOW_NS - 1) == 0
    assert brake.tells("garbage", "dev-1", 7 + WINDOW_NS) == 1


def test_more_culprits_than_the_bound_share_one_count():
    brake = LogBrake()
    told = [brake.tells("garbage", f"dev-{number}", 0) for number in range(CULPRITS_MAX + 1000)]
    assert told[:CULPRITS_MAX] == [1] * CULPRITS_MAX
    assert [count for count in told[CULPRITS_MAX:] if count] == [1, 10, 100, 1000]
    assert brake.tells("garbage", "dev-0", 0) == 0, "who was known before goes on being counted"
