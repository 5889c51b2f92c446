"""The chain: each entry names the digest of the one before, and a signature names the last.

Decides what is hashed and signed, and what `verify` finds: an entry that was edited, left out, added or
moved breaks a link; a log cut at its end does not reach its signed head; a log that was forked, or rolled
back together with its head, does not pass through a head that somebody kept elsewhere (a *witness*).
Leaves out where entries come from.

The construction is that of a hash-linked log (Haber and Stornetta, "How to Time-Stamp a Digital Document",
J. Cryptology 3, 1991): without witnesses kept outside, whoever holds the signing key can write another
history; heads are therefore told to whoever wants to keep them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.errors import ProtocolError
from gateway.core import rows
from gateway.core.audit.rows import AuditRow, HeadRow

ROLE_AUDIT: Final = "audit"
GENESIS: Final = bytes(32)
HEAD_BYTES_MAX: Final = 1_024
_DOMAIN: Final = b"fleetdrill/audit/entry\0"


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What is signed: the log had so many entries, and the last one was this."""

    number: int
    digest: bytes
    at_ms: int


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a log, at which entry, for people."""

    kind: str
    """``edited``, ``missing``, ``order``, ``cut``, ``forked`` or ``signature``."""
    number: int
    story: str


def digest_of(entry: AuditRow) -> bytes:
    """SHA-256 of an entry, that it follows on its predecessor included (32 bytes)."""
    return sha256(_DOMAIN + rows.encode(entry)).digest()


def read_head(envelope: bytes, verifier: Verifier) -> Head:
    """The head in an envelope.

    Raises:
        ProtocolError: not signed by a key of the role ``audit``, or no head.
    """
    payload = verifier.open(ROLE_AUDIT, envelope, HEAD_BYTES_MAX)
    try:
        return msgspec.msgpack.decode(payload, type=Head)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"expected the head of an audit log, found: {error}") from None


def verify(
    entries: Iterable[AuditRow],
    head: HeadRow | None,
    verifier: Verifier,
    witnesses: Sequence[Head] = (),
) -> list[Finding]:
    """Read a whole log; returns what is wrong with it, nothing for a sound one.

    Args:
        entries: in the order of their keys.
        head: as the log has it; None for a log that has none.
        verifier: knows the audit keys.
        witnesses: heads that were kept elsewhere, verified.
    """
    found: list[Finding] = []
    digests: dict[int, bytes] = {0: GENESIS}
    wanted = {witness.number for witness in witnesses}
    last = 0
    previous = GENESIS
    for entry in entries:
        found += link(entry, last, previous)
        last, previous = entry.number, digest_of(entry)
        if last in wanted:
            digests[last] = previous
    found += verify_end(last, previous, head, verifier)
    found += [
        _witnessed(w, digests.get(w.number), last)
        for w in witnesses
        if digests.get(w.number) != w.digest
    ]
    return found


def link(entry: AuditRow, last: int, previous: bytes) -> list[Finding]:
    """What is wrong between an entry and the one before, of this number and digest."""
    number = entry.number
    if number <= last:
        return [
            Finding(
                "order", number, f"expected entry {last + 1} after entry {last}, found {number}"
            )
        ]
    if number > last + 1:
        gone = f"{last + 1}" if number == last + 2 else f"{last + 1} to {number - 1}"
        return [
            Finding("missing", last + 1, f"expected entry {last + 1}, found {number}: {gone} gone")
        ]
    if entry.previous != previous:
        return [
            Finding(
                "edited",
                last or number,
                f"expected entry {number} to follow on {previous.hex()[:16]}, found that it follows on "
                f"{entry.previous.hex()[:16]}: entry {last or number} is not what it was, or {number} is new",
            )
        ]
    return []


def verify_end(last: int, digest: bytes, head: HeadRow | None, verifier: Verifier) -> list[Finding]:
    """What is wrong between the last entry and the signed head."""
    if head is None:
        return [] if last == 0 else [Finding("cut", last, "expected a signed head, found none")]
    try:
        signed = read_head(head.envelope, verifier)
    except ProtocolError as error:
        return [
            Finding("signature", head.number, f"the head of the log is not signed by us: {error}")
        ]
    if (head.number, head.digest) != (signed.number, signed.digest):
        return [
            Finding(
                "edited",
                signed.number,
                f"the head says entry {head.number}, {head.digest.hex()[:16]}, and was signed for entry "
                f"{signed.number}, {signed.digest.hex()[:16]}",
            )
        ]
    if last < signed.number:
        return [
            Finding(
                "cut", last + 1, f"expected {signed.number} entries as the head says, found {last}"
            )
        ]
    if last > signed.number:
        return [
            Finding(
                "forked",
                signed.number + 1,
                f"expected {signed.number} entries, found {last}: those after it are not signed",
            )
        ]
    if digest != signed.digest:
        return [
            Finding("edited", last, f"entry {last} is not the one that the head was signed for")
        ]
    return []


def _witnessed(witness: Head, digest: bytes | None, last: int) -> Finding:
    """A head that was kept elsewhere and is not in this log."""
    number = witness.number
    if digest is None and number > last:
        return Finding(
            "cut",
            last + 1,
            f"somebody saw entry {number}, the log ends at {last}: it was cut, head and all",
        )
    if digest is None:
        return Finding(
            "missing", number, f"somebody saw entry {number}, and the log has it no more"
        )
    return Finding(
        "forked",
        number,
        f"somebody saw another entry {number} than this log has: it was forked before that",
    )
