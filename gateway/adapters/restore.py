"""Makes a state folder out of a backup.

Decides the order: everything is checked before anything is written. Leaves out what becomes of rows that are older
than what devices have seen (gateway/core/recovery.py).

Rules: nothing is overwritten; the state folder appears under its name when it is whole, after the rows became
durable in one transaction; a backup without private keys makes a folder that a gateway refuses until they
are put back, because new ones would be trusted by no device.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.bundle.trust import Ed25519Verifier
from gateway.adapters.archive import (
    BLOBS,
    KEYS,
    ROWS,
    BackupError,
    Manifest,
    Progress,
    check_files,
    only,
    read_manifest,
    read_rows,
)
from gateway.adapters.backup import copy_hashed, refuse_full, sync_tree
from gateway.adapters.keys import (
    AUDIT_TRUST_FILE,
    EVERYBODY_READS,
    OWNER_ONLY,
    PUBLIC_FILES,
    read_trust,
    write_new,
)
from gateway.adapters.migrate import knows, newest
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.audit import chain
from gateway.core.audit import rows as audit
from gateway.core.recovery import Recovery

DATABASE: Final = "gateway.db"


class Restored(msgspec.Struct, frozen=True):
    """What was restored."""

    manifest: Manifest
    rows: int
    killed: tuple[str, ...]
    """The kill list that the gateway begins with."""


def restore_backup(
    source: Path,
    state: Path,
    url: str,
    *,
    restored_ms: int,
    kills: Iterable[str] = (),
    keep_tokens: bool = False,
    progress: Progress,
) -> Restored:
    """Make a state folder out of a backup.

    Args:
        source: the backup.
        state: the folder to make.
        url: of an empty database; empty text: SQLite in the state folder.
        restored_ms: now, UTC.
        kills: features that were killed after the backup was made.
        keep_tokens: let tokens of the backup be good again.
        progress: told of what is done.

    Raises:
        BackupError: the backup is not whole, or something is in the way; nothing is left behind.
        StorageError: the database cannot be used.
    """
    refuse_full(state)
    manifest = read_manifest(source)
    if not knows(manifest.schema):
        # Rows of a newer program may have fields that this one would drop.
        raise BackupError(
            f"expected a backup of schema {newest()} or older, found {manifest.schema}: a newer "
            "fleetdrill wrote it; restore it with that version"
        )
    if restored_ms <= manifest.made_ms:
        raise BackupError(
            f"expected a clock that is past the backup's {manifest.made_ms} ms UTC, found "
            f"{restored_ms}: numbers that devices were told go on from there; set this machine's clock"
        )
    check_files(source, manifest, progress)
    _check_audit(source, manifest)
    state.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{state.name}-", dir=state.parent))
    try:
        _copy_files(source, folder, manifest, progress)
        recovery = Recovery(manifest.made_ms, restored_ms, kills, keep_tokens=keep_tokens)
        storage = SqlStorage(url or sqlite_url(folder / DATABASE))
        try:
            count = storage.fill(recovery.rows(read_rows(source / ROWS)))
            killed = storage.page(rows.KILL, "", 1)[0][1].features
        finally:
            storage.close()
        sync_tree(folder)
        folder.rename(state)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Restored(manifest, count, killed)


def _check_audit(source: Path, manifest: Manifest) -> None:
    """Hold the audit log against its signed head, and decode all rows on the way."""
    stored = read_rows(source / ROWS)
    if not manifest.audit_entries:
        deque(stored, maxlen=0)
        return
    trust = source / KEYS / AUDIT_TRUST_FILE
    if not trust.is_file():
        raise BackupError(
            f"expected the public key of the audit log in {trust}, found no such file: the gateway's key "
            "folder had none when the backup was made"
        )
    head = next(only(audit.HEAD, read_rows(source / ROWS)), None)
    wrong = chain.verify(only(audit.ENTRY, stored), head, Ed25519Verifier(read_trust(trust)))
    if wrong:
        raise BackupError(
            f"expected an audit log that is whole, found {wrong[0].kind} at entry {wrong[0].number}: "
            f"{wrong[0].story}; take another backup, and find out who changed this one or its gateway"
        )


def _copy_files(source: Path, folder: Path, manifest: Manifest, progress: Progress) -> None:
    total, done = sum(blob.bytes for blob in manifest.blobs), 0
    (folder / BLOBS).mkdir(mode=0o700)
    for blob in manifest.blobs:
        copied = copy_hashed(source / blob.name, folder / blob.name, blob.name)
        if copied.sha256 != blob.sha256:
            raise BackupError(f"expected {source / blob.name} to stay as it was, found it changed")
        done += blob.bytes
        progress("blobs", done, total)
    (folder / KEYS).mkdir(mode=0o700)
    for key in manifest.keys:
        to = folder / key.name
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        public = Path(key.name).name in PUBLIC_FILES
        mode = EVERYBODY_READS if public else OWNER_ONLY
        write_new(to, (source / key.name).read_bytes(), mode)
