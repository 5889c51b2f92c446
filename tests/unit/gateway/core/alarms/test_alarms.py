"""The alarms machine, told as charts: what is seen at which second, and what is said."""

import msgspec
import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND
from gateway.core.alarms import notes
from gateway.core.alarms.alarms import Alarms
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import ALARM, DELIVERY, State
from gateway.core.alarms.rules import BROKER_DOWN, DISK, DRIFT, FULL, OFFLINE
from gateway.core.effects import Note, Persist
from gateway.core.stimuli import (
    AcknowledgeAlarm,
    AlarmDelivered,
    BrokerDown,
    BrokerUp,
    DeadlineReached,
    Observed,
    Reading,
    SilenceAlarm,
    Started,
)

WALL_MS = 1_790_000_000_000
LIMITS = AlarmLimits(
    look_ns=SECOND, offline_ns=3 * SECOND, broker_ns=2 * SECOND, calm_ns=2 * SECOND, calm_ns_max=8 * SECOND,
    flap_ns=20 * SECOND, refresh_ns=MINUTE, webhook=True,
)  # fmt: skip


class Chart:
    """A machine with durable rows; `at` seconds since its start."""

    def __init__(self, limits=LIMITS, **more):
        self.limits = msgspec.structs.replace(limits, **more)
        self.rows, self.events, self.said, self.now = {}, [], [], 0
        self.wake()

    def wake(self):
        """A new machine from the durable rows."""
        self.machine = Alarms(self.limits)
        self.machine.restore([(table, key, row) for (table, key), row in sorted(self.rows.items())])
        self.tell(Started(WALL_MS + self.now // MS))
        self.tell(BrokerUp(session_present=True))

    def tell(self, stimulus):
        return self._kept(self.machine.handle(stimulus, self.now))

    def _kept(self, batch):
        for effect in batch:
            if isinstance(effect, Persist):
                self._keep(effect)
            elif isinstance(effect, Note):
                self.said.append(effect)
        self.machine.validate()
        return batch

    def _keep(self, effect):
        if effect.row is None:
            del self.rows[effect.table, effect.key]
            return
        self.rows[effect.table, effect.key] = effect.row
        if effect.table == DELIVERY:
            event = msgspec.json.decode(effect.row.payload)
            self.events.append((event["type"].partition(".")[2], event["data"]["subject"]))

    def see(self, seconds, **seen):
        """Look each second for so long at the same readings."""
        for _ in range(seconds):
            readings = {kind: [Reading(*one) for one in found] for kind, found in seen.items()}
            self._kept(self.machine.look({OFFLINE: [], DRIFT: [], **readings}, self.now))
            self.now += SECOND
        return self

    @property
    def one(self):
        """The only alarm."""
        (found,) = self.machine.views()
        return found


BAD, WORSE, SO_SO, FINE = ("fleet", 30), ("fleet", 80), ("fleet", 15), ("fleet", 3)


def test_a_condition_is_raised_when_it_has_lasted_and_cleared_when_it_has_been_calm():
    chart = Chart().see(3, offline=[BAD])
    assert chart.events == []
    chart.see(5, offline=[BAD])
    assert chart.events == [("raised", "fleet")]
    chart.see(2, offline=[FINE])
    assert chart.one.state == "raised"
    chart.see(1, offline=[FINE])
    assert chart.events == [("raised", "fleet"), ("cleared", "fleet")]
    assert (chart.one.state, chart.one.count) == ("cleared", 1)


def test_a_value_between_the_levels_neither_raises_nor_clears():
    chart = Chart()
    for _ in range(5):
        chart.see(2, offline=[BAD]).see(1, offline=[SO_SO])
    assert chart.events == [], "it never was bad for long"
    chart.see(4, offline=[BAD])
    for _ in range(5):
        chart.see(1, offline=[FINE]).see(2, offline=[SO_SO])
    assert chart.events == [("raised", "fleet")], "it never was calm for long"


def test_who_is_not_named_is_well():
    chart = Chart().see(1, drift=[("a", 1), ("b", 1)])
    assert chart.events == [("raised", "a"), ("raised", "b")]
    chart.see(3, drift=[("a", 1)])
    assert chart.events[2:] == [("cleared", "b")]


def test_what_gets_worse_escalates_once_and_wants_to_be_acknowledged_again():
    chart = Chart().see(4, offline=[BAD])
    chart.tell(AcknowledgeAlarm(chart.one.id, "ann", "on it"))
    assert (chart.one.state, chart.one.acknowledged_by) == ("acknowledged", "ann")
    chart.see(9, offline=[WORSE]).see(9, offline=[BAD]).see(9, offline=[WORSE])
    assert [kind for kind, _ in chart.events] == ["raised", "acknowledged", "escalated"]
    assert (chart.one.state, chart.one.severity, chart.one.acknowledged_by) == (
        "raised",
        "critical",
        "",
    )


def test_a_flapping_condition_is_one_alarm_and_is_told_the_less_the_longer_it_flaps():
    chart = Chart()
    for _ in range(60):
        chart.see(1, drift=[("a", 1)]).see(4)
    assert chart.one.count == 2, "the second calm of four seconds never was"
    assert [kind for kind, _ in chart.events] == ["raised", "cleared", "raised"]
    chart.see(9)
    assert chart.events[-1] == ("cleared", "a")
    chart.see(20).see(1, drift=[("a", 1)])
    assert [one.count for one in chart.machine.views()] == [2, 1], (
        "after a long calm it is another alarm"
    )


def test_calm_is_at_most_its_bound():
    chart = Chart()
    for _ in range(6):
        chart.see(1, drift=[("a", 1)]).see(9)
    assert [kind for kind, _ in chart.events] == ["raised", "cleared"] * 6
    assert chart.one.count == 6


def test_without_a_broker_there_is_an_alarm_once():
    chart = Chart().see(3)
    chart.tell(BrokerDown("control: refused"))
    chart.see(2)
    assert chart.events == []
    chart.see(10)
    assert chart.events == [("raised", "broker")]
    assert chart.one.says == "The gateway has no connection to the broker: control: refused."
    chart.tell(BrokerUp(session_present=True))
    chart.see(3)
    assert chart.events[1:] == [("cleared", "broker")]


def test_a_restart_neither_repeats_nor_forgets():
    chart = Chart().see(4, offline=[BAD])
    chart.tell(Observed(DISK, (Reading("/var", 7, "700 MiB"),)))
    before = chart.machine.views()
    chart.wake()
    assert chart.machine.views() == before
    chart.see(5, offline=[BAD])
    assert chart.events == [("raised", "fleet"), ("raised", "/var")], "told once"
    chart.wake()
    chart.see(4, offline=[FINE])
    assert chart.events[2:] == [("cleared", "fleet")]
    assert [one.state for one in chart.machine.views()] == ["cleared", "raised"], (
        "nobody saw the disk yet"
    )


def test_what_was_not_delivered_waits_over_a_restart():
    chart = Chart().see(1, drift=[("a", 1)])
    (waiting,) = chart.machine.waiting(9)
    chart.wake()
    assert chart.machine.waiting(9) == [waiting]
    chart.tell(AlarmDelivered(waiting.event))
    assert chart.machine.waiting_count == 0
    assert DELIVERY not in {table for table, _ in chart.rows}


def test_silence_keeps_a_beginning_from_sinks_until_it_ends():
    chart = Chart().see(1, drift=[("a", 1)])
    chart.tell(SilenceAlarm(chart.one.id, 60 * SECOND, "bob", "known"))
    chart.see(3).see(5, drift=[("a", 1)])
    assert [kind for kind, _ in chart.events] == ["raised", "cleared"], (
        "its end is told, as its beginning was"
    )
    chart.see(9)
    assert len(chart.events) == 2, "its second beginning was not told, so its end is not"
    chart.see(60, drift=[("a", 1)])
    assert chart.events[2:] == [("raised", "a")], "silence is over, and it holds"
    assert (chart.one.count, chart.one.silent_until_ms, chart.one.silenced_by) == (3, 0, "bob")


def test_a_silence_can_be_ended_and_getting_worse_ends_it():
    chart = Chart().see(1, drift=[("a", 1)])
    chart.tell(SilenceAlarm(chart.one.id, HOUR, "bob"))
    assert chart.one.silent_until_ms == WALL_MS + (chart.now + HOUR) // MS
    chart.tell(SilenceAlarm(chart.one.id, 0, "bob"))
    assert chart.one.silent_until_ms == 0
    assert len(chart.events) == 1
    chart.tell(SilenceAlarm(chart.one.id, HOUR, "bob"))
    chart.see(1, drift=[("a", 2)])
    assert chart.events[1:] == [("escalated", "a")]
    assert chart.one.silent_until_ms == 0


@pytest.mark.parametrize("over", [False, True])
def test_nothing_is_done_to_an_alarm_that_is_over_or_unknown(over):
    chart = Chart().see(1, drift=[("a", 1)])
    number = chart.one.id if over else 17
    chart.see(4)
    before = dict(chart.rows)
    words = "it is over already" if over else "expected an alarm that is known"
    for asked in (AcknowledgeAlarm(number, "ann"), SilenceAlarm(number, SECOND, "ann")):
        assert chart.tell(asked) == [Note(notes.REFUSED, f"{number}: {words}")]
    assert chart.rows == before


def test_twice_acknowledged_and_silenced_too_long_are_refused():
    chart = Chart().see(1, drift=[("a", 1)])
    chart.tell(AcknowledgeAlarm(chart.one.id, "ann"))
    (again,) = chart.tell(AcknowledgeAlarm(chart.one.id, "bob"))
    assert again.kind == notes.REFUSED
    assert "ann has acknowledged it already" in again.subject
    (long,) = chart.tell(SilenceAlarm(chart.one.id, 400 * 24 * HOUR, "bob"))
    assert long.kind == notes.REFUSED
    assert "at most 30d" in long.subject


def test_a_full_kind_counts_who_had_no_room_and_takes_them_when_there_is():
    chart = Chart(each_max=2)
    three = [(name, 1) for name in "abc"]
    chart.see(2, drift=three)
    kinds = {(one.kind, one.subject): one.value for one in chart.machine.views()}
    assert kinds == {(DRIFT, "a"): 1, (DRIFT, "b"): 1, (FULL, DRIFT): 1}
    chart.see(9, drift=three[1:])
    held = {(one.kind, one.subject) for one in chart.machine.views() if one.state == "raised"}
    assert held == {(DRIFT, "b"), (DRIFT, "c")}


def test_other_kinds_are_raised_while_one_is_full():
    chart = Chart(each_max=2).see(1, drift=[(name, 1) for name in "abcdef"])
    chart.tell(BrokerDown("gone"))
    chart.see(4, drift=[(name, 1) for name in "abcdef"])
    assert ("raised", "broker") in chart.events


def test_cleared_alarms_are_kept_up_to_a_bound():
    chart = Chart(kept_max=3, flap_ns=0)
    for name in "abcdef":
        chart.see(1, drift=[(name, 1)]).see(4)
    assert [one.subject for one in chart.machine.views()] == ["d", "e", "f"]
    assert sum(table == ALARM for table, _ in chart.rows) == 3


def test_an_alarm_of_a_kind_that_was_turned_off_is_cleared():
    chart = Chart().see(1, drift=[("a", 1)])
    chart.limits = msgspec.structs.replace(chart.limits, off=(DRIFT,))
    chart.wake()
    chart.see(1, drift=[("a", 1)])
    assert chart.one.state == State.CLEARED.name.lower()


def test_nothing_is_written_while_nothing_changes():
    chart = Chart().see(1, drift=[("a", 1)])
    before = dict(chart.rows)
    chart.see(50, drift=[("a", 1)])
    assert chart.rows == before
    chart.see(20, drift=[("a", 1)])
    assert chart.rows != before, "once in a while, when it was last seen"


def test_counts_say_what_is_open_and_change_with_every_change():
    chart = Chart().see(1, drift=[("a", 1), ("b", 2)])
    first = chart.machine.counts()
    assert (first.open, first.raised, first.critical) == (2, 2, 1)
    chart.tell(AcknowledgeAlarm(chart.machine.views()[0].id, "ann"))
    then = chart.machine.counts()
    assert (then.raised, then.acknowledged) == (1, 1)
    assert then.newest > first.newest
    assert chart.machine.by_label() == {
        (DRIFT, "warning", "acknowledged"): 1, (DRIFT, "critical", "raised"): 1,
    }  # fmt: skip


def test_it_looks_from_its_start_on_and_hears_only_what_is_for_it():
    chart = Chart()
    assert chart.machine.deadline() == (0, "alarms: a look at conditions")
    assert chart.machine.due(0)
    chart.see(1)
    assert chart.machine.deadline()[0] == SECOND
    assert not chart.machine.due(SECOND - 1)
    assert chart.tell(DeadlineReached()) == []
    assert Alarms(LIMITS).deadline() is None, "before it knows the time"
    assert chart.tell(Observed("no such kind", (Reading("a", 9),))) == []
    assert BROKER_DOWN not in {one.kind for one in chart.machine.views()}
