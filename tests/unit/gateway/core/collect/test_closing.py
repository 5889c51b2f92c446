from __future__ import annotations

from devicesdk.sketches import histogram as h
from devicesdk.sketches.cardinality import Distinct, hll_bytes
from gateway.core.collect import notes, rows
from gateway.core.collect.baselines import Baselines
from gateway.core.collect.closing import close_window
from gateway.core.collect.cohorts import Cohorts
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.totals import BINS
from gateway.core.collect.window import Window
from gateway.core.effects import Note

LIMITS = CollectLimits()


class Rig:
    def __init__(self, lab) -> None:
        self.lab, self.cohorts = lab, Cohorts(8)
        self.window = Window(LIMITS, self.cohorts)
        self.baselines = Baselines(4000)
        self.baselines.learn(lab.BUNDLE, lab.flat_baseline())
        self.cohort = self.cohorts.find(lab.BUNDLE, "arm", "eu")

    def close(self, looks):
        for device, look in enumerate(looks):
            histograms = histograms_of(self.lab.telemetry(look=look))
            entry = rows.Entry("d", 1, 1, "c", histograms, 4, 1, -1, {"E": 1})
            self.window.count(self.cohort, entry, device, 0)
        result = close_window(self.window, self.cohorts, self.baselines, LIMITS, 5, 9)
        self.window.next()
        return result


def test_a_window_is_summed_up_in_one_row(lab):
    rig = Rig(lab)
    rig.cohort.distinct = Distinct()
    rig.cohort.distinct.add(hll_bytes(range(5)))
    row, said = rig.close([i % 10 for i in range(100)])
    assert (row.number, row.opened_ns, row.closed_ns, row.alarms) == (0, 5, 9, ())
    [summary] = row.cohorts
    assert summary.cohort == f"{lab.BUNDLE.hex()}/arm/eu"
    assert (summary.windows, summary.frames, summary.throttled) == (100, 400, 100)
    assert (summary.errors, summary.distinct, summary.drift) == ({"E": 100}, 5, "none")
    assert h.unpack(summary.counts, BINS)[:10] == [40] * 10
    assert len(summary.scores) == 10
    assert said == [Note(notes.WINDOW_CLOSED, "0", 1, 400)]


def test_an_alarm_is_told_when_it_comes_and_when_it_goes(lab):
    rig = Rig(lab)
    healthy, shifted = [i % 10 for i in range(200)], [i % 5 for i in range(200)]
    told = []
    for looks in (shifted, shifted, shifted, healthy, healthy, healthy):
        row, said = rig.close(looks)
        told.append([note.kind for note in said[:-1]])
    raised, cleared = notes.RAISED["data"], notes.CLEARED
    assert told == [[], [raised], [], [], [cleared], []]
    assert rig.cohort.drift == row.cohorts[0].drift == "none"


def test_the_row_holds_the_alarms_of_all_cohorts_also_the_silent(lab):
    rig = Rig(lab)
    for _ in range(2):
        row, _ = rig.close([1] * 200)
    assert {alarm.feature for alarm in row.alarms} == {
        score.feature for score in row.cohorts[0].scores
    }
    assert all(alarm.raised_ns == 9 and alarm.streak == 2 for alarm in row.alarms)
    assert row.cohorts[0].drift == "data"
    rig.cohort = rig.cohorts.find(lab.BUNDLE, "x86", "eu")
    later, _ = rig.close([1])
    assert later.alarms == row.alarms
    assert later.cohorts[0].scores == ()
    assert later.cohorts[0].distinct == 0
