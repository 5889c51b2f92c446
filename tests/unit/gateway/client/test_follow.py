"""A rollout as it goes on: events, polling, and a gateway that is away for a while."""

import pytest

from gateway.client.follow import AWAY_MAX, follow
from gateway.client.http import HttpWay, Secret
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import VerbError
from tests_kit.scripted_http import Scripted, answer, raw, stream

NO_EVENTS = answer({"detail": "too many listen", "type": "/problems/busy"}, 503)


def view(state):
    return {"id": "spring", "state": state}


def told(*states):
    return stream(*(("rollouts", {"rollouts": [{"id": "other"}, view(one)]}) for one in states))


@pytest.fixture
def states():
    """The first so many states that are followed at a scripted peer; its paths; the troubles."""

    def states(count, *acts):
        troubles = []
        with Scripted(*acts) as peer:
            way = HttpWay(
                peer.url,
                Secret("t"),
                trust=None,
                entropy=bytes,
                sleep=lambda _: None,
                proxied=False,
            )
            found = []
            following = follow(way, "spring", lambda _: None, troubles.append)
            try:
                while len(found) < count:
                    found.append(next(following)["state"])
            finally:
                following.close()
                way.close()
        return found, [path for _, path, _, _ in peer.asked], troubles

    return states


def test_events_tell_of_changes_and_of_nothing_else(states):
    found, paths, troubles = states(
        3, answer(view("waiting")), told("waiting", "running", "running", "completed")
    )
    assert found == ["waiting", "running", "completed"]
    assert paths == ["/v1/rollouts/spring", "/v1/events"]
    assert troubles == []


def test_a_stream_that_ends_is_gone_on_with(states):
    found, paths, _ = states(
        3, answer(view("waiting")), told("running"), answer(view("running")), told("completed")
    )
    assert found == ["waiting", "running", "completed"]
    assert paths.count("/v1/events") == 2


def test_without_events_it_is_asked_now_and_then(states):
    found, paths, _ = states(
        2, answer(view("waiting")), *[NO_EVENTS, answer(view("waiting"))] * 3, NO_EVENTS,
        answer(view("completed")),
    )  # fmt: skip
    assert found == ["waiting", "completed"]
    assert paths.count("/v1/rollouts/spring") == 5


def test_an_old_rollout_of_which_events_do_not_tell(states):
    others = stream(("fleet", {}), ("rollouts", {"rollouts": [{"id": "other"}]}))
    found, paths, _ = states(2, answer(view("running")), others, answer(view("completed")))
    assert found == ["running", "completed"]
    assert paths[-1] == "/v1/rollouts/spring"


def test_a_gateway_that_restarts_is_waited_for(states):
    away = raw(b"", 502)
    found, _, troubles = states(
        2, answer(view("running")), *[NO_EVENTS, *[away] * 5] * 2, told("completed")
    )
    assert found == ["running", "completed"]
    assert len(troubles) == 2
    assert "found 502" in troubles[0]


def test_nobody_is_waited_for_without_end(states, monkeypatch):
    monkeypatch.setattr("gateway.client.http.TRIES_MAX", 1)
    with pytest.raises(NoGatewayError):
        states(2, answer(view("running")), raw(b"", 500))
    assert AWAY_MAX < 1_000


def test_who_may_not_look_is_told_at_once(states):
    with pytest.raises(VerbError, match="expected the id of a rollout"):
        states(1, answer({"detail": "expected the id of a rollout", "type": "/problems/unknown"}, 404))  # fmt: skip
