"""Patience over HTTP: what is asked again, with which key, and what never is."""

import socket
import ssl
from datetime import UTC, datetime

import pytest

from devicesdk.aio.clock import RealClock
from gateway.adapters.certificates import make_tls, server_tls
from gateway.client import http
from gateway.client.http import TRIES_MAX, HttpWay, Secret
from gateway.client.way import NoEventsError
from gateway.core.access.roles import Role
from gateway.ports import BlobError
from gateway.runtime import verbs
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import VerbError
from tests_kit.scripted_http import Scripted, answer, raw, stream, vanish

TOKEN = "fd_ana_" + "a" * 52
SAID = {"said": ["done"]}
BUSY = answer({"detail": "come later", "type": "/problems/busy"}, 503, Retry_After="2")


class Patience:
    """Counts what was slept, and sleeps not."""

    def __init__(self):
        self.slept = []
        self.draws = 0

    def entropy(self, count):
        self.draws += 1
        return self.draws.to_bytes(count, "big")


@pytest.fixture
def patience():
    return Patience()


@pytest.fixture
def ask(patience):
    """Ask a scripted peer for a verb; gives what came of it, and the peer."""

    def ask(verb, *acts, key="", s_max=30.0):
        with Scripted(*acts) as peer:
            way = HttpWay(
                peer.url, Secret(TOKEN), trust=None, entropy=patience.entropy, key=key,
                sleep=patience.slept.append, proxied=False, answer_s_max=s_max,
            )  # fmt: skip
            try:
                return way.ask(verb), peer
            except (VerbError, NoGatewayError, ValueError) as error:
                return error, peer
            finally:
                way.close()

    return ask


def test_a_lost_answer_is_asked_for_again_with_the_same_key(ask, patience):
    found, peer = ask(verbs.Kill(feature="x"), vanish, vanish, answer(SAID))
    assert found == SAID
    assert len(set(peer.keys)) == 1
    assert peer.keys[0].startswith("cli-")
    assert len(patience.slept) == 2
    assert all(0 < s < 10 for s in patience.slept)


def test_two_verbs_have_two_keys_and_the_first_may_be_said(patience):
    with Scripted(answer(SAID)) as peer:
        way = HttpWay(
            peer.url, Secret(TOKEN), trust=None, entropy=patience.entropy, sleep=None, key="mine",
            proxied=False,
        )  # fmt: skip
        for _ in range(3):
            way.ask(verbs.Kill(feature="x"))
        way.close()
    assert peer.keys[0] == "mine"
    assert len(set(peer.keys)) == 3


def test_whoever_never_answers_is_given_up_and_the_key_is_told(ask):
    found, peer = ask(verbs.Kill(feature="x"), vanish)
    assert isinstance(found, NoGatewayError)
    assert len(peer.asked) == TRIES_MAX
    assert f"--once {peer.keys[0]}" in str(found)
    assert TOKEN not in str(found)


def test_what_heeds_no_key_is_not_asked_again_after_a_lost_answer(ask):
    found, peer = ask(verbs.MakeToken(name="ci", role=Role.VIEWER), vanish, answer({"token": "t"}))
    assert isinstance(found, NoGatewayError)
    assert "look before you ask again" in str(found)
    assert len(peer.asked) == 1


def test_busy_is_asked_again_as_late_as_was_said(ask, patience):
    verb = verbs.MakeToken(name="ci", role=Role.VIEWER)
    found, peer = ask(verb, BUSY, answer({"token": "t"}))
    assert found == {"token": "t"}
    assert len(peer.asked) == 2
    assert patience.slept[0] >= 2


def test_busy_for_ever_is_said(ask):
    found, peer = ask(verbs.Overview(), BUSY)
    assert (found.code, str(found)) == ("busy", "come later")
    assert len(peer.asked) == TRIES_MAX


def test_the_same_key_under_way_is_waited_for(ask):
    under_way = answer({"detail": "under way", "type": "/problems/conflict"}, 409)
    found, _ = ask(verbs.Kill(feature="x"), under_way, answer(SAID))
    assert found == SAID


