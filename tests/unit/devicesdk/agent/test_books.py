"""The books: a state belongs to the trial while there is one, else to the newest want."""

from __future__ import annotations

from devicesdk.agent.books import TOLD, Books
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.slots import Slots
from devicesdk.agent.snapshot import Slot, State, Status, Trial, decode_want
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.wire import codec
from devicesdk.wire.messages import Event, UpdateState
from tests_kit.agent_bundles import VERIFIER, Bundle, shared_of, want_of

RAW = VERIFIER.open(ROLE_DIRECTOR, want_of(Bundle(2), 4, deployment="r4", attempt=1))
ON_TRIAL = State(
    committed="a",
    a=Slot(manifest=b"o" * 32, verified=True),
    b=Slot(manifest=b"n" * 32, verified=True),
    trial=Trial(slot="b", generation=3, deployment="r3", attempt=2, trial_ms=1),
)


def _books(state=None):
    shared = shared_of()
    state = state or State()
    slots = Slots(AgentConfig(), state)
    outbox = Outbox(shared, state)
    return Books(shared, slots, outbox, state), shared, outbox


def _told(outbox):
    return [codec.decode(Event, event) for event in outbox.events]


def test_nothing_is_wanted_at_first_and_nothing_can_be_told():
    books, _, outbox = _books()
    assert (books.generation, books.over, books.want) == (0, False, None)
    books.enter(UpdateState.FAILED, "why")
    books.tell()
    assert _told(outbox) == []


def test_a_taken_want_is_the_newest():
    books, shared, outbox = _books()
    books.take(decode_want(RAW), RAW)
    assert (books.generation, books.want_bytes, shared.report_due) == (4, RAW, True)
    books.enter(UpdateState.FAILED, "link")
    books.tell()
    (event,) = _told(outbox)
    assert (event.state, event.reason, event.generation) == (UpdateState.FAILED, "link", 4)
    assert (event.deployment, event.attempt, event.digest) == ("r4", 1, Bundle(2).digest)
    assert books.over


def test_while_a_trial_runs_its_own_name_is_told():
    books, _, outbox = _books(ON_TRIAL)
    books.take(decode_want(RAW), RAW)
    books.enter(UpdateState.COMMITTED)
    books.tell()
    (event,) = _told(outbox)
    assert (event.generation, event.deployment, event.digest) == (3, "r3", b"n" * 32)
    assert not books.over, "the newest want ended with the trial of another"


def test_a_trial_is_told_of_even_where_no_want_is_known():
    books, _, outbox = _books(ON_TRIAL)
    books.enter(UpdateState.ROLLED_BACK, "runtime:silent")
    books.tell()
    assert _told(outbox)[0].digest == b"n" * 32


def test_entering_the_same_state_again_is_no_news():
    books, shared, _ = _books()
    books.enter(UpdateState.WAITING, "heat")
    shared.report_due = False
    shared.out.clear()
    books.enter(UpdateState.WAITING, "heat")
    assert (shared.report_due, shared.out) == (False, [])


def test_what_passes_quickly_is_not_told():
    books, _, outbox = _books()
    books.take(decode_want(RAW), RAW)
    for state in UpdateState:
        books.enter(state)
        books.tell()
    assert {event.state for event in _told(outbox)} == TOLD
    assert UpdateState.WAITING not in TOLD


def test_the_books_survive_a_boot():
    books, _, _ = _books(State(want=RAW, status=Status(UpdateState.FAILED, "link", 4)))
    assert (books.generation, books.over, books.status.reason) == (4, True, "link")
