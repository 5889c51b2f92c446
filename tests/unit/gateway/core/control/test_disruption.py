"""Who counts against a budget."""

from gateway.core.control.disruption import Disruption, unavailable
from gateway.core.control.twins import Twin
from gateway.core.pace import Budget
from gateway.core.rows import DesiredRow, DeviceRow, Outcome, PresenceRow, Purpose


def twin(name, site="a", *, online=True, at_work=False, hold=False, enrolled=True):
    found = Twin(name)
    labels = {} if site is None else {"site": site}
    found.device = DeviceRow(labels, enrolled=enrolled)
    found.presence = PresenceRow(1, 1, online=online)
    outcome = Outcome.OPEN if at_work else Outcome.COMMITTED
    found.desired = DesiredRow(1, b"m", "r1", Purpose.UPDATE, hold=hold, outcome=outcome)
    return found


def test_offline_or_at_work_is_unavailable_and_told_to_stay_is_not():
    assert not unavailable(twin("a"))
    assert unavailable(twin("a", online=False))
    assert unavailable(twin("a", at_work=True))
    assert not unavailable(twin("a", at_work=True, hold=True))
    assert unavailable(Twin("never seen"))


def test_one_more_is_counted_until_the_budget_is_full():
    fleet = [twin(f"d{n}") for n in range(5)] + [twin("gone", online=False)]
    books = Disruption((Budget("site", count=2),), fleet)
    assert books.full(fleet[0]) == ""
    books.take(fleet[0])
    assert books.full(fleet[1]) == "site=a: 2 of 2 are updating or offline"
    assert books.full(fleet[5]) == "", "one that is away already takes no second place"


def test_who_comes_back_together_is_not_offered_anything_while_the_budget_is_overdrawn():
    fleet = [twin(f"d{n}", online=False) for n in range(3)]
    books = Disruption((Budget("site", count=2),), fleet)
    assert all(books.full(device) for device in fleet)


def test_a_share_is_of_those_enrolled_with_that_value_and_at_least_one():
    fleet = [twin(f"d{n}") for n in range(9)] + [twin("b", "b"), twin("x", enrolled=False)]
    books = Disruption((Budget("site", share=0.2),), fleet)
    books.take(fleet[0])
    assert books.full(fleet[1]) == "site=a: 1 of 1 are updating or offline"
    assert books.full(fleet[9]) == "", "another site"


def test_a_device_without_the_label_is_bounded_by_nothing():
    fleet = [twin("a", None), twin("b", None)]
    books = Disruption((Budget("site", count=1),), fleet)
    books.take(fleet[0])
    assert books.full(fleet[1]) == ""


def test_all_budgets_must_have_room():
    fleet = [twin("a"), twin("b")]
    fleet[0].device = DeviceRow({"site": "a", "ward": "1"}, enrolled=True)
    books = Disruption((Budget("site", count=2), Budget("ward", count=1)), fleet)
    books.take(fleet[0])
    assert books.full(fleet[1]) == ""
    fleet[1].device = DeviceRow({"site": "a", "ward": "1"}, enrolled=True)
    assert books.full(fleet[1]) == "ward=1: 1 of 1 are updating or offline"
