from __future__ import annotations

import pytest

from devicesim.models.datastream import FAULTS_PER_DEVICE_MAX, Condition
from devicesim.models.faultbook import FaultBook


def test_shares_leave_shares_and_sums_add():
    book = FaultBook()
    first = book.apply(Condition.DIM, 0.5)
    book.apply(Condition.DIM, 0.5)
    book.apply(Condition.PRIOR_SHIFT, -0.25)
    assert book.left_of(Condition.DIM) == 0.75
    assert book.sum_of(Condition.PRIOR_SHIFT) == -0.25
    book.undo(first)
    assert book.left_of(Condition.DIM) == 0.5
    assert not book.has(Condition.STUCK)
    with pytest.raises(KeyError):
        book.undo(first)


def test_amounts_and_numbers_are_bounded():
    book = FaultBook()
    with pytest.raises(ValueError, match="shares, not percent"):
        book.apply(Condition.HAZE, 40)
    for _ in range(FAULTS_PER_DEVICE_MAX):
        book.apply(Condition.HAZE, 0.1)
    with pytest.raises(ValueError, match="at most 16"):
        book.apply(Condition.HAZE, 0.1)
