"""Token buckets: how much at once, how much in the long run."""

from gateway.api.limiter import NAMES_MAX, Limiter

SECOND = 10**9


def test_a_burst_is_let_in_and_then_one_at_a_time():
    limiter = Limiter(per_s=2.0, burst=3)
    assert [limiter.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", 0) == SECOND // 2
    assert limiter.take("a", SECOND // 2 - 1) == 1
    assert limiter.take("a", SECOND // 2) == 0
    assert limiter.take("a", SECOND // 2) == SECOND // 2


def test_who_is_refused_pays_nothing_and_a_rest_fills_the_bucket():
    limiter = Limiter(per_s=1.0, burst=2)
    assert [limiter.take("a", 0) for _ in range(2)] == [0, 0]
    for _ in range(100):
        assert limiter.take("a", 0) == SECOND, "a refusal moved the bucket on"
    assert [limiter.take("a", 100 * SECOND) for _ in range(3)] == [0, 0, SECOND]


def test_names_do_not_share_and_their_number_is_bounded():
    limiter = Limiter(per_s=1.0, burst=1)
    assert limiter.take("a", 0) == 0
    assert limiter.take("b", 0) == 0
    for number in range(2 * NAMES_MAX):
        limiter.take(f"n{number}", 0)
    assert len(limiter) == NAMES_MAX
