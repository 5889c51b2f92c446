"""Who is told what, and what waits."""

import msgspec

from devicesdk.wire.timebase import MS
from gateway.core.alarms import notes
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import DELIVERY, AlarmRow, State, key_of
from gateway.core.alarms.rules import Severity, rules_of
from gateway.core.alarms.telling import Telling
from gateway.core.effects import Note, Persist
from gateway.core.internal import AlarmTold

ROW = AlarmRow(7, "disk", "/var", State.RAISED, Severity.WARNING, 9, "", 1, 1, 1, 1)


def telling(**limits):
    limits = AlarmLimits(**limits)
    return Telling(limits, rules_of(limits))


def test_without_sinks_an_event_is_only_a_number():
    out = []
    row = telling().tell(ROW, notes.RAISED, 50 * MS, out)
    assert (row.event, row.told, row.change, out) == (50, True, notes.RAISED, [])


def test_both_sinks_get_the_same_bytes():
    one, out = telling(webhook=True, mqtt=True), []
    row = one.tell(ROW, notes.RAISED, 50 * MS, out)
    persist, told = out
    assert (persist.table, persist.key) == (DELIVERY, key_of(50))
    assert told == AlarmTold("fd/main/a/disk/7", persist.row.payload)
    assert msgspec.json.decode(told.payload)["id"] == "evt_50"
    assert one.tell(row, notes.CLEARED, 50 * MS, []).event == 51, "ids do not repeat"


def test_when_too_many_wait_the_oldest_is_dropped_and_said():
    one, out = telling(webhook=True, deliveries_max=2), []
    for at in (1, 2, 3):
        one.tell(ROW, notes.RAISED, at * MS, out)
    assert list(one.waiting) == [2, 3]
    assert one.dropped == 1
    assert out[-2:] == [Persist(DELIVERY, key_of(1), None), Note(notes.DROPPED, "too many wait", 1)]


def test_an_event_that_was_taken_waits_no_more_and_a_second_word_of_it_changes_nothing():
    one, out = telling(webhook=True), []
    one.tell(ROW, notes.RAISED, MS, [])
    one.gone(1, "", out)
    one.gone(1, "", out)
    assert out == [Persist(DELIVERY, key_of(1), None)]
    assert one.dropped == 0


def test_what_waited_waits_after_a_restart_and_numbers_go_on():
    one, out = telling(webhook=True), []
    row = one.tell(ROW, notes.RAISED, 90 * MS, out)
    again = telling(webhook=True)
    again.restore([row], [out[0].row])
    assert again.waiting == one.waiting
    assert again.tell(row, notes.CLEARED, 10 * MS, []).event == 91, (
        "also when the clock was set back"
    )


def test_a_broker_that_comes_back_is_told_what_is_open_as_the_same_event_and_what_is_forgotten_is_emptied():
    one, out = telling(mqtt=True), []
    row = one.tell(ROW, notes.RAISED, 50 * MS, [])
    one.say_again([row, msgspec.structs.replace(ROW, number=8)], out)
    (told,) = out
    assert msgspec.json.decode(told.payload)["id"] == "evt_50", "and the silent one is not told of"
    one.forget([row], out)
    assert out[-1] == AlarmTold("fd/main/a/disk/7", b"")
