"""What must hold of what operators were told, once a gateway was killed again and again.

Decides what is lost, what was done twice, and which answers must be kept by their keys. Leaves out who asks (operators.py)
and the kills (test_acknowledged.py). Each check raises an `AssertionError` that names the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gateway.adapters.audit_reader import AuditReader
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.heads import HeadFile
from gateway.adapters.storage import sqlite_url
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import verify
from gateway.core.audit.kept import read_lines
from gateway.core.audit.stored import read_entries, read_head_row
from gateway.runtime.once import OK
from gateway.service import FIRST, audit_verifier
from tests.chaos.clients import Acknowledged
from tests.chaos.operators import DECIDE, GRANT, KEYLESS, MAKE, OverHttp, excused, identity_of
from tests.chaos.seen import Seen, on_disk

SECOND = "second"
PEOPLE = (FIRST, SECOND)
BEFORE = {(MAKE, FIRST), (MAKE, SECOND)}
"""What was done before anybody was killed."""
VERBS = {
    "rollout.create", "rollout.steer", "flag.set", "kill", "device.enroll", MAKE, "token.revoke", "bundle.publish",
    "alarm.ack", "alarm.silence", "rehearsal.plan", GRANT, DECIDE,
}  # fmt: skip


def lost_nothing(asker: OverHttp, answers: list[Acknowledged], seen: Seen) -> None:
    """Demand that what was acknowledged holds."""
    refuse_lost([one for one in answers if not asker.asked[one.key].holds(seen)])


def refuse_lost(lost: Sequence[object]) -> None:
    """A story when there is anything."""
    assert not lost, f"{len(lost)} acknowledged and lost, among them {lost[:3]}"


def judge(state: Path, askers: list[OverHttp], door: list[Acknowledged]) -> str:
    """Demand all that must hold of what is durable.

    Args:
        state: folder of a gateway that has ended.
        askers: who asked over HTTP.
        door: what was answered at the door.

    Returns:
        A line about it.
    """
    answered = [(asker, one) for asker in askers for one in asker.answers]
    refused = [one for _, one in answered if one.status >= 300 and not excused(one)]
    assert refused == [], f"a repeated request was done again, and so refused: {refused[:3]}"
    entries = sound_log(state)
    once_in(entries, answered)
    seen, answers = on_disk(state)
    for asker in askers:
        lost_nothing(asker, asker.answers, seen)
    refuse_lost([one for one in door if one.subject not in seen.devices])
    kept(state, answered, answers)
    again = sum(one.tries > 1 for _, one in answered)
    verbs = Counter(one.verb for _, one in answered)
    assert set(verbs) == VERBS, f"expected {sorted(VERBS)} to be asked for, found {sorted(verbs)}"
    told = ", ".join(f"{count} {verb}" for verb, count in sorted(verbs.items()))
    return (
        f"{len(answered)} over HTTP, {again} of them repeated ({told}), {len(door)} at the door; "
        f"{len(entries)} audit entries, sound"
    )


def once_in(entries: list[audit.AuditRow], answered: list[tuple[OverHttp, Acknowledged]]) -> None:
    """Demand that each was done once, and that nothing was done of which nobody was told."""
    ours = [row for row in entries if row.actor in PEOPLE and (row.verb, row.subject) not in BEFORE]
    for outcome, verbs in (("done", VERBS), ("waits", {GRANT})):
        found = Counter(
            identity_of(row.verb, row.subject, row.arguments)
            for row in ours
            if row.outcome == outcome
        )
        for asker, one in answered:
            times = found.pop(asker.identity(one.key), 0) if one.verb in verbs else 1
            assert times == 1, f"{one} was acknowledged and {outcome} {times} times"
        assert not found, f"{outcome}, and nobody was ever told: {sorted(found)[:3]}"


def kept(
    state: Path,
    answered: list[tuple[OverHttp, Acknowledged]],
    answers: dict[str, audit.AnswerRow],
) -> None:
    """Demand that answers are kept by their keys, but none that holds a token; and that bundles have their blobs."""
    blobs = FileBlobs(state / "blobs")
    try:
        for _, one in answered:
            row = answers.get(audit.answer_key(FIRST, one.key))
            assert (row is None) is (one.verb in KEYLESS), f"{one}: of its key is kept {row}"
            assert row is None or row.status == OK, f"{one}: of its key is kept {row}"
            if one.verb == "bundle.publish":
                blobs.verify(bytes.fromhex(one.subject))
    finally:
        blobs.close()


def sound_log(state: Path) -> list[audit.AuditRow]:
    """The entries of a log in which nothing is wrong, also by the heads that were kept."""
    auditor = audit_verifier(state / "keys")
    kept, found = read_lines(HeadFile(state).read(), auditor, "audit.heads")
    assert kept, "the gateway kept no head"
    with AuditReader(sqlite_url(state / "gateway.db")) as reader:
        entries = list(read_entries(reader.entries(), found))
        found += verify(entries, read_head_row(reader.head, found), auditor, kept)
    assert found == [], "\n".join(finding.story for finding in found)
    return entries
