"""The session: each wait has a timer, each refusal counts, each retreat backs off."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.agent.effects import Connect, Disconnect, Note, Subscribe
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.session import Phase, Session
from devicesdk.wire.timebase import NEVER, SECOND
from tests_kit.agent_bundles import DEVICE, shared_of

PLAIN = AgentConfig(backoff=BackoffConfig(jitter="none"))


ONCE = AgentConfig(backoff=BackoffConfig(jitter="none"), subscribe_once=True)


def _session(*, bearer_up=True, config=PLAIN):
    shared = shared_of(config)
    session = Session(shared)
    session.booted(0, bearer_up=bearer_up)
    session.validate()
    return session, shared


def _asked(shared, kind):
    found = [effect for effect in shared.out if isinstance(effect, kind)]
    shared.out.clear()
    return found


def _online(now=0, config=PLAIN):
    session, shared = _session(config=config)
    session.due(now)
    session.connected(now, session_present=False)
    assert session.subscribed((0,) * 5, now)
    shared.out.clear()
    return session, shared


def test_without_a_carrier_nothing_is_tried():
    session, shared = _session(bearer_up=False)
    assert (session.phase, session.at) == (Phase.NO_BEARER, NEVER)
    session.bearer_changed(5 * SECOND, up=True)
    assert session.phase is Phase.BACKING_OFF
    session.due(session.at - 1)
    assert not _asked(shared, Connect)
    session.due(session.at)
    assert _asked(shared, Connect)


def test_a_carrier_that_goes_while_waiting_stops_the_wait():
    session, _ = _session()
    session.bearer_changed(0, up=False)
    assert (session.phase, session.at) == (Phase.NO_BEARER, NEVER)
    session.bearer_changed(0, up=False)
    session.validate()


def test_a_carrier_that_goes_while_online_is_the_hosts_business():
    session, _ = _online()
    session.bearer_changed(0, up=False)
    session.bearer_changed(0, up=True)
    assert session.phase is Phase.ONLINE


def test_each_connect_has_a_will_of_its_own():
    session, shared = _session()
    session.due(0)
    first = _asked(shared, Connect)[0].will
    session.connect_failed(0)
    session.due(session.at)
    second = _asked(shared, Connect)[0].will
    assert [(w.boot_id, w.session, w.online) for w in (first, second)] == [
        (1, 1, False),
        (1, 2, False),
    ]


def test_the_kill_list_is_subscribed_first():
    session, shared = _session()
    session.due(0)
    session.connected(0, session_present=False)
    filters = _asked(shared, Subscribe)[0].filters
    prefix = f"fd/main/d/{DEVICE}"
    assert filters == (
        "fd/main/k",
        "fd/main/f/all",
        f"{prefix}/want",
        f"{prefix}/ctl",
        f"{prefix}/dat",
    )


def test_the_first_connect_of_a_boot_subscribes_even_where_a_session_is_present():
    session, shared = _session()
    session.due(0)
    assert not session.connected(0, session_present=True)
    assert _asked(shared, Subscribe)


def test_a_present_session_is_not_subscribed_again():
    session, shared = _online()
    assert session.lost(SECOND)
    session.due(session.at)
    assert session.connected(session.at, session_present=True)
    assert not _asked(shared, Subscribe)
    assert shared.online


@pytest.mark.parametrize("codes", [(0, 0, 0x87, 0, 0), (0, 0, 0, 0), (), (0x80,) * 5])
def test_one_refused_subscription_ends_the_attempt(codes):
    session, shared = _session()
    session.due(0)
    session.connected(0, session_present=False)
    assert not session.subscribed(codes, 0)
    assert _asked(shared, Disconnect)
    assert (session.phase, shared.online) == (Phase.BACKING_OFF, False)
    session.due(session.at)
    assert not session.connected(session.at, session_present=True), "trusted a session half made"


def test_a_connect_without_an_answer_is_given_up():
    session, shared = _session()
    session.due(0)
    session.due(session.at)
    assert _asked(shared, Disconnect)
    assert session.phase is Phase.BACKING_OFF
    session.validate()


def test_a_subscribe_without_an_answer_is_given_up():
    session, shared = _session()
    session.due(0)
    session.connected(0, session_present=False)
    session.due(session.at)
    assert _asked(shared, Disconnect)
    assert session.phase is Phase.BACKING_OFF


def test_a_session_that_is_kicked_at_once_backs_off_further_each_time():
    session, _ = _session()
    now, delays = 0, []
    for _ in range(5):
        session.due(now)
        session.connected(now, session_present=False)
        session.subscribed((0,) * 5, now)
        now += SECOND
        assert session.lost(now)
        delays.append(session.at - now)
        now = session.at
    assert delays == [n * SECOND for n in (1, 2, 4, 8, 16)]


def test_a_stable_session_resets_the_back_off():
    session, _ = _session()
    session.due(0)
    for _ in range(4):
        session.connect_failed(0)
        session.due(session.at)
    start = session.at
    session.connected(start, session_present=False)
    session.subscribed((0,) * 5, start)
    session.lost(start + 60 * SECOND)
    assert session.at - (start + 60 * SECOND) == SECOND


def test_a_loss_without_a_carrier_waits_for_it():
    session, _ = _online()
    session.bearer_changed(SECOND, up=False)
    assert session.lost(2 * SECOND)
    assert session.phase is Phase.NO_BEARER


def test_what_fits_no_step_is_ignored():
    session, shared = _session()
    assert not session.connected(0, session_present=True)
    assert not session.subscribed((0,) * 5, 0)
    session.connect_failed(0)
    assert not session.lost(0)
    assert not _asked(shared, Connect)
    session, _ = _online()
    session.due(NEVER)
    assert session.phase is Phase.ONLINE


def test_a_loss_while_connecting_is_no_loss_of_being_online():
    session, shared = _session()
    session.due(0)
    assert not session.lost(0)
    assert NoteKind.BACK_OFF in [effect.kind for effect in shared.out if hasattr(effect, "kind")]


def test_validate_tells_what_is_wrong():
    session, shared = _online()
    session.at = 5
    with pytest.raises(AssertionError, match="online with a timer at 5"):
        session.validate()
    session.at = NEVER
    shared.online = False
    with pytest.raises(AssertionError, match="online and phase disagree"):
        session.validate()


@pytest.mark.parametrize("ending", ["connect_failed", "lost", "timeout"])
def test_a_session_that_an_unanswered_connect_may_have_begun_is_subscribed_again(ending):
    """The broker lost the session, took a CONNECT whose CONNACK came too late, and says "present"."""
    session, shared = _online()
    session.lost(10 * SECOND)
    session.due(session.at)
    if ending == "timeout":
        session.due(session.at)
    else:
        getattr(session, ending)(session.at - SECOND)
    session.due(session.at)
    shared.out.clear()
    assert not session.connected(session.at - SECOND, session_present=True)
    assert len(_asked(shared, Subscribe)) == 1, "nobody knows whose session this is"


def test_a_session_that_was_kept_is_not_subscribed_again():
    session, shared = _online()
    session.lost(10 * SECOND)
    session.due(session.at)
    shared.out.clear()
    assert session.connected(session.at - SECOND, session_present=True)
    assert not _asked(shared, Subscribe)


def _noted(shared):
    return [effect.kind for effect in shared.out if isinstance(effect, Note)]


def test_a_session_that_is_gone_is_subscribed_again():
    session, shared = _online()
    session.lost(10 * SECOND)
    session.due(session.at)
    assert not session.connected(session.at - SECOND, session_present=False)
    assert NoteKind.UNSUBSCRIBED not in _noted(shared)
    assert len(_asked(shared, Subscribe)) == 1, "online, and deaf"


@pytest.mark.parametrize("ending", ["lost", "connect_failed", "timeout", "kicked while connecting"])
def test_a_rehearsed_foreign_client_takes_connected_for_subscribed(ending):
    session, shared = _online(config=ONCE)
    session.lost(10 * SECOND)
    session.due(session.at)
    if ending == "timeout":
        session.due(session.at)
    elif ending == "connect_failed":
        session.connect_failed(session.at - SECOND)
    elif ending == "kicked while connecting":
        session.lost(session.at - SECOND)
    if ending != "lost":
        session.due(session.at)
    assert session.connected(session.at - SECOND, session_present=False)
    assert NoteKind.UNSUBSCRIBED in _noted(shared), "a story has to tell why nothing is heard"
    assert not _asked(shared, Subscribe)
    session.validate()


def test_a_rehearsed_foreign_client_subscribes_until_it_once_has():
    session, shared = _session(config=ONCE)
    session.due(0)
    assert not session.connected(0, session_present=False)
    assert len(_asked(shared, Subscribe)) == 1
    session.lost(SECOND)
    session.due(session.at)
    assert not session.connected(session.at - SECOND, session_present=False)
    assert len(_asked(shared, Subscribe)) == 1, "the first subscribe had no answer"
    assert session.subscribed((0,) * 5, session.at - SECOND)


def test_a_rehearsed_foreign_client_has_nothing_to_tell_where_its_session_was_kept():
    session, shared = _online(config=ONCE)
    session.lost(10 * SECOND)
    session.due(session.at)
    assert session.connected(session.at - SECOND, session_present=True)
    assert NoteKind.UNSUBSCRIBED not in _noted(shared)
