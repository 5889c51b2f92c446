"""A signed head as a line of text, for whoever keeps heads outside of the database.

Decides the line: number, digest (64 hex digits), instant (UTC, ms since 1970) and the signed envelope in base64, with
blanks between. Leaves out files.

Rules: only the envelope counts, the words before it are for people and must agree with it; a line without an end
is one that was being written when the machine stopped, and is not held against anybody.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.errors import ProtocolError
from gateway.core.audit.chain import Finding, Head, read_head

LINE_CHARS_MAX = 4_096


def line_of(head: Head, envelope: bytes) -> str:
    """One line, with its end."""
    return f"{head.number} {head.digest.hex()} {head.at_ms} {b64encode(envelope).decode()}\n"


def read_lines(text: str, verifier: Verifier, source: str) -> tuple[list[Head], list[Finding]]:
    """The heads in a text, and what is wrong with it.

    Args:
        text: lines; empty ones and those that begin with ``#`` are passed over.
        verifier: knows the audit keys.
        source: the text's name, for people.
    """
    heads: list[Head] = []
    found: list[Finding] = []
    for place, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n") or not line.strip() or line.startswith("#"):
            continue
        try:
            heads.append(_read(line, verifier))
        except (ValueError, ProtocolError) as error:
            found.append(
                Finding("signature", 0, f"line {place} of {source} is not a head of ours: {error}")
            )
    return heads, found


def _read(line: str, verifier: Verifier) -> Head:
    """The head in a line.

    Raises:
        ValueError: not such a line, or its words say something else than its envelope.
        ProtocolError: the envelope is not signed by us.
    """
    words = line.split()
    if len(line) > LINE_CHARS_MAX or len(words) != 4:
        raise ValueError(f"expected number, digest, instant and envelope, found {line[:80]!r}")
    head = read_head(b64decode(words[3], validate=True), verifier)
    if words[:3] != [str(head.number), head.digest.hex(), str(head.at_ms)]:
        raise ValueError(
            f"expected the words of entry {head.number}, found {' '.join(words[:3])!r}"
        )
    return head
