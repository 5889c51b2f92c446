"""Reads entries of the audit log from their stored bytes, and trusts none of them.

Decides what is wrong with a single stored entry: bytes that are no entry, that say the same in another way, or that lie
under another entry's key. Leaves out how entries follow on each other (chain.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.core import rows
from gateway.core.audit.chain import Finding
from gateway.core.audit.rows import AuditRow, HeadRow, entry_key


def read_entries(stored: Iterable[tuple[str, bytes]], found: list[Finding]) -> Iterator[AuditRow]:
    """The entries in stored rows.

    Args:
        stored: key and bytes, in the order of keys.
        found: where findings are added; an entry that cannot be read is left out, and so leaves a hole.
    """
    last = 0
    for key, data in stored:
        try:
            row: AuditRow = rows.decode(AuditRow, data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            found.append(
                Finding("edited", last + 1, f"expected an entry under {key!r}, found: {error}")
            )
            continue
        last = row.number
        if rows.encode(row) != data:
            found.append(
                Finding(
                    "edited", last, f"the bytes under {key!r} are not those that entry {last} has"
                )
            )
        if key != entry_key(last):
            found.append(Finding("order", last, f"entry {last} was moved to the key {key!r}"))
        yield row


def read_head_row(data: bytes | None, found: list[Finding]) -> HeadRow | None:
    """The head in its stored bytes, or None where there is none or it cannot be read."""
    if data is None:
        return None
    try:
        row: HeadRow = rows.decode(HeadRow, data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        found.append(Finding("signature", 0, f"expected the head of the log, found: {error}"))
        return None
    return row
