"""The books of a soak: every message ends as something, and nothing is explained away."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.timebase import SECOND
from devicesim.live.soak.books import (
    PATIENCE_NS,
    SENDER_PATIENCE_NS,
    Books,
    Ends,
    Shelved,
)

LATER = PATIENCE_NS + SECOND


def books() -> Books:
    return Books(["kiosk-0000", "kiosk-0001"])


def reachable(**changes: object) -> Ends:
    ends = Ends(gateway_since=0, device_since=[0, 0], boots=[1, 1])
    return msgspec.structs.replace(ends, **changes)


def settled(found: Books, now: int, ends: Ends) -> Books:
    found.settle(now, ends)
    found.validate()
    return found


def test_a_message_that_is_heard_is_counted_once_with_its_latency() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 100, qos=1)
    found.acked(0, "tel", (1, 1), 150)
    assert found.heard(0, "tel", (1, 1), 400) == 300
    settled(found, LATER, reachable())
    assert (found.tallies["tel"].once, found.unexplained) == (1, 0)


def test_a_message_heard_twice_is_again_and_not_a_second_message() -> None:
    found = books()
    found.said(0, "ev", (1, 7), 0, qos=1)
    assert found.heard(0, "ev", (1, 7), 5) == 5
    assert found.heard(0, "ev", (1, 7), 6) is None, "a repetition has no latency"
    settled(found, LATER, reachable())
    assert (found.tallies["ev"].once, found.tallies["ev"].again) == (1, 1)


def test_an_acknowledged_message_that_never_comes_is_unexplained_and_told() -> None:
    found = books()
    found.said(1, "tel", (1, 12), 0, qos=1)
    found.acked(1, "tel", (1, 12), SECOND)
    settled(found, SECOND + PATIENCE_NS, reachable())
    assert found.unexplained == 0, "the gateway still has time"
    settled(found, SECOND + LATER, reachable())
    assert found.unexplained == 1
    assert "tel (1, 12) of kiosk-0001" in found.stories[0], found.stories
    assert "never heard it" in found.stories[0]


def test_it_waits_as_long_as_its_receiver_is_away_and_not_longer() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.acked(0, "tel", (1, 1), 1)
    settled(found, 100 * SECOND, reachable(gateway_since=None))
    assert found.tallies["tel"].waiting == 1, "nobody was there to hear it"
    settled(found, 100 * SECOND, reachable(gateway_since=95 * SECOND))
    assert found.tallies["tel"].waiting == 1, "the broker has just got its subscriber back"
    settled(found, 120 * SECOND, reachable(gateway_since=95 * SECOND))
    assert found.unexplained == 1


def test_a_late_arrival_takes_the_complaint_back() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.acked(0, "tel", (1, 1), 1)
    settled(found, LATER * 2, reachable())
    assert found.unexplained == 1
    found.heard(0, "tel", (1, 1), LATER * 2)
    settled(found, LATER * 2, reachable())
    assert found.unexplained == 0
    assert not found.stories


def test_what_nobody_said_came_from_nowhere() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.heard(0, "tel", (1, 2), 1)
    assert found.tallies["tel"].nowhere == 1
    assert found.unexplained == 1
    settled(found, 2, reachable())
    assert "nobody has said it" in found.stories[0]


def test_a_retained_message_of_an_earlier_run_is_foreign() -> None:
    found = books()
    found.heard(0, "have", (9, 9), 1, retained=True)
    assert (found.tallies["have"].foreign, found.unexplained) == (1, 0)


def test_a_newer_state_stands_in_the_place_of_an_older_one_only_when_it_was_heard() -> None:
    found = books()
    for generation in (1, 2):
        found.said(0, "want", (generation,), 0, qos=1)
        found.acked(0, "want", (generation,), 1)
    settled(found, LATER * 2, reachable())
    assert found.unexplained == 2, "neither arrived"
    found.heard(0, "want", (2,), LATER * 2)
    settled(found, LATER * 2, reachable())
    assert found.tallies["want"].causes == {"replaced": 1}
    assert found.unexplained == 0


def test_telemetry_is_no_state_and_a_later_window_explains_nothing() -> None:
    found = books()
    for seq in (1, 2):
        found.said(0, "tel", (1, seq), 0, qos=1)
        found.acked(0, "tel", (1, seq), 1)
    found.heard(0, "tel", (1, 2), 3)
    settled(found, LATER * 2, reachable())
    assert found.unexplained == 1


def test_what_a_killed_broker_may_not_have_saved_is_explained_and_nothing_else() -> None:
    found = books()
    for number in (1, 2, 3, 4):
        found.said(0, "tel", (1, number), 0, qos=1)
    for number in (1, 2, 3):
        found.acked(0, "tel", (1, number), number * SECOND)
    newest = [(0, "tel", (1, number)) for number in (2, 3, 4)]
    found.heard(0, "tel", (1, 3), 4 * SECOND)
    found.killed(newest, 5 * SECOND, reachable())
    found.acked(0, "tel", (1, 4), 6 * SECOND)
    settled(found, 7 * SECOND, reachable())
    assert found.tallies["tel"].waiting == 3, "what was saved may still come"
    settled(found, 60 * SECOND, reachable())
    assert found.tallies["tel"].causes == {"unsaved": 1}
    assert found.unexplained == 2, "one was acknowledged long before, the other after the kill"
    assert [story[:11] for story in found.stories] == ["tel (1, 1) ", "tel (1, 4) "], found.stories


def test_a_kill_explains_nothing_that_was_unexplained_before_it() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.acked(0, "tel", (1, 1), SECOND)
    found.killed([(0, "tel", (1, 1))], 60 * SECOND, reachable())
    gone = reachable(gateway_since=None)
    found.killed([(0, "tel", (1, 1))], 65 * SECOND, gone)
    settled(found, 200 * SECOND, reachable(gateway_since=70 * SECOND))
    assert found.unexplained == 1, "the gateway was there for a minute before the kill"


def test_what_is_away_for_many_kills_keeps_its_cause() -> None:
    found = books()
    found.said(0, "flags", (1,), 0, qos=1)
    found.acked(0, "flags", (1,), SECOND)
    away = reachable(device_since=[None, 0])
    found.killed([(0, "flags", (1,))], 2 * SECOND, away)
    for kill in range(20):
        found.killed([], (3 + kill) * SECOND, away)
    settled(found, 100 * SECOND, reachable(device_since=[50 * SECOND, 0]))
    assert found.tallies["flags"].causes == {"unsaved": 1}


def test_a_broker_that_forgot_explains_what_it_had_acknowledged_and_nothing_later() -> None:
    found = books()
    for seq, acked in ((1, 5 * SECOND), (2, 15 * SECOND)):
        found.said(0, "tel", (1, seq), SECOND, qos=1)
        found.acked(0, "tel", (1, seq), acked)
    settled(found, 60 * SECOND, reachable(forgot_at=10 * SECOND))
    assert found.tallies["tel"].causes == {"broker forgot": 1}
    assert found.unexplained == 1


def test_ram_is_lost_with_power_but_an_event_is_not() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.said(0, "ev", (1, 1), 0, qos=1)
    settled(found, LATER + SENDER_PATIENCE_NS, reachable(boots=[2, 1]))
    assert found.tallies["tel"].causes == {"power off": 1}
    assert found.tallies["ev"].unexplained == 1, (
        "events are durable: it should have been sent again"
    )


def test_an_agent_that_stops_to_repeat_is_found() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    settled(found, SENDER_PATIENCE_NS, reachable())
    assert found.tallies["tel"].waiting == 1
    settled(found, SENDER_PATIENCE_NS + SECOND, reachable())
    assert found.unexplained == 1
    assert "never acknowledged" in found.stories[0]


def test_what_the_broker_refuses_is_unexplained_however_often_it_is_said_again() -> None:
    """Found by a reader: under a wrong access list a soak waited for ever, and passed."""
    found = books()
    found.said(0, "ev", (1, 7), 0, qos=1)
    found.refused(0, "ev", (1, 7), 0x87, 0)
    settled(found, SENDER_PATIENCE_NS, reachable())
    assert found.unexplained == 0, "the repetition may be taken"
    late = SENDER_PATIENCE_NS + SECOND
    found.said(0, "ev", (1, 7), late, qos=1)
    found.refused(0, "ev", (1, 7), 0x87, late)
    settled(found, late, reachable())
    assert found.unexplained == 1
    assert "refused by the broker (0x87)" in found.stories[0], found.stories
    found.acked(0, "ev", (1, 7), late)
    settled(found, late + SECOND, reachable())
    assert found.unexplained == 0, "it was taken after all"


AWAY = Ends(None, [0, 0], [1, 1])
"""A gateway that is refused leaves, and comes back after a while."""


def test_a_state_that_is_renewed_and_refused_each_time_is_unexplained() -> None:
    """Found by a reader: a soak kills and flags every half minute, and each was replaced by the next."""
    found, beat = books(), 30 * SECOND
    for version in (1, 2, 3, 4):
        now = (version - 1) * beat
        found.said(0, "kill", (version,), now, qos=1)
        settled(found, now, reachable())
        assert found.unexplained == 0, "its own answer has not come"
        found.refused(0, "kill", (version,), 0x87, now)
        settled(found, now, AWAY)
        assert found.unexplained == (version == 4), "the first was refused more than a minute ago"
    found.acked(0, "kill", (4,), 3 * beat)
    found.heard(0, "kill", (4,), 3 * beat)
    found.said(0, "kill", (5,), 4 * beat, qos=1)
    found.refused(0, "kill", (5,), 0x87, 4 * beat)
    settled(found, 4 * beat, AWAY)
    assert found.unexplained == 0, "one was taken: patience begins anew"


def test_a_want_that_is_refused_and_said_again_on_each_connection_is_unexplained() -> None:
    """Found by a reader: a gateway leaves at each refusal, so it was hardly ever seen to be there."""
    found = books()
    for now in range(0, SENDER_PATIENCE_NS + 2 * SECOND, SECOND):
        found.said(0, "want", (1,), now, qos=1)
        found.refused(0, "want", (1,), 0x97, now)
        settled(found, now, AWAY)
        assert found.unexplained == (now > SENDER_PATIENCE_NS)


def test_a_sender_that_was_refused_once_and_is_away_is_waited_for() -> None:
    """Found by a reader: its absence would have ended a soak."""
    found = books()
    found.said(0, "want", (1,), 0, qos=1)
    found.refused(0, "want", (1,), 0x97, 0)
    late = 3 * SENDER_PATIENCE_NS
    settled(found, late, AWAY)
    back = Ends(late, [0, 0], [1, 1])
    settled(found, late, back)
    found.said(0, "want", (1,), late, qos=1)
    settled(found, late, back)
    assert found.unexplained == 0, "it has just come back, and its answer has not"
    found.refused(0, "want", (1,), 0x97, late)
    settled(found, late, back)
    assert found.unexplained == 1


def test_a_refusal_hides_no_other_cause() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.refused(0, "tel", (1, 1), 0x97, 0)
    settled(found, 2 * SENDER_PATIENCE_NS, reachable(boots=[2, 1]))
    assert found.unexplained == 0, "it was in RAM when the power went"


def test_an_outbox_explains_as_many_as_it_dropped() -> None:
    found = books()
    for seq in (1, 2, 3):
        found.said(0, "tel", (1, seq), 0, qos=1)
    found.dropped(0, "tel")
    found.dropped(0, "tel")
    settled(found, LATER, reachable(device_since=[None, None]))
    tally = found.tallies["tel"]
    assert (tally.causes, tally.waiting) == ({"outbox full": 2}, 1)


def test_qos_0_may_be_lost_and_says_so() -> None:
    found = books()
    found.said(0, "dat", (65537, 1, 0), 0, qos=0)
    settled(found, PATIENCE_NS, reachable())
    assert found.tallies["dat"].waiting == 1
    settled(found, LATER, reachable())
    assert found.tallies["dat"].causes == {"qos 0": 1}


def test_a_request_passes_a_gateway_that_was_away_but_not_one_that_was_there() -> None:
    found = books()
    found.said(0, "get", (65537, 2), 10 * SECOND, qos=1)
    found.acked(0, "get", (65537, 2), 10 * SECOND)
    settled(found, 60 * SECOND, reachable(gateway_since=13 * SECOND))
    assert (found.unexplained, found.tallies["get"].causes) == (0, {"qos 0": 1})
    found.said(1, "get", (65537, 2), 70 * SECOND, qos=1)
    found.acked(1, "get", (65537, 2), 70 * SECOND)
    settled(found, 90 * SECOND, reachable(gateway_since=13 * SECOND))
    assert found.unexplained == 1, "the gateway was there all the time"


def test_a_verb_may_expire_only_while_its_device_is_away() -> None:
    found = books()
    found.said(0, "ctl", (0, 0, 2), 0, qos=1, expiry_ns=20 * SECOND)
    found.acked(0, "ctl", (0, 0, 2), 1)
    away = reachable(device_since=[None, 0])
    settled(found, 15 * SECOND, away)
    assert found.tallies["ctl"].waiting == 1
    settled(found, 40 * SECOND, reachable())
    assert found.unexplained == 1, "the device was there all along"
    settled(found, 40 * SECOND, away)
    assert found.tallies["ctl"].causes == {"expired": 1}


def test_shelved_books_go_on_where_they_were() -> None:
    found = books()
    found.said(0, "tel", (1, 1), 0, qos=1)
    found.said(0, "tel", (1, 2), 0, qos=1)
    found.acked(0, "tel", (1, 2), 1)
    found.heard(0, "tel", (1, 1), 2)
    encoded = msgspec.msgpack.encode(found.dump())
    other = books()
    other.load(msgspec.msgpack.decode(encoded, type=Shelved))
    other.heard(0, "tel", (1, 2), 3)
    other.heard(0, "tel", (1, 1), 4)
    settled(other, LATER, reachable())
    assert (other.tallies["tel"].once, other.tallies["tel"].again) == (2, 1)
    assert other.unexplained == 0


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["said", "acked", "heard", "settle", "drop", "forget", "away", "back"]),
        st.sampled_from(["tel", "have", "want", "dat", "ctl", "get"]),
        st.integers(1, 6),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(MOVES)
def test_the_books_balance_whatever_happens(moves: list[tuple[str, str, int]]) -> None:
    """Random stories, messages only heard when said: nothing comes from nowhere, all sums close."""
    found, ends, now = books(), reachable(), 0
    said: set[tuple[str, int]] = set()
    for verb, kind, number in moves:
        now += 3 * SECOND
        ident = (number,) if kind == "want" else (1, number)
        if verb == "said":
            said.add((kind, number))
            found.said(0, kind, ident, now, qos=int(kind != "dat"))
        elif verb == "acked":
            found.acked(0, kind, ident, now)
        elif verb == "heard" and (kind, number) in said:
            found.heard(0, kind, ident, now)
        elif verb == "drop":
            found.dropped(0, kind)
        elif verb == "forget":
            ends = msgspec.structs.replace(ends, forgot_at=now)
        elif verb in ("away", "back"):
            since = None if verb == "away" else now
            ends = msgspec.structs.replace(ends, gateway_since=since, device_since=[since, 0])
        elif verb == "settle":
            settled(found, now, ends)
    settled(found, now + LATER, ends)
    assert not any(tally.nowhere for tally in found.tallies.values()), found.stories
