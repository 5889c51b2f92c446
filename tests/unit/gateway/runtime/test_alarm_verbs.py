"""Verbs on alarms through the office: in whose name, once, and written down."""

import pytest

from gateway.core.alarms.rows import ALARM
from gateway.core.alarms.rules import DISK, EXPIRY
from gateway.core.stimuli import Observed, Reading
from gateway.runtime import verbs
from tests_kit.alarm_stage import core_with
from tests_kit.office_stage import EU, RELEASER, SECURITY, VIEWER, Bureau, once


@pytest.fixture
async def bureau():
    made = Bureau(make=core_with())
    await made.up()
    yield made
    made.runtime.close()


async def raised(bureau, *free, kind=DISK):
    """Raise an alarm for each; their ids."""
    readings = tuple(Reading(f"/{place}", percent, "?") for place, percent in enumerate(free))
    await bureau.runtime.submit(Observed(kind, readings))
    return [one["id"] for one in await listed(bureau)]


async def listed(bureau, **words):
    return (await bureau.office.do(VIEWER, verbs.ListAlarms(newest=False, **words)))["alarms"]


async def test_an_alarm_is_acknowledged_in_the_name_of_whoever_asks_and_it_is_written_down(bureau):
    (alarm,) = await raised(bureau, 9)
    verb = verbs.AcknowledgeAlarm(alarm=alarm, why="on it", by="somebody else")
    said = await bureau.office.do(RELEASER, verb)
    assert "is acknowledged" in said["said"][0]
    (one,) = await listed(bureau)
    assert (one["state"], one["acknowledged_by"]) == ("acknowledged", "rita")
    assert bureau.told[-1] == ("rita", "alarm.ack", "done")
    assert b"somebody else" not in bureau.log[-1].arguments
    assert bureau.log[-1].subject == str(alarm)


async def test_the_same_key_is_done_once_also_after_a_crash(bureau):
    (alarm,) = await raised(bureau, 9)
    verb = verbs.SilenceAlarm(alarm=alarm, lasts="8h", why="known")
    first = await bureau.office.do(RELEASER, verb, once("k"))
    until = (await listed(bureau))[0]["silent_until_ms"]
    await bureau.again()
    assert await bureau.office.do(RELEASER, verb, once("k")) == first
    assert (await listed(bureau))[0]["silent_until_ms"] == until
    assert len([verb for _, verb, _ in bureau.told if verb == "alarm.silence"]) == 1


async def test_who_may_not_is_refused_and_that_is_written_down(bureau):
    (alarm,) = await raised(bureau, 9)
    for asker in (VIEWER, EU):
        code, _ = await bureau.fails(bureau.office.do(asker, verbs.AcknowledgeAlarm(alarm=alarm)))
        assert code == "forbidden"
        assert bureau.told[-1] == (asker.name, "alarm.ack", "refused")
    code, _ = await bureau.fails(bureau.office.do(EU, verbs.ListAlarms()))
    assert code == "forbidden", "a scoped token is told of no single thing outside of it"


async def test_what_cannot_be_done_changes_nothing(bureau):
    (alarm,) = await raised(bureau, 9)
    before = bureau.table(ALARM)
    do = bureau.office.do
    assert await bureau.fails(do(SECURITY, verbs.AcknowledgeAlarm(alarm=17))) == (
        "unknown", "expected the id of an alarm that is kept, found 17",
    )  # fmt: skip
    code, said = await bureau.fails(do(SECURITY, verbs.SilenceAlarm(alarm=alarm, lasts="900d")))
    assert (code, "at most 30d" in said) == ("refused", True)
    code, _ = await bureau.fails(do(SECURITY, verbs.SilenceAlarm(alarm=alarm, lasts="soon")))
    assert code == "invalid"
    assert bureau.table(ALARM) == before


async def test_lists_have_filters_and_pages(bureau):
    ids = await raised(bureau, 9, 3, 8)
    await raised(bureau, 5, kind=EXPIRY)
    await bureau.office.do(RELEASER, verbs.AcknowledgeAlarm(alarm=ids[0]))
    for words, expected in (
        ({"kind": DISK}, ids),
        ({"state": "acknowledged"}, ids[:1]),
        ({"state": "open", "kind": DISK}, ids),
        ({"state": "cleared"}, []),
        ({"severity": "critical", "kind": DISK}, [ids[1]]),
        ({"kind": "nothing"}, []),
    ):
        assert [one["id"] for one in await listed(bureau, **words)] == expected, words
    found = await bureau.office.do(VIEWER, verbs.ListAlarms(limit=3))
    rest = await bureau.office.do(VIEWER, verbs.ListAlarms(limit=3, after=found["next"]))
    both = [one["id"] for one in (*found["alarms"], *rest["alarms"])]
    assert both == sorted(both, reverse=True)
    assert (len(both), rest["next"]) == (4, None)
    assert found["counts"]["open"] == 4


async def test_a_second_person_may_be_asked_for():
    bureau = Bureau(second=frozenset({"alarm.silence"}), make=core_with())
    await bureau.up()
    (alarm,) = await raised(bureau, 9)
    waits = await bureau.office.do(RELEASER, verbs.SilenceAlarm(alarm=alarm))
    await bureau.office.decide(SECURITY, waits["waits"], approve=True, why="fine")
    assert (await listed(bureau))[0]["silenced_by"] == "rita"
    bureau.runtime.close()


async def test_where_there_are_no_alarms_there_are_none():
    bureau = Bureau()
    await bureau.up()
    found = await bureau.office.do(VIEWER, verbs.ListAlarms())
    assert (found["alarms"], found["counts"]["open"]) == ([], 0)
    code, _ = await bureau.fails(bureau.office.do(VIEWER, verbs.ShowAlarm(alarm=1)))
    assert code == "unknown"
    bureau.runtime.close()
