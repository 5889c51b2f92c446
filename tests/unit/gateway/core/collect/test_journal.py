from __future__ import annotations

from gateway.core.collect import rows
from gateway.core.collect.cohorts import Cohorts
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.journal import Journal
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.sources import Sources
from gateway.core.collect.window import Window


class Rig:
    def __init__(self, lab, messages_max: int) -> None:
        self.lab = lab
        self.cohorts, self.sources = Cohorts(8), Sources(8, 4)
        self.window = Window(CollectLimits(), self.cohorts)
        self.journal = Journal(messages_max)

    def count(self, seq: int) -> None:
        source, cohort = self.sources.get("d"), self.cohorts.find(self.lab.BUNDLE, "a", "x")
        assert source is not None
        assert cohort is not None
        message = self.lab.telemetry(seq)
        row = rows.Entry("d", 1, seq, cohort.name, histograms_of(message), 4, 0, -1, None)
        source.accept(1, seq)
        self.sources.changed(source)
        self.journal.entries.append(row)
        self.window.count(cohort, row, 0, 0)

    def checkpoint(self):
        effects = self.journal.checkpoint(self.window, self.cohorts, self.sources)
        return [(effect.table, effect.key, effect.row) for effect in effects]


def test_without_news_there_is_nothing_to_commit(lab):
    assert Rig(lab, 10).checkpoint() == []


def test_a_group_is_one_row_of_entries(lab):
    rig = Rig(lab, 10)
    rig.count(1)
    rig.count(2)
    [(table, key, row)] = rig.checkpoint()
    assert (table, key) == (rows.JOURNAL, "000000000000")
    assert [entry.seq for entry in row.entries] == [1, 2]
    rig.count(3)
    assert [key for _, key, _ in rig.checkpoint()] == ["000000000001"]


def test_a_long_journal_gives_way_to_sums_and_cursors(lab):
    rig = Rig(lab, 3)
    rig.count(1)
    rig.count(2)
    rig.checkpoint()
    rig.count(3)
    rig.count(4)
    name = f"{lab.BUNDLE.hex()}/a/x"
    written = rig.checkpoint()
    assert [(table, key, row is None) for table, key, row in written] == [
        (rows.CURSORS, "000000", False),
        (rows.JOURNAL, "000000000000", True),
        (rows.OPEN, name, False),
    ]
    assert written[0][2].cursors[0].high == 4
    rig.count(5)
    assert [table for table, _, _ in rig.checkpoint()] == [rows.JOURNAL]
    rig.count(6)
    rig.count(7)
    rig.count(8)
    again = [(table, key, row is None) for table, key, row in rig.checkpoint()]
    assert again[-2:] == [(rows.OPEN, name, True), (rows.OPEN, name, False)], (
        "the new sums must come after the removal of the old: the last word counts"
    )


def test_settling_removes_everything_that_a_closed_window_replaces(lab):
    rig = Rig(lab, 10)
    rig.count(1)
    rig.checkpoint()
    rig.count(2)
    effects = rig.journal.settle(rig.sources)
    assert [(e.table, e.row is None) for e in effects] == [
        (rows.CURSORS, False),
        (rows.JOURNAL, True),
    ]
    assert rig.journal.entries == []
    assert rig.checkpoint() == []


def test_rows_found_at_the_start_are_replaced_too(lab):
    rig = Rig(lab, 10)
    assert rig.journal.known(41, 3) == "000000000041"
    rig.journal.known_open("c")
    rig.count(1)
    [(_, key, _)] = rig.checkpoint()
    assert key == "000000000042"
    removed = [(e.table, e.key) for e in rig.journal.settle(rig.sources) if e.row is None]
    assert removed == [
        (rows.JOURNAL, "000000000041"),
        (rows.JOURNAL, "000000000042"),
        (rows.OPEN, "c"),
    ]
