"""The fleet is asked page by page, at a bounded rate."""

from __future__ import annotations

from devicesdk.wire import codec
from devicesdk.wire.messages import Control, ControlVerb, Link
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from gateway.core.control.outbox import Outbox
from gateway.core.control.queries import Queries
from gateway.core.control.twins import Twins
from gateway.core.effects import Publish
from gateway.core.limits import ControlLimits
from gateway.core.rows import DesiredRow, Outcome, Purpose

LIMITS = ControlLimits(report_page_devices=2)


def setting(count=5):
    outbox, twins = Outbox(100), Twins(LIMITS)
    outbox.up([])
    for number in range(count):
        twin = twins.seen(f"d{number}", [])
        twin.desired = DesiredRow(1, b"m" * 32, "r", Purpose.UPDATE)
        twins.link(twin, Link(boot_id=1, session=1, online=True), [])
    return Queries(LIMITS, twins, outbox), twins


def run(queries, at):
    out = []
    queries.run(at, out)
    return [effect for effect in out if isinstance(effect, Publish)]


def test_pages_are_an_interval_apart_and_nobody_is_asked_twice():
    queries, twins = setting()
    queries.ask(twins.by_name, 100)
    queries.ask(["d0", "d4"], 100)
    pages = []
    while (due := queries.due()) is not None:
        pages.append((due[0], [publish.topic[10:12] for publish in run(queries, due[0])]))
    assert pages == [
        (100, ["d0", "d1"]), (100 + SECOND, ["d2", "d3"]), (100 + 2 * SECOND, ["d4"]),
    ]  # fmt: skip


def test_a_question_is_a_verb_and_is_never_retained():
    queries, _ = setting()
    queries.ask(["d0"], 0)
    (publish,) = run(queries, 0)
    assert (publish.topic, publish.retain) == ("fd/main/d/d0/ctl", False)
    assert publish.expiry_ns == MINUTE
    assert codec.decode(Control, publish.payload) == Control(verb=ControlVerb.REPORT)


def test_asking_again_does_not_break_the_pace():
    queries, _ = setting()
    queries.ask(["d0"], 0)
    run(queries, 0)
    queries.ask(["d1"], 10)
    assert queries.due()[0] == SECOND
    assert run(queries, 10) == []


def test_stale_devices_with_an_open_want_are_asked():
    queries, twins = setting(4)
    twins.by_name["d0"].heard_ns = HOUR
    twins.link(twins.by_name["d1"], Link(boot_id=1, session=1, online=False), [])
    twins.by_name["d2"].desired = DesiredRow(
        1, b"m" * 32, "r", Purpose.UPDATE, outcome=Outcome.COMMITTED
    )
    queries.watch(HOUR)
    queries.watch(2 * HOUR)
    at, why = queries.due()
    assert (at, why) == (HOUR + LIMITS.sweep_interval_ns, "look for stale twins")
    asked = [publish.topic for publish in run(queries, at)]
    assert asked == ["fd/main/d/d3/ctl"]


def test_without_an_open_want_nothing_is_looked_for():
    queries, twins = setting(1)
    queries.watch(0)
    twins.by_name["d0"].desired = None
    run(queries, queries.due()[0])
    assert queries.due() is None


def test_a_page_before_the_sweep_is_due_first():
    queries, _ = setting()
    queries.watch(0)
    queries.ask(["d0"], 5)
    assert queries.due() == (5, "next page of queries")
    assert queries.waiting == 1
    queries.forget()
    assert queries.waiting == 0
