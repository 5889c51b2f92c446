"""Grants of debug mode: given with a name and a reason, sent until answered, kept for the books."""

from __future__ import annotations

import pytest

from devicesdk.wire import codec
from devicesdk.wire.messages import Control, ControlVerb, DebugGrant, Event, Link
from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND
from gateway.core import notes, rows, stimuli
from gateway.core.effects import Persist, Publish
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from tests_kit.gateway_charts import Chart, arrived, new_gateway, opened

WALL_MS = 1_700_000_000_000
DEVICE = "d000"


def fleet(count=2, **bounds):
    return Chart.with_fleet(count, GatewayConfig(control=ControlLimits(**bounds)))


def grant(device=DEVICE, lasts=20 * MINUTE, by="ana", why="odd readings"):
    return stimuli.GrantDebug(device, lasts, by, why)


def revoke(device=DEVICE, by="bea", why="seen enough"):
    return stimuli.RevokeDebug(device, by, why)


def sent(chart):
    """Grants that went out in what is left."""
    found = []
    for publish in chart.all(Publish, kind="ctl"):
        control = codec.decode(Control, publish.payload)
        if control.verb is ControlVerb.DEBUG:
            found.append((publish, codec.decode(DebugGrant, opened(control.grant))))
    return found


def event(reason, number, device=DEVICE, seq=1):
    return arrived(device, Event(boot_id=1, seq=seq, kind="debug", reason=reason, value=number))


def birth(device=DEVICE):
    return arrived(device, Link(boot_id=1, session=2, online=True))


def view(chart, place=-1):
    return chart.machine.debug_views()[place]


def test_a_grant_is_durable_signed_sent_once_unretained_and_expires_at_the_broker():
    chart = fleet() >> grant()
    ((publish, told),) = sent(chart)
    assert (publish.topic, publish.retain) == ("fd/main/d/d000/ctl", False)
    assert publish.expiry_ns == MINUTE
    assert (told.device, told.number, told.for_ms) == (DEVICE, WALL_MS, 20 * 60_000)
    assert told.expires_ms == WALL_MS + 30 * 60_000
    assert (told.by, told.why) == ("ana", "odd readings")
    chart << (Persist, {"table": rows.DEBUG})
    assert chart.notes() == [notes.DEBUG_GRANTED]
    assert view(chart).state == "asked"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (grant("nobody"), "a device that is known"),
        (grant(lasts=2 * HOUR), "expected 1s to 1h, found 2h"),
        (grant(lasts=0), "expected 1s"),
        (grant(by=" "), "who asks and why"),
        (grant(why=""), "who asks and why"),
        (grant(why="w" * 65), "64 characters"),
        (revoke(), "a grant that is not over"),
    ],
)
def test_without_a_device_a_bound_a_name_and_a_reason_there_is_no_grant(asked, said):
    chart = fleet() >> asked
    (note,) = chart.left
    assert (note.kind, said in note.subject) == (notes.DEBUG_REFUSED, True), note


def test_it_is_said_again_at_each_sign_of_life_until_the_device_answers_and_then_never():
    chart = fleet() >> grant()
    number = view(chart).number
    chart.now += MINUTE
    assert [told.number for _, told in sent(chart >> birth())] == [number]
    assert len(sent(chart.have(DEVICE))) == 1
    assert sent(chart >> birth("d001")) == [], "told to another device"
    chart >> event("began", number)
    assert view(chart).state == "on"
    assert view(chart).begun_ms == WALL_MS + MINUTE // MS
    assert sent(chart >> birth()) == [], "a device that has begun is told again"
    chart >> event("expired", number, seq=2)
    assert (view(chart).state, view(chart).ended) == ("over", "expired")
    assert sent(chart >> birth()) == []


def test_nobody_is_told_of_a_grant_that_is_too_old_to_begin_with():
    chart = fleet() >> grant(lasts=MINUTE)
    chart.now += 2 * MINUTE + SECOND
    assert sent(chart >> birth()) == []


def test_a_refusal_is_the_end_and_is_in_the_books():
    chart = fleet() >> grant()
    chart >> event("refused:consent", view(chart).number)
    assert chart.notes() == [notes.DEBUG_ENDED]
    assert (view(chart).state, view(chart).ended) == ("over", "refused:consent")
    chart >> event("refused:consent", view(chart).number)
    assert chart.left == [], "said twice, booked twice"


def test_a_revocation_has_a_newer_number_and_is_said_until_the_device_says_that_it_is_over():
    chart = fleet() >> grant()
    number = view(chart).number
    chart >> event("began", number) >> revoke()
    ((_, told),) = sent(chart)
    assert (told.number, told.for_ms, told.ends) == (number + 1, 0, number)
    assert view(chart).state == "revoking"
    assert len(sent(chart >> birth())) == 1
    chart >> event("revoked", number, seq=2)
    assert (view(chart).ended, view(chart).revoked_by) == ("revoked", "bea")
    assert sent(chart >> birth()) == []


def test_a_second_grant_replaces_the_first_with_a_greater_number_in_the_same_millisecond():
    chart = fleet() >> grant() >> grant(why="again")
    first, second = chart.machine.debug_views()
    assert second.number == first.number + 1
    assert (first.state, first.ended, second.state) == ("over", "replaced", "asked")
    chart >> event("spent", first.number)
    assert chart.machine.debug_views()[0].ended == "spent", "the device's own word is better"


def test_what_nobody_confirms_is_over_when_it_cannot_be_in_force_any_more():
    chart = fleet() >> grant()
    until = view(chart).until_ms - WALL_MS
    assert until == 30 * 60_000
    chart.wait(30 * MINUTE - 1)
    assert view(chart).state == "asked"
    chart.wait(1)
    assert (view(chart).state, view(chart).ended) == ("over", "not confirmed")
    chart >> event("expired", view(chart).number)
    assert view(chart).ended == "expired"


def test_open_grants_and_kept_ones_are_bounded():
    chart = fleet(3, debug_open_max=1, debug_rows_max=2) >> grant("d000")
    assert (chart >> grant("d001")).notes() == [notes.DEBUG_REFUSED]
    for _ in range(4):
        chart >> grant("d000")
    states = [one.state for one in chart.machine.debug_views()]
    assert states == ["over", "asked"], f"expected the oldest that were over to go, found {states}"


def test_a_restarted_gateway_has_its_books_and_says_open_grants_again():
    chart, kept = fleet(), {}
    for asked in (grant("d000"), grant("d001")):
        chart >> asked
        kept |= {(e.table, e.key): e.row for e in chart.left if isinstance(e, Persist)}
    chart >> event("began", view(chart, 0).number, "d000")
    kept |= {(e.table, e.key): e.row for e in chart.left if isinstance(e, Persist)}
    before = chart.machine.debug_views()
    again = Chart(new_gateway())
    stored = [(table, key, row) for (table, key), row in kept.items()]
    again.machine.restore(stored, 0)
    again >> stimuli.Started(WALL_MS + 1000) >> stimuli.BrokerUp(session_present=False)
    assert [told.device for _, told in sent(again)] == ["d001"], "only what was not answered"
    assert again.machine.debug_views() == before


def test_events_about_grants_that_nobody_gave_change_nothing():
    chart = fleet() >> event("began", 99)
    assert chart.left == []
    assert chart.machine.debug_views() == []
