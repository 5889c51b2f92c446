"""What is told of a verb on its way: the office, the commit that made it durable, the publishes that followed.

Decides spans, their names and everything that they may say. Leaves out the request around a verb (gateway/api) and
who is told (gateway/adapters/tracing.py); where nobody is, nothing here runs.

    request > verb > commit > publish <kind of topic>

Rules: an attribute is one of `ATTRIBUTES`: a number, a word of a closed set, or a verb's subject as the audit log has it;
never a token, a payload or a label. A turn tells one span of its commit to each verb in it, and one of publishes for
each kind of topic, however many devices they went to: a span a device would drown everything else. A turn without verbs
(messages of devices, deadlines) is a trace of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from devicesdk.aio.clock import stopwatch
from gateway.core import effects as ask
from gateway.core.audit.rows import ENTRY, AuditRow
from gateway.ports import Span, Told, Tracing
from gateway.runtime.performing import Performer
from gateway.runtime.permissions import subject_of, tag_of
from gateway.runtime.spans import CURRENT, Asked
from gateway.runtime.verbs import AnyVerb, VerbError

METHOD: Final = "http.request.method"
ROUTE: Final = "http.route"
STATUS: Final = "http.response.status_code"
VERB: Final = "fleetdrill.verb"
SUBJECT: Final = "fleetdrill.subject"
OUTCOME: Final = "fleetdrill.outcome"
CODE: Final = "fleetdrill.code"
AUDIT_NUMBER: Final = "fleetdrill.audit_number"
COMMIT_ROWS: Final = "fleetdrill.commit.rows"
COMMIT_US: Final = "fleetdrill.commit.us"
COMMIT_VERBS: Final = "fleetdrill.commit.verbs"
TOPIC_KIND: Final = "fleetdrill.topic_kind"
MESSAGES: Final = "messaging.batch.message_count"
BYTES: Final = "fleetdrill.bytes"
ATTRIBUTES: Final = frozenset({
    METHOD, ROUTE, STATUS, VERB, SUBJECT, OUTCOME, CODE, AUDIT_NUMBER, COMMIT_ROWS, COMMIT_US, COMMIT_VERBS,
    TOPIC_KIND, MESSAGES, BYTES,
})  # fmt: skip
"""Those that OpenTelemetry names have its names (semantic conventions of HTTP and of messaging)."""


async def told(tracing: Tracing, verb: AnyVerb, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do a verb within a span; raises what `work` raises."""
    says: Told = {VERB: tag_of(verb), SUBJECT: subject_of(verb), OUTCOME: "done"}
    span = tracing.begin(f"verb {tag_of(verb)}", says, parent=CURRENT.get())
    before, failed = CURRENT.set(span), True
    try:
        found = await work()
    except VerbError as error:
        span.tell({OUTCOME: "refused", CODE: error.code})
        failed = False
        raise
    except BaseException:
        span.tell({OUTCOME: "unknown"})
        raise
    else:
        failed = False
        return found
    finally:
        CURRENT.reset(before)
        span.end(failed=failed)


class Turn(msgspec.Struct, frozen=True):
    """One commit: how many rows it had, and the microseconds that it took."""

    rows: int
    took_us: int


def perform(
    tracing: Tracing,
    performer: Performer,
    effects: list[ask.AnyEffect],
    asked: list[Asked],
    turn: Turn,
    now: int,
) -> None:
    """Perform a turn's effects in their order, and tell what was sent for whom.

    Args:
        tracing: who is told.
        performer: performs.
        effects: all of the turn; durable.
        asked: the verbs in it, and which of the effects are theirs, in order.
        turn: its commit; without rows nothing is told.
        now: the runtime's.
    """
    at = 0
    for one in (asked or [Asked(None, 0, len(effects))]) if turn.rows else ():
        performer.perform(effects[at : one.first], now)
        mine = effects[one.first : one.past]
        _tell_entry(one.span, mine)
        commit = _commit(tracing, one.span, turn, len(asked))
        _perform(tracing, performer, commit, mine, now)
        at = one.past
    performer.perform(effects[at:], now)


def _commit(tracing: Tracing, parent: Span | None, turn: Turn, verbs: int) -> Span:
    says: Told = {COMMIT_ROWS: turn.rows, COMMIT_US: turn.took_us, COMMIT_VERBS: verbs}
    span = tracing.begin("commit", says, parent=parent, took_us=turn.took_us)
    span.end()
    return span


def _tell_entry(span: Span | None, effects: list[ask.AnyEffect]) -> None:
    """The verb's number and outcome are those of its last durable entry in the audit log."""
    if span is None:
        return
    for effect in effects:
        if type(effect) is ask.Persist and effect.table == ENTRY:
            row: AuditRow = effect.row
            span.tell({AUDIT_NUMBER: row.number, OUTCOME: row.outcome})


def _perform(
    tracing: Tracing, performer: Performer, parent: Span, effects: list[ask.AnyEffect], now: int
) -> None:
    if not parent.recording:
        performer.perform(effects, now)
        return
    elapsed_us = stopwatch()
    sent = performer.sent = {}
    performer.perform(effects, now)
    performer.sent = None
    took_us = elapsed_us()
    for kind, (count, size) in sent.items():
        says: Told = {TOPIC_KIND: kind, MESSAGES: count, BYTES: size}
        tracing.begin(f"publish {kind}", says, parent=parent, took_us=took_us).end()
