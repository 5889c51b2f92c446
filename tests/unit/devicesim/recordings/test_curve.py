from __future__ import annotations

from array import array

import pytest

from devicesim.recordings.curve import compare, online_curve, steps_of

S, M = 10**9, 60 * 10**9


def edges(*seconds):
    return array("q", [int(each * S) for each in seconds])


def test_a_point_is_the_mean_over_its_minute():
    assert online_curve([edges(0, 30), edges(45, 135)], 180 * S) == [0.75, 1.0, 0.25]


def test_sessions_within_across_and_beyond():
    assert online_curve([edges(10, 20, 40, 50)], 60 * S) == [pytest.approx(1 / 3)]
    assert online_curve([edges(0, 500)], 120 * S) == [1.0, 1.0]
    assert online_curve([], 120 * S) == [0.0, 0.0]


def test_a_short_rest_is_no_point_and_a_long_one_is():
    assert [steps_of(n * S, M) for n in (20, 60, 80, 90, 119, 120)] == [1, 1, 1, 2, 2, 2]
    assert online_curve([edges(60, 75)], 90 * S) == [0.0, 0.5]


def test_the_curve_is_the_sum_of_all_time():
    stream = iter(range(3, 10_000, 7))
    presence = []
    for _ in range(50):
        at, mine = 0, []
        while at < 500:
            up = at + next(stream) % 50 + 1
            at = up + next(stream) % 90 + 1
            mine += [up, at]
        presence.append(edges(*mine))
    total = sum(
        min(d, 600 * S) - min(u, 600 * S)
        for e in presence
        for u, d in zip(e[::2], e[1::2], strict=True)
    )
    assert sum(online_curve(presence, 600 * S)) * 60 == pytest.approx(total / S)


def test_the_deviation_is_a_share_of_the_devices():
    found = compare([10.0, 8.0, 0.0], [10.0, 7.0, 0.5], 10)
    assert found.apart == (0.0, 0.1, 0.05)
    assert found.worst == 0.1
    assert found.greatest(2) == [1, 2]


def test_what_nobody_saw_is_not_compared():
    found = compare([10.0, 8.0], [10.0, 0.0], 10, unknown=((70 * S, 71 * S),))
    assert found.apart == (0.0, None)
    assert compare([1.0], [0.0], 1, unknown=((0, M),)).worst is None
