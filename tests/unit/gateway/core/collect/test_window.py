from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE, NEVER
from gateway.core.collect import totals
from gateway.core.collect.cohorts import Cohorts
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import Entry
from gateway.core.collect.window import Window


@pytest.fixture
def cohorts() -> Cohorts:
    return Cohorts(8)


@pytest.fixture
def window(cohorts) -> Window:
    return Window(CollectLimits(block_messages=4), cohorts)


def entry(lab, errors=None, frames=4, **fields) -> Entry:
    message = lab.telemetry(frames=frames, **fields)
    return Entry("d", 1, 1, "c", histograms_of(message), frames, 0, -1, errors)


def test_the_first_to_speak_opens_it_until_the_next_boundary(lab, window, cohorts):
    assert window.closes_ns == NEVER
    window.count(cohorts.find(lab.BUNDLE, "a", "x"), entry(lab), 0, 20 * MINUTE)
    assert (window.opened_ns, window.closes_ns) == (20 * MINUTE, 30 * MINUTE)
    window.count(cohorts.find(lab.BUNDLE, "b", "x"), entry(lab), 1, 29 * MINUTE)
    assert window.closes_ns == 30 * MINUTE
    window.validate()


def test_a_full_block_is_folded_by_itself(lab, window, cohorts):
    cohort = cohorts.find(lab.BUNDLE, "a", "x")
    for index in range(5):
        window.count(cohort, entry(lab, {"E": index}), index, 0)
        window.validate()
    assert window.open_frames() == 16
    window.fold()
    assert window.open_frames() == 20
    assert cohort.errors == {"E": 10}


def test_closing_forgets_sums_but_not_what_was_counted(lab, window, cohorts):
    cohort = cohorts.find(lab.BUNDLE, "a", "x")
    window.count(cohort, entry(lab), 0, 0)
    window.fold()
    window.next()
    assert (window.number, window.closes_ns, cohort.slot) == (1, NEVER, -1)
    window.validate()
    window.count(cohort, entry(lab), 0, 16 * MINUTE)
    window.validate()
    assert window.frames_accepted == 8
    assert cohort.spoke == 1


def test_open_sums_survive_their_row(lab, window, cohorts):
    cohort = cohorts.find(lab.BUNDLE, "a", "x")
    for look in (1, 2, 3):
        window.count(cohort, entry(lab, {"E": 1}, look=look), look, 0)
    window.fold()
    other_cohorts = Cohorts(8)
    other = Window(CollectLimits(), other_cohorts)
    again = other_cohorts.find(lab.BUNDLE, "a", "x")
    assert again is not None
    other.load(again, window.open_row(cohort), 0)
    other.validate()
    assert other.sums.row(again.slot) == window.sums.row(cohort.slot)
    mine, theirs = window.sums.likeness.of(cohort.slot, 0), other.sums.likeness.of(again.slot, 0)
    assert theirs.devices == mine.devices == 3
    assert theirs.squares.tolist() == mine.squares.tolist()
    assert (other.accepted, other.frames_accepted, again.errors) == (3, 12, {"E": 3})


def test_a_lost_frame_is_noticed(lab, window, cohorts):
    cohort = cohorts.find(lab.BUNDLE, "a", "x")
    window.count(cohort, entry(lab), 0, 0)
    window.frames_accepted += 1
    with pytest.raises(AssertionError, match="5 frames were accepted, 4 are in windows"):
        window.validate()
    window.frames_accepted -= 1
    window.sums.open_slot()
    with pytest.raises(AssertionError, match="without a cohort"):
        window.validate()


def test_inconsistent_messages_are_accounted_for(lab, window, cohorts):
    cohort = cohorts.find(lab.BUNDLE, "a", "x")
    good = entry(lab)
    window.count(cohort, Entry("d", 1, 1, "c", good.histograms, 2, 0, -1, None), 0, 0)
    window.fold()
    window.validate()
    assert window.sums.inconsistent_frames == 2
    assert window.sums.scalar(cohort.slot, totals.FRAMES) == 0
