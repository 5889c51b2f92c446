"""One device that fails its own probe is told as its own hardware, and convicts nobody else."""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE
from gateway.core.collect import notes, rows
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.collect import Collect
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.loners import Loners
from gateway.core.effects import Note, Persist
from gateway.core.stimuli import DeadlineReached

LIMITS = CollectLimits()


def cohort(region="eu"):
    return Cohort(f"{b'bundle-1'.hex()}/arm/{region}")


def test_one_failure_is_luck_two_in_a_row_are_told_and_a_pass_forgives():
    loners, mine = Loners(LIMITS), cohort()
    loners.probed("d1", mine, 179)
    assert loners.of(mine) == {}
    loners.probed("d1", mine, 180)
    (one,) = loners.of(mine).values()
    assert (one.streak, one.permille, mine.repeats) == (2, 180, 1)
    loners.probed("d1", mine, 0)
    assert (loners.of(mine), loners.failing(mine)) == ({}, 0)


def test_another_cohort_is_another_beginning():
    loners, old, new = Loners(LIMITS), cohort(), cohort("us")
    loners.probed("d1", old, 179)
    loners.probed("d1", new, 179)
    assert (loners.of(new), loners.failing(old), new.repeats) == ({}, 0, 0)


def fleet(lab, failing, windows=12, devices=30):
    """All probe in each window, and `failing` of them fail; the notes, and the last closed window."""
    collect, told, row = Collect(LIMITS), [], None
    for window in range(windows):
        for number in range(devices):
            bad = number < failing
            arrived = lab.arrived(
                f"d{number}", window + 1, probe_residual=179 if bad else 0, probe_failed=bad,
                probe_worst=200 if bad else 0,
            )  # fmt: skip
            collect.handle(arrived, window * 15 * MINUTE)
        due, _ = collect.deadline()
        effects = collect.handle(DeadlineReached(), due)
        told += [effect for effect in effects if isinstance(effect, Note)]
        (row,) = [e.row for e in effects if isinstance(e, Persist) and e.table == rows.WINDOW]
    return [note for note in told if note.kind != notes.WINDOW_CLOSED], row.cohorts[0]


def test_a_device_that_fails_for_ever_is_told_once_and_its_cohort_stays_acquitted(lab):
    told, last = fleet(lab, failing=1)
    assert [(note.kind, note.subject.rpartition(":")[2]) for note in told] == [(notes.ALONE, "d0")]
    assert (last.drift, last.probe) == ("none", "passed")
    assert last.alone == (("d0", 12, 200),)


def test_where_many_fail_it_is_the_cohort_and_nobody_is_alone(lab):
    told, last = fleet(lab, failing=10)
    assert [note.kind for note in told] == [notes.RAISED["hardware"]]
    assert (last.drift, last.alone) == ("hardware", ())
