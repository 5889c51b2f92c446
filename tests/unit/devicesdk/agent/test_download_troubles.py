"""What a transfer does when it is refused, kept waiting, lied to or cut off."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.download import (
    EMPTY_ROUNDS_MAX,
    INTEGRITY,
    LINK,
)
from devicesdk.agent.effects import Write
from devicesdk.agent.notes import NoteKind
from devicesdk.wire import codec
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Control, ControlVerb
from devicesdk.wire.timebase import MS, NEVER, SECOND
from tests_kit.agent_bundles import frame_of, pattern
from tests_kit.transfers import CHUNK, IMAGE, Transfer, indices


def test_five_empty_rounds_look_at_the_link_and_32_give_up():
    t = Transfer().begin()
    looks = 0
    for _ in range(200):
        if t.download.ended is not None:
            break
        t.due()
        looks += NoteKind.LINK_LOOK in [e.kind for e in t.wrote(object) if hasattr(e, "kind")]
    assert t.download.ended == LINK
    assert looks == (EMPTY_ROUNDS_MAX - 1) // 5
    assert t.now > 10 * 60 * SECOND, f"gave up after {t.now / SECOND} s"


def test_a_chunk_resets_the_count_of_empty_rounds():
    t = Transfer().begin()
    for _ in range(60):
        for _ in range(4):
            t.due()
        gets = t.asked()
        if gets:
            t.take(t.frames(gets[-1])[0])
        if t.download.ended is not None:
            break
    assert t.download.ended == "", "chunks came, and the link was given up"


def test_waiting_is_not_an_attempt():
    t = Transfer().begin()
    for _ in range(300):
        gets = t.asked()
        for get in gets:
            t.say(ControlVerb.WAIT, get, retry_after_ms=10_000, why=Wait.BUSY)
        before = t.now
        t.due()
        if gets:
            assert 10 * SECOND <= t.now - before <= 12 * SECOND
    assert t.download.ended is None
    t.finish()
    assert t.download.ended == ""


def test_a_wait_holds_back_new_requests_but_not_the_other_round():
    t = Transfer().begin()
    first, second = t.asked()
    t.say(ControlVerb.WAIT, first, retry_after_ms=5_000)
    t.answer([second])
    assert t.download.bytes_done == 2 * CHUNK
    assert not t.asked()
    t.due()
    assert [indices(get)[0] for get in t.asked()] == [0, 6] or t.download.bytes_done


def test_a_wait_has_bounds():
    t = Transfer().begin()
    first, second = t.asked()
    t.say(ControlVerb.WAIT, first, retry_after_ms=0)
    assert t.download.at >= 10 * MS
    t.say(ControlVerb.WAIT, second, retry_after_ms=2**32 - 1)
    assert t.download.at <= 2 * 3600 * SECOND


@pytest.mark.parametrize("code", [code for code in Nack if code.terminal])
def test_a_terminal_refusal_stops_at_once(code):
    t = Transfer().begin()
    t.say(ControlVerb.NACK, t.asked()[0], code=code)
    assert (t.download.ended, t.download.nack) == (f"nack:{code}", code)
    t.download.due(NEVER)
    assert not t.asked()


@pytest.mark.parametrize("code", [Nack.UNAUTHORIZED, Nack.INTERNAL_ERROR, None])
def test_a_transient_refusal_is_tried_three_times(code):
    t = Transfer(AgentConfig(rounds_outstanding_max=1)).begin()
    for _ in range(2):
        t.say(ControlVerb.NACK, t.asked()[0], code=code)
        assert t.download.ended is None
        assert not t.asked(), "asked again without a pause"
        t.due()
    t.say(ControlVerb.NACK, t.asked()[0], code=code)
    assert t.download.ended == f"nack:{code or Nack.INTERNAL_ERROR}"


def test_progress_forgives_transient_refusals():
    t = Transfer(AgentConfig(rounds_outstanding_max=1)).begin()
    for _ in range(6):
        t.say(ControlVerb.NACK, t.asked()[0], code=Nack.UNAUTHORIZED)
        t.due()
        t.take(t.frames(t.asked()[0])[0])
        if t.download.ended is None:
            t.due()
    assert t.download.ended is None


def test_verbs_for_another_transfer_or_round_are_dropped():
    t = Transfer().begin()
    get = t.asked()[0]
    for transfer, seq in ((get.transfer + 1, get.seq), (get.transfer, 99)):
        control = Control(verb=ControlVerb.NACK, transfer=transfer, seq=seq, code=Nack.GONE)
        t.download.control(control, 0)
    assert (t.download.ended, t.download.dropped) == (None, 2)


def test_a_tampered_chunk_is_never_written_and_three_of_them_give_up():
    t = Transfer(AgentConfig(rounds_outstanding_max=1)).begin()
    for _ in range(3):
        get = t.asked()[0]
        t.wrote()
        t.take(frame_of(get, pattern(99, len(IMAGE)), CHUNK, 0, len(indices(get))))
        assert not t.wrote(Write)
    assert t.download.ended == INTEGRITY


def test_a_chunk_of_the_wrong_size_is_a_bad_one():
    t = Transfer().begin()
    get = t.asked()[0]
    frame = codec.Frame(get.transfer, get.seq, get.blob[:8], 0, 0)
    t.take(codec.encode_frame(frame, IMAGE[: CHUNK - 1]))
    assert t.download.bytes_done == 0
    notes = [e.kind for e in t.shared.out if hasattr(e, "kind")]
    assert NoteKind.CHUNK_BAD in notes


def test_a_tampered_chunk_is_fetched_again():
    t = Transfer().begin()
    first = t.asked()
    t.take(frame_of(first[0], pattern(99, len(IMAGE)), CHUNK, 0, 0))
    t.take(t.frames(first[0])[1])
    assert 0 in indices(t.asked()[0])
    t.answer(first[1:])
    t.finish()


def test_holding_asks_for_nothing_and_uses_what_comes():
    t = Transfer().begin()
    gets = t.asked()
    t.download.hold()
    t.download.hold()
    t.download.validate()
    t.answer(gets)
    assert (t.download.bytes_done, t.asked(), t.download.at) == (4 * CHUNK, [], NEVER)
    t.download.go_on(t.now)
    t.download.go_on(t.now)
    assert len(t.asked()) == 2


def test_a_disconnect_loses_requests_and_no_chunks():
    t = Transfer().begin()
    t.answer(t.asked()[:1])
    t.asked()
    t.shared.online = False
    t.download.offline()
    t.download.validate()
    assert (t.download.at, t.asked()) == (NEVER, [])
    t.shared.online = True
    t.download.online(t.now)
    assert indices(t.asked()[0])[0] == 2


def test_nothing_is_asked_for_offline():
    t = Transfer(online=False).begin()
    assert not t.asked()
