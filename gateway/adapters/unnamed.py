"""Blobs that nothing names any more: uploaded for a bundle that was never published, or refused.

Decides what names a blob, and removes what nothing does. Leaves out who asks (gateway/commands/pruning.py).

Theory of operation. A bundle is never withdrawn: a device may be sent back to it, and its blobs are named by its row for
ever. What is left over is what never became a bundle. A blob is named by any row of the machines that has its digest,
as bytes or in hex, wherever it stands in the row; by a request that waits for approval, or a rehearsal; by role
metadata whose digest it is; and by a blob that is named itself, when it is small enough to be an envelope. So a row of a
kind that is added later names its blobs, too.

Rules: database and folder are ours while we look and remove (the locks of a gateway), so nobody publishes meanwhile; what
is younger than asked for stays, for its bundle may be on the way; a database that was not the last to be used with the
folder (tenure.py), or that names none of the blobs, is another's, and nothing is said of them or removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.adapters.backup import blob_files
from gateway.adapters.storage import SqlStorage
from gateway.adapters.tenure import Tenure, tenure
from gateway.core import rows
from gateway.core.access.approvals import APPROVAL
from gateway.core.rehearsals.book import REHEARSAL

ENVELOPE_BYTES_MAX: Final = 1024 * 1024
"""Of a blob that may name others; envelopes are smaller."""
DIGEST_BYTES: Final = 32
PAGE_ROWS: Final = 500
BESIDE: Final = (APPROVAL, REHEARSAL)
"""Tables beside the machines' that name blobs. Not the audit log: what was, it names for ever."""
_HEX: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class UnnamedError(ValueError):
    """Nothing can be said of these blobs."""


def unnamed(storage: SqlStorage, folder: Path) -> list[Path]:
    """The blobs of a folder that nothing names, by name.

    Args:
        storage: of the gateway whose folder it is; nobody else has it.
        folder: of its blobs; nobody else has it.

    Raises:
        UnnamedError: the folder was used with another database since, or none of the blobs is named.
    """
    if tenure(storage, folder) is Tenure.OTHER:
        raise UnnamedError(
            f"expected the database that {folder} was used with last, found another, or one of before: name the "
            "configuration of its gateway by --config, or start the gateway once if this is the one; nothing was removed"
        )
    files = {file.name: file for file in blob_files(folder)}
    named = _closed(_named(storage), files)
    if files and not named & files.keys():
        raise UnnamedError(
            f"expected a database that names some of the {len(files)} blobs in {folder}, found none of them in it: "
            "name the database of this gateway; nothing was removed"
        )
    return [file for name, file in files.items() if name not in named]


def remove(files: Iterable[Path], before_s: float) -> tuple[int, int]:
    """Remove those that were last written before an instant (UTC, s); returns how many, and how many bytes."""
    count = size = 0
    for file in files:
        told = file.stat()
        if told.st_mtime < before_s:
            file.unlink()
            count, size = count + 1, size + told.st_size
    return count, size


def _named(storage: SqlStorage) -> set[str]:
    """Digests in hex, of all rows."""
    found: set[str] = set()
    for table, key, row in storage.rows():
        if table == rows.ROLE:
            found.add(sha256(row.data).hexdigest())
        found.update(_digests(key), _digests(row))
    for table in BESIDE:
        after = ""
        while page := storage.page(table, after, PAGE_ROWS):
            for _, row in page:
                found.update(_digests(row))
            after = page[-1][0]
    return found


def _closed(named: set[str], files: dict[str, Path]) -> set[str]:
    """These, and what their envelopes name."""
    new = named & files.keys()
    while new:
        told: set[str] = set()
        for name in sorted(new):
            if files[name].stat().st_size <= ENVELOPE_BYTES_MAX:
                told.update(_digests(files[name].read_bytes()))
        new = (told - named) & files.keys()
        named = named | told
    return named


def _digests(value: Any) -> Iterator[str]:
    """Whatever looks like a digest, wherever it stands."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        if len(value) == DIGEST_BYTES:
            yield value.hex()
        for found in _HEX.findall(value):
            yield found.decode()
    else:
        for part in _parts(value):
            yield from _digests(part)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return value if isinstance(value, list | tuple | set | frozenset) else ()
