"""What a plan may say of when and how many."""

import pytest

from devicesdk.wire.timebase import SECOND
from gateway.core.pace import (
    Budget,
    Pace,
    pace_of,
    read_budgets,
    read_instant,
    read_windows,
    refusal,
    utc_text,
)
from gateway.core.zones import FixedZones


def test_budgets_are_counts_or_shares_in_the_order_of_their_labels():
    budgets = read_budgets({"ward": "12.5 %", "site": 2})
    assert budgets == (Budget("site", count=2), Budget("ward", share=0.125))
    assert [str(budget) for budget in budgets] == ["site: 2", "ward: 12.5%"]
    assert [budgets[1].most(devices) for devices in (1, 8, 15, 16)] == [1, 1, 1, 2]


@pytest.mark.parametrize("value", [0, -1, True, "0%", "101%", "2", "ten"])
def test_other_budgets_are_refused(value):
    with pytest.raises(ValueError, match=r"expected a budget such as 2 or 10%"):
        read_budgets({"site": value})


def test_an_instant_has_its_zone():
    assert read_instant("") == 0
    assert read_instant("1970-01-02T02:00:00+02:00") == 24 * 3600 * SECOND
    assert utc_text(read_instant("2026-03-01T02:00:00Z")) == "2026-03-01 02:00Z"
    for text in ("2026-03-01T02:00:00", "tomorrow"):
        with pytest.raises(ValueError, match="expected an instant"):
            read_instant(text)


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (Pace(zone="Mars/Olympus"), "time zone"),
        (Pace(start_at_ns=-1), "start after 1970"),
        (Pace(late_per_hour=-1), "late joiners"),
        (Pace(windows=read_windows(("01:00-02:00",)) * 17), "at most 16 windows"),
        (Pace(budgets=(Budget("site"),)), "by count or by share"),
        (Pace(budgets=(Budget("site", 1, 0.5),)), "by count or by share"),
        (Pace(budgets=(Budget("", 1),)), "budget of a label"),
        (Pace(approvals=(2,)), "waves 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(pace, said):
    assert said in refusal(pace, 2, FixedZones())


def test_a_pace_that_asks_for_nothing_is_none():
    assert refusal(Pace(), 1, FixedZones()) == ""
    assert pace_of(Pace()) is None
    assert pace_of(Pace(late_per_hour=1)) == Pace(late_per_hour=1)
