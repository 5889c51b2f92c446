"""The outbox: bounded, in order, again where an acknowledgement is missing, never after it came."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Publish, Save
from devicesdk.agent.outbox import REST_DOUBLINGS_MAX, Outbox
from devicesdk.agent.snapshot import State
from devicesdk.wire import codec
from devicesdk.wire.messages import Event, UpdateState
from devicesdk.wire.timebase import NEVER, SECOND
from tests_kit.agent_bundles import shared_of

WAIT = AgentConfig().nobody_wait_ns
SMALL = AgentConfig(publishes_in_flight_max=2, telemetry_outbox_windows_max=3, event_outbox_max=3)


def _outbox(*, online=True, config=SMALL, events=()):
    shared = shared_of(config, online=online)
    outbox = Outbox(shared, State(events=events))
    shared.take_snapshot = lambda: b"".join(outbox.events)
    return outbox, shared


def _published(shared, kind=None):
    found = [
        effect
        for effect in shared.out
        if isinstance(effect, Publish) and (kind is None or effect.kind == kind)
    ]
    shared.out.clear()
    return found


def test_a_window_goes_out_at_once():
    outbox, shared = _outbox()
    outbox.window(b"w1", 0)
    (publish,) = _published(shared)
    assert (publish.kind, publish.payload, publish.retain) == ("tel", b"w1", False)
    assert publish.token > 0
    assert outbox.at == SMALL.publish_timeout_ns
    outbox.acked(publish.token, 1)
    assert outbox.at == NEVER
    outbox.validate()


def test_it_is_content_while_one_window_flies_and_nothing_waits_for_its_place():
    outbox, shared = _outbox()
    assert not outbox.content, "nothing is in flight"
    outbox.window(b"w1", 0)
    assert outbox.content
    outbox.window(b"w2", 0)
    assert not outbox.content, "two are in flight"
    outbox.window(b"w3", 0)
    first, second = _published(shared)
    outbox.acked(first.token, 1)
    outbox.acked(second.token, 1)
    assert outbox.content
    shared.online = False
    outbox.window(b"w4", 2)
    assert not outbox.content, "one waits"


def test_it_is_not_content_while_state_or_an_event_flies_for_they_are_acted_upon():
    outbox, _ = _outbox()
    outbox.retained("have", b"state", 0)
    assert not outbox.content
    outbox, _ = _outbox()
    outbox.event("alarm")
    outbox.flush(0)
    assert not outbox.content


def test_no_more_than_the_bound_is_in_flight_and_acks_let_the_next_go():
    outbox, shared = _outbox()
    for number in range(4):
        outbox.window(b"%d" % number, 0)
    first = _published(shared)
    assert [p.payload for p in first] == [b"0", b"1"]
    assert outbox.windows == 4
    outbox.acked(first[0].token, 1)
    assert [p.payload for p in _published(shared)] == [b"2"]
    outbox.validate()


def test_offline_windows_are_kept_and_the_oldest_goes_when_full():
    outbox, shared = _outbox(online=False)
    for number in range(5):
        outbox.window(b"%d" % number, 0)
    assert (outbox.windows, outbox.windows_dropped) == (3, 2)
    assert not _published(shared)
    shared.online = True
    outbox.flush(0)
    assert [p.payload for p in _published(shared)] == [b"2", b"3"]


def test_what_was_in_flight_is_sent_again_after_a_reconnect_in_order():
    outbox, shared = _outbox()
    for number in range(3):
        outbox.window(b"%d" % number, 0)
    old = _published(shared)
    outbox.acked(old[0].token, 1)
    _published(shared)
    outbox.offline()
    shared.online = False
    outbox.validate()
    shared.online = True
    outbox.flush(2)
    assert [p.payload for p in _published(shared)] == [b"1", b"2"]
    outbox.acked(old[1].token, 3)
    assert outbox.windows == 2, "an acknowledgement of the old connection counted"


def test_what_the_broker_has_nobody_for_rests_and_is_said_again_in_order():
    outbox, shared = _outbox()
    outbox.event("alarm", value=1)
    outbox.flush(0)
    outbox.window(b"w1", 0)
    event, window = _published(shared)
    outbox.unheard(window.token, SECOND)
    outbox.unheard(event.token, 2 * SECOND)
    outbox.validate()
    assert (outbox.windows, len(outbox.events)) == (1, 1)
    assert WAIT <= outbox.at - SECOND < 1.5 * WAIT
    outbox.window(b"w2", 3 * SECOND)
    outbox.flush(3 * SECOND)
    assert _published(shared) == [], "what is behind it does not overtake it"
    assert not outbox.content
    assert outbox.due(outbox.at - 1)
    outbox.flush(outbox.at - 1)
    assert _published(shared) == []
    now = outbox.at
    assert outbox.due(now)
    outbox.flush(now)
    (again,) = _published(shared)
    assert again.payload == event.payload, "one asks, and the order is that of before"
    outbox.acked(again.token, now)
    assert [p.payload for p in _published(shared)] == [b"w1", b"w2"]
    outbox.validate()


def test_a_device_without_a_gateway_asks_ever_more_rarely():
    outbox, shared = _outbox()
    now, waits = 0, []
    for number in range(3):
        outbox.window(b"%d" % number, now)
    for publish in _published(shared):
        outbox.unheard(publish.token, now)
    for _ in range(8):
        waits.append(outbox.at - now)
        now = outbox.at
        assert outbox.due(now)
        outbox.flush(now)
        (publish,) = _published(shared)
        assert publish.payload == b"0"
        outbox.unheard(publish.token, now)
        outbox.validate()
    for turn, wait in enumerate(waits):
        least = WAIT << min(turn, REST_DOUBLINGS_MAX)
        assert least <= wait < 1.5 * least, f"rest {turn}: {wait}"
    now = outbox.at
    outbox.due(now)
    outbox.flush(now)
    outbox.acked(_published(shared)[0].token, now)
    outbox.unheard(_published(shared)[0].token, now)
    assert WAIT <= outbox.at - now < 1.5 * WAIT, "somebody was there, so it begins anew"


def test_devices_that_rest_at_one_instant_do_not_ask_at_one():
    ends = set()
    for seed in range(20):
        shared = shared_of(SMALL, online=True, seed=seed)
        outbox = Outbox(shared, State())
        outbox.window(b"w", 0)
        outbox.unheard(_published(shared)[0].token, 0)
        ends.add(outbox.at)
    assert len(ends) == 20


def test_who_is_spoken_to_asks_at_once():
    outbox, shared = _outbox()
    outbox.wake(0)
    outbox.window(b"1", 0)
    outbox.window(b"2", 0)
    first, second = _published(shared)
    outbox.unheard(first.token, 1)
    outbox.wake(2)
    assert _published(shared) == [], "the second is still in flight"
    outbox.validate()
    outbox.acked(second.token, 3)
    assert [p.payload for p in _published(shared)] == [b"1"]
    outbox.validate()


def test_what_rests_is_said_again_at_once_on_the_next_connection():
    outbox, shared = _outbox()
    for number in range(2):
        outbox.window(b"%d" % number, 0)
    first, second = _published(shared)
    outbox.unheard(first.token, 1)
    outbox.offline()
    shared.online = False
    outbox.validate()
    assert (outbox.windows, outbox.at) == (2, NEVER)
    shared.online = True
    outbox.flush(2)
    (asks,) = _published(shared)
    assert asks.payload == b"0"
    outbox.unheard(second.token, 3)
    outbox.validate()
    assert outbox.windows == 2, "an answer of the old connection counted"
    outbox.acked(asks.token, 4)
    assert [p.payload for p in _published(shared)] == [b"1"]


def test_state_that_is_retained_needs_nobody_now():
    outbox, shared = _outbox()
    outbox.retained("have", b"state", 0)
    (publish,) = _published(shared)
    outbox.unheard(publish.token, 1)
    assert outbox.have_acked
    assert outbox.at == NEVER
    outbox.validate()


def test_state_in_flight_keeps_its_timer_while_other_things_rest():
    outbox, shared = _outbox()
    outbox.window(b"w", 0)
    (window,) = _published(shared)
    outbox.unheard(window.token, SECOND)
    outbox.retained("have", b"state", 2 * SECOND)
    (state,) = _published(shared)
    outbox.validate()
    outbox.acked(state.token, 3 * SECOND)
    assert WAIT <= outbox.at - SECOND < 1.5 * WAIT
    outbox.validate()


def test_the_oldest_event_goes_when_full_also_out_of_rest():
    outbox, shared = _outbox()
    for value in range(3):
        outbox.event("alarm", value=value)
    outbox.flush(0)
    for publish in _published(shared):
        outbox.unheard(publish.token, 1)
    for value in range(3):
        outbox.event("alarm", value=value)
        outbox.validate()
    assert outbox.events_dropped == 3
    assert outbox.due(max(0, min(outbox.at, 100 * SECOND)))
    outbox.flush(100 * SECOND)
    (asks,) = _published(shared)
    outbox.acked(asks.token, 100 * SECOND)
    assert len(_published(shared)) == 2
    outbox.validate()


def test_the_oldest_window_goes_when_full_also_out_of_rest():
    outbox, shared = _outbox()
    outbox.window(b"0", 0)
    outbox.unheard(_published(shared)[0].token, 1)
    for number in range(1, 5):
        outbox.window(b"%d" % number, 2)
        outbox.validate()
    assert outbox.windows_dropped == 1
    outbox.flush(3)
    assert [p.payload for p in _published(shared)] == [b"1"]


def test_events_go_before_windows_and_stay_until_acknowledged():
    outbox, shared = _outbox(online=False)
    outbox.window(b"w", 0)
    outbox.event("alarm", value=7)
    shared.online = True
    outbox.flush(0)
    event, window = _published(shared)
    assert (event.kind, window.kind) == ("ev", "tel")
    message = codec.decode(Event, event.payload)
    assert (message.boot_id, message.seq, message.kind, message.value) == (1, 1, "alarm", 7)
    assert outbox.events == (event.payload,)
    outbox.acked(event.token, 1)
    assert outbox.events == ()
    assert [effect.data for effect in shared.out if isinstance(effect, Save)] == [b""]


def test_a_burst_of_events_is_saved_once_when_all_are_acknowledged():
    outbox, shared = _outbox()
    outbox.event("update", state=UpdateState.TRIAL)
    outbox.event("update", state=UpdateState.COMMITTED)
    outbox.flush(0)
    one, two = _published(shared)
    outbox.acked(one.token, 1)
    assert not shared.out
    outbox.acked(two.token, 1)
    assert [type(effect) for effect in shared.out] == [Save]


def test_events_of_an_earlier_boot_are_sent_as_they_were():
    outbox, shared = _outbox(events=(b"e1", b"e2"))
    assert list(outbox.unsent) == [0, 1]
    outbox.flush(0)
    assert [p.payload for p in _published(shared)] == [b"e1", b"e2"]


def test_the_oldest_event_goes_when_full_also_out_of_flight():
    outbox, shared = _outbox()
    for value in range(3):
        outbox.event("alarm", value=value)
    outbox.flush(0)
    sent = _published(shared)
    assert len(sent) == 2
    outbox.event("alarm", value=3)
    outbox.validate()
    assert outbox.events_dropped == 1
    outbox.acked(sent[0].token, 1)
    values = [codec.decode(Event, event).value for event in outbox.events]
    assert values == [1, 2, 3]
    outbox.event("alarm", value=4)
    outbox.event("alarm", value=5)
    outbox.validate()
    assert [codec.decode(Event, event).value for event in outbox.events] == [3, 4, 5]


def test_an_overdue_publish_is_sent_again_once_then_the_connection_is_dead():
    outbox, shared = _outbox()
    outbox.window(b"w1", 0)
    (publish,) = _published(shared)
    outbox.window(b"w2", 10 * SECOND)
    _published(shared)
    assert outbox.due(outbox.at - 1)
    assert not _published(shared)
    assert outbox.due(outbox.at)
    (again,) = _published(shared)
    assert (again.payload, again.token) == (b"w1", publish.token)
    assert outbox.at == 70 * SECOND
    outbox.validate()
    assert outbox.due(70 * SECOND)
    assert not outbox.due(outbox.at), "unacknowledged twice, and still believed"


def test_an_acknowledged_publish_is_never_sent_again():
    outbox, shared = _outbox()
    outbox.window(b"w1", 0)
    outbox.window(b"w2", 0)
    first, _ = _published(shared)
    outbox.acked(first.token, 1)
    outbox.acked(first.token, 2)
    outbox.due(outbox.at)
    assert [p.payload for p in _published(shared)] == [b"w2"]
    outbox.offline()
    outbox.flush(3)
    assert [p.payload for p in _published(shared)] == [b"w2"]


def test_of_a_retained_kind_only_the_newest_is_in_flight():
    outbox, shared = _outbox()
    outbox.retained("have", b"old", 0)
    outbox.retained("have", b"new", 1)
    outbox.retained("link", b"link", 1)
    old, new, link = _published(shared)
    assert all(p.retain for p in (old, new, link))
    outbox.acked(old.token, 2)
    assert not outbox.have_acked
    outbox.due(SMALL.publish_timeout_ns + 1)
    assert [p.payload for p in _published(shared)] == [b"new", b"link"]
    outbox.acked(link.token, 3)
    assert not outbox.have_acked
    outbox.acked(new.token, 3)
    assert outbox.have_acked
    outbox.validate()


def test_retained_state_is_not_repeated_by_the_outbox_after_a_reconnect():
    outbox, shared = _outbox()
    outbox.retained("have", b"have", 0)
    outbox.offline()
    _published(shared)
    outbox.flush(1)
    assert not _published(shared)
    assert not outbox.have_acked


def test_a_timer_left_behind_by_an_acknowledgement_finds_nothing_to_do():
    outbox, shared = _outbox()
    outbox.window(b"w1", 0)
    outbox.window(b"w2", SECOND)
    first, _ = _published(shared)
    outbox.acked(first.token, 2 * SECOND)
    assert outbox.due(outbox.at)
    assert not _published(shared)
    assert outbox.at == 61 * SECOND


def test_flushing_offline_does_nothing():
    outbox, shared = _outbox(online=False, events=(b"e",))
    outbox.flush(0)
    assert not _published(shared)


def test_validate_tells_what_is_wrong():
    outbox, shared = _outbox()
    outbox.window(b"w1", 0)
    shared.online = False
    with pytest.raises(AssertionError, match="publishes in flight while offline"):
        outbox.validate()