def test_a_refusal_is_not_asked_again(ask):
    found, peer = ask(verbs.Kill(feature="x"), answer({"detail": "no", "type": "/problems/refused"}, 409))  # fmt: skip
    assert (found.code, str(found)) == ("refused", "no")
    assert len(peer.asked) == 1


def test_a_token_does_not_follow_where_somebody_points_to(ask):
    with Scripted(answer({})) as elsewhere:
        found, peer = ask(verbs.Overview(), raw(b"", 302, Location=f"{elsewhere.url}/v1/fleet"))
    assert elsewhere.asked == []
    assert isinstance(found, NoGatewayError)
    assert "a way to elsewhere" in str(found)
    assert peer.asked[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_nobody_there(ask, patience):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        way = HttpWay(
            url, Secret(TOKEN), trust=None, entropy=patience.entropy, sleep=patience.slept.append,
            proxied=False,
        )  # fmt: skip
        with pytest.raises(
            NoGatewayError, match=r"is this its address .*FLEETDRILL_URL.*make serve"
        ):
            way.ask(verbs.Kill(feature="x"))
        way.close()
    assert len(patience.slept) == TRIES_MAX - 1


def test_a_list_is_put_together_of_its_pages(ask):
    pages = [answer({"tokens": [{"n": 1}], "next": "C"}), answer({"tokens": [{"n": 2}], "next": None})]  # fmt: skip
    found, peer = ask(verbs.ListTokens(), *pages)
    assert found == [{"n": 1}, {"n": 2}]
    assert [path for _, path, _, _ in peer.asked] == [
        "/v1/tokens?limit=1000", "/v1/tokens?limit=1000&cursor=C",
    ]  # fmt: skip


def test_an_answer_has_a_bound(ask, monkeypatch):
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 10)
    found, _ = ask(verbs.Overview(), answer({"a": "b" * 100}))
    assert "at most 10 bytes" in str(found)


def test_a_certificate_is_believed_when_its_authority_is_named(tmp_path, patience):
    now = datetime.fromtimestamp(RealClock().wall_ms() / 1000, UTC)
    make_tls(tmp_path, ("localhost",), (), now, 2)
    said = server_tls(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(said.certificate, said.key)
    with Scripted(answer({"fleet": {}}), tls=context) as peer:
        for ca in (None, said.ca):
            way = HttpWay(
                peer.url, Secret(TOKEN), trust=ssl.create_default_context(cafile=ca), proxied=False,
                entropy=patience.entropy, sleep=patience.slept.append,
            )  # fmt: skip
            if ca is None:
                with pytest.raises(ValueError, match="--ca"):
                    way.ask(verbs.Overview())
            else:
                assert way.ask(verbs.Overview()) == {"fleet": {}}
            way.close()
    assert patience.slept == [], "asking again does not help"


def test_events_and_their_absence(patience):
    told = stream(("kills", {"version": 1}), ("rollouts", {"rollouts": []}))
    gone = answer({"detail": "too many", "type": "/problems/busy"}, 503)
    with Scripted(told, gone, answer({"detail": "no", "type": "/problems/forbidden"}, 403)) as peer:
        way = HttpWay(
            peer.url, Secret(TOKEN), trust=None, entropy=patience.entropy, sleep=None, proxied=False
        )
        assert list(way.events("")) == [
            ("1", "kills", {"version": 1}), ("2", "rollouts", {"rollouts": []}),
        ]  # fmt: skip
        with pytest.raises(NoEventsError):
            list(way.events("2"))
        with pytest.raises(VerbError, match="no"):
            list(way.events("2"))
        way.close()
    assert peer.asked[1][2]["Last-Event-ID"] == "2"


def test_a_blob_that_is_not_there(patience):
    with Scripted(answer({"detail": "none", "type": "/problems/unknown"}, 404)) as peer:
        way = HttpWay(
            peer.url, Secret(TOKEN), trust=None, entropy=patience.entropy, sleep=None, proxied=False
        )
        assert not way.holds(bytes(32))
        with pytest.raises(BlobError):
            way.read(bytes(32), 0, 10)
        way.close()
