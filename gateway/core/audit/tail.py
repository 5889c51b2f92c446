"""Where a log goes on after a start.

Decides the number and the link of the next entry from what is durable: the last entry, the signed head, and the
newest head that was kept outside of the database. Leaves out reading them, and the log before its end: that is
`chain.verify`.

Rules: a gateway never signs over a hole. Where the end is not what it was, the next entry follows on the longest log
that we know was signed, so whatever was cut, edited, added or rolled back stays a finding of `verify` for
ever; a log that cannot be trusted does not keep the gateway from starting, because features must be killed
also then.
"""

from __future__ import annotations

from typing import NamedTuple

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.errors import ProtocolError
from gateway.core.audit.chain import GENESIS, Finding, Head, digest_of, read_head, verify_end
from gateway.core.audit.rows import AuditRow, HeadRow


class Tail(NamedTuple):
    """The end of a log."""

    number: int = 0
    digest: bytes = GENESIS
    findings: tuple[Finding, ...] = ()
    """What is wrong with it."""


def tail_of(
    last: AuditRow | None,
    head: HeadRow | None,
    verifier: Verifier,
    kept: Head | None = None,
    at_kept: AuditRow | None = None,
) -> Tail:
    """Where to go on.

    Args:
        last: the last durable entry.
        head: the durable head.
        verifier: knows the audit keys.
        kept: the newest head that was kept elsewhere, verified.
        at_kept: the entry of that number, if there is one.
    """
    number, digest = (0, GENESIS) if last is None else (last.number, digest_of(last))
    findings = verify_end(number, digest, head, verifier)
    if kept is not None:
        there = None if at_kept is None else digest_of(at_kept)
        if there != kept.digest:
            findings.append(_not_ours(kept, number))
    if not findings:
        return Tail(number, digest)
    signed = [Head(0, GENESIS, 0), *_signed(head, verifier), *([] if kept is None else [kept])]
    longest = max(signed, key=lambda one: one.number)
    # Entries past it are passed over, not followed: a link to one of them would vouch for it.
    return Tail(max(number, longest.number), longest.digest, tuple(findings))


def _signed(head: HeadRow | None, verifier: Verifier) -> list[Head]:
    if head is None:
        return []
    try:
        return [read_head(head.envelope, verifier)]
    except ProtocolError:
        return []


def _not_ours(kept: Head, last: int) -> Finding:
    if kept.number > last:
        return Finding(
            "cut", last + 1, f"entry {kept.number} was kept elsewhere, the log ends at {last}"
        )
    return Finding("forked", kept.number, f"another entry {kept.number} was kept elsewhere")
