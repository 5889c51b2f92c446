"""Numbers, indices and what is forgotten."""

from msgspec.structs import replace

from devicesdk.wire.timebase import MS
from gateway.core.alarms.books import Books
from gateway.core.alarms.rows import ALARM, AlarmRow, State, key_of
from gateway.core.alarms.rules import Severity
from gateway.core.effects import Persist


def row(number, subject="a", state=State.RAISED, cleared_ns=0):
    return AlarmRow(number, "disk", subject, state, Severity.WARNING, 9, "", 1, 1, 1, 1, cleared_ns=cleared_ns)  # fmt: skip


def test_an_alarm_is_found_by_number_and_by_subject_until_it_is_forgotten():
    books, out = Books(kept_max=1), []
    books.put(row(1), MS, out)
    assert books.open_of("disk") == {"a": 1}
    assert books.open_kinds == ["disk"]
    books.put(replace(row(1), state=State.CLEARED, cleared_ns=5), MS, out)
    assert books.open_kinds == []
    assert books.last_of("disk", "a").number == 1
    gone = books.put(row(2, "b", State.CLEARED, 6), MS, out)
    assert [one.number for one in gone] == [1]
    assert books.get(1) is None
    assert books.last_of("disk", "a") is None
    assert out[-1] == Persist(ALARM, key_of(1), None)
    books.validate()


def test_numbers_follow_the_clock_and_never_repeat():
    books = Books(kept_max=9)
    assert books.new_number(0) == 1
    books.put(row(books.new_number(70 * MS)), 70 * MS, [])
    assert books.new_number(70 * MS) == 71, "two in one millisecond"
    assert books.new_number(60 * MS) == 71, "a clock that was set back"


def test_every_change_is_seen_by_its_number():
    books = Books(kept_max=9)
    seen = [books.changed_ms]
    for at in (5 * MS, 5 * MS, 3 * MS):
        books.put(row(1), at, [])
        seen.append(books.changed_ms)
    assert seen == sorted(set(seen)), f"expected it to grow, found {seen}"


def test_books_are_the_same_after_a_restart():
    books, out = Books(kept_max=9), []
    for number, ended in ((1, 30), (2, 10), (3, 0), (4, 20)):
        state = State.CLEARED if ended else State.RAISED
        books.put(row(number, f"s{number}", state, ended), MS, out)
    again = Books(kept_max=2)
    again.restore([effect.row for effect in out])
    assert again.open_rows() == books.open_rows()
    gone = again.put(row(5, "s5", State.CLEARED, 40), MS, [])
    assert [one.number for one in gone] == [2, 4], "the first to end go first"
