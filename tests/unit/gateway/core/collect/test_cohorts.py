from __future__ import annotations

from gateway.core.collect.cohorts import UNKNOWN, Cohort, Cohorts, label

BUNDLE = b"bundle-1"


def test_labels_become_part_of_a_name():
    assert label({"region": "eu/west"}, ("region",)) == "eu_west"
    assert label({"profile": "p", "hardware": "h"}, ("hardware", "profile")) == "h"
    assert label({"hardware": "", "profile": "p"}, ("hardware", "profile")) == "p"
    assert label({}, ("region",)) == UNKNOWN


def test_the_same_three_are_the_same_cohort():
    cohorts = Cohorts(10)
    one = cohorts.find(BUNDLE, "arm64", "eu")
    assert one is cohorts.find(BUNDLE, "arm64", "eu") is cohorts.get(f"{BUNDLE.hex()}/arm64/eu")
    assert one is not cohorts.find(BUNDLE, "arm64", "us")
    assert one is not None
    assert (one.bundle, one.hardware, one.region) == (BUNDLE, "arm64", "eu")
    assert cohorts.get("nobody") is None


def test_without_a_bundle_there_is_a_cohort_too():
    cohort = Cohorts(1).find(b"", "arm64", "eu")
    assert cohort is not None
    assert cohort.bundle == b""


def test_when_full_the_one_silent_longest_makes_room():
    cohorts = Cohorts(2)
    old, new = cohorts.find(BUNDLE, "a", "x"), cohorts.find(BUNDLE, "b", "x")
    assert old is not None
    assert new is not None
    old.spoke, new.spoke = 3, 4
    assert cohorts.find(BUNDLE, "c", "x") is not None
    assert old.bundle is None, "devices that knew the forgotten cohort must look again"
    assert new.bundle == BUNDLE
    assert len(cohorts) == 2


def test_a_cohort_that_speaks_is_never_forgotten():
    cohorts = Cohorts(1)
    speaking = cohorts.find(BUNDLE, "a", "x")
    assert speaking is not None
    speaking.slot = 0
    assert cohorts.find(BUNDLE, "b", "x") is None
    assert cohorts.named(f"{BUNDLE.hex()}/c/x") is None
    assert cohorts.spoke() == cohorts.all() == [speaking]


def test_error_codes_are_bounded_and_never_negative():
    cohort = Cohort(f"{BUNDLE.hex()}/a/x")
    cohort.add_errors({"E1": 2, "E2": -5}, 2)
    cohort.add_errors({"E1": 1, "E3": 4, "E4": 1}, 2)
    assert cohort.errors == {"E1": 3, "E2": 0, "other": 5}


def test_error_counts_stop_where_a_row_can_still_hold_them():
    cohort = Cohort(f"{BUNDLE.hex()}/a/x")
    for _ in range(3):
        cohort.add_errors({"E1": 2**53}, 2)
    assert cohort.errors == {"E1": 2**53}


def test_the_next_window_begins_empty():
    cohort = Cohort(f"{BUNDLE.hex()}/a/x")
    cohort.slot = 4
    cohort.add_errors({"E1": 2}, 8)
    cohort.next_window()
    assert (cohort.slot, cohort.errors, cohort.distinct) == (-1, {}, None)
