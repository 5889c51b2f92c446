from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from gateway.core.transfers.budget import Budget


def test_a_full_bucket_gives_its_burst_and_then_its_rate() -> None:
    budget = Budget(1000, 500)
    assert budget.fits_bytes(0, 0) == 500
    budget.take(500, 0)
    assert budget.fits_bytes(0, 0) == 0
    assert budget.fits_bytes(SECOND // 10, 0) == 100
    assert budget.fits_bytes(60 * SECOND, 0) == 500


def test_a_reserve_stays_for_others() -> None:
    budget = Budget(1000, 500)
    assert budget.fits_bytes(0, 500) == 250
    budget.take(300, 0)
    assert budget.fits_bytes(0, 500) == 0
    assert budget.fits_bytes(0, 0) == 200


def test_over_a_long_time_no_more_than_the_rate_is_spent() -> None:
    budget, spent = Budget(1000, 500), 0
    for tick in range(10_000):
        now = tick * SECOND // 1000
        fits = budget.fits_bytes(now, 0)
        if fits >= 7:
            budget.take(7, now)
            spent += 7
    assert 500 + 9.9 * 1000 - 14 <= spent <= 500 + 10 * 1000


def test_promises_follow_each_other() -> None:
    budget = Budget(1000, 500)
    budget.take(500, 0)
    first, second = (budget.promise(100, 0, 0) for _ in range(2))
    assert (first, second) == (SECOND // 10, SECOND // 5)
    assert budget.fits_bytes(first, 0) == 100
    assert budget.promise(100, 500, 0) > second


def test_the_idlest_budget_is_the_one_that_is_full_longest() -> None:
    budget = Budget(1000, 500)
    assert budget.idle_since_ns() == 0
    budget.take(100, SECOND)
    assert budget.idle_since_ns() == SECOND + SECOND // 10


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-5, 5)])
def test_a_budget_of_nothing_is_refused(rate: int, burst: int) -> None:
    with pytest.raises(ValueError, match="pause the deployment"):
        Budget(rate, burst)
