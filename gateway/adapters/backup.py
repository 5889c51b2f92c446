"""Makes a backup of a gateway, while it runs.

Decides what is read, and in which order. Leaves out the form (archive.py).

Theory of operation. All rows are read in one transaction that sees the database as it was when it began: SQLite's
readers do so in WAL mode, PostgreSQL's at the level REPEATABLE READ. The gateway goes on writing meanwhile. Blobs
come after the rows: a blob is stored before the first row that names it, is never changed, and is deleted only while nobody
makes a backup (tenure.py), so every blob that a row of the backup names is there.

Rules: every blob is hashed while it is copied, and one that does not hash to its name is left out and said, because
it can be published again, and all else is worth keeping; private keys are copied only for who asks; the
folder appears under its name when it is whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from gateway.adapters import storage
from gateway.adapters.archive import (
    BLOBS,
    FORM,
    KEYS,
    ROWS,
    BackupError,
    Kept,
    Manifest,
    Progress,
    RowsWriter,
    write_manifest,
)
from gateway.adapters.engines import SQLITE, brief, open_engine, read_url, shown
from gateway.adapters.folders import sync_folder
from gateway.adapters.keys import EVERYBODY_READS, OWNER_ONLY, PUBLIC_FILES, write_new
from gateway.adapters.migrate import newest
from gateway.adapters.tenure import shared
from gateway.core import rows as core_rows
from gateway.core.audit import rows as audit

COPY_BYTES: Final = 1024 * 1024
KEY_BYTES_MAX: Final = 1024 * 1024
_DIGITS: Final = 64


def make_backup(
    url: str,
    blobs: Path,
    keys: Path,
    to: Path,
    *,
    made_ms: int,
    private: bool,
    link: bool,
    progress: Progress,
) -> Manifest:
    """Make a backup.

    Args:
        url: of the database.
        blobs: the gateway's folder of blobs.
        keys: the gateway's folder of keys.
        to: the folder to make.
        made_ms: now, UTC.
        private: take private keys along.
        link: link blobs instead of copying them, where both folders are on one file system.
        progress: told of what is done.

    Returns:
        What was written.

    Raises:
        BackupError: it cannot be made; nothing is left behind.
        StorageError: blobs are being removed.
    """
    refuse_full(to)
    to.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    try:
        with shared(blobs) if blobs.is_dir() else nullcontext():
            kept, tables, schema, head = _rows(read_url(url), folder / ROWS, progress)
            good, damaged = _blobs(blobs, folder, progress, link=link)
        manifest = Manifest(
            form=FORM,
            made_ms=made_ms,
            schema=schema,
            engine=read_url(url).get_backend_name(),
            rows=kept,
            tables=tables,
            blobs=good,
            damaged=damaged,
            keys=_keys(keys, folder / KEYS, private=private),
            private=private,
            audit_entries=head.number if head is not None else 0,
            audit_head=head.digest.hex() if head is not None else "",
        )
        write_manifest(folder, manifest)
        sync_tree(folder)
        folder.rename(to)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def refuse_full(folder: Path) -> None:
    """Nothing is overwritten.

    Raises:
        BackupError: there is something in the way.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BackupError(
            f"expected {folder} to be free, found something there: name another folder; nothing is "
            "ever overwritten"
        )


# -- rows ------------------------------------------------------------------------------------------


def _rows(
    url: URL, file: Path, progress: Progress
) -> tuple[Kept, dict[str, int], str, audit.HeadRow | None]:
    """Write all rows; returns the file, rows by table, the schema and the audit log's head."""
    if url.get_backend_name() == SQLITE and not Path(url.database or "").is_file():
        raise BackupError(f"expected a gateway's database in {url.database}, found no such file")
    try:
        engine = open_engine(url, "backup", reads=True)
        with engine.connect() as connection, connection.begin(), file.open("wb") as out:
            schema = _schema(connection, url)
            writer, head = RowsWriter(out), None
            total = connection.execute(select(func.sum(func.length(storage.ROWS.c.row)))).scalar()
            for table, key, row in _all(connection):
                writer.write(table, key, row)
                if table == audit.HEAD:
                    head = core_rows.decode(audit.HeadRow, row)
                progress("rows", min(writer.bytes, total or 0), total or 0)
            _sync(out)
    except (SQLAlchemyError, ImportError) as error:
        raise BackupError(
            f"expected a gateway's database at {shown(url)}, found: {brief(error)}"
        ) from error
    return writer.kept(), writer.tables, schema, head


def _all(connection: Connection) -> Iterator[tuple[str, str, bytes]]:
    table = storage.ROWS
    wanted = select(table.c.tbl, table.c.key, table.c.row).order_by(table.c.tbl, table.c.key)
    streamed = connection.execution_options(yield_per=storage.PAGE_ROWS).execute(wanted)
    return ((name, key, row) for name, key, row in streamed)


def _schema(connection: Connection, url: URL) -> str:
    found = MigrationContext.configure(connection).get_current_revision()
    if found != newest():
        raise BackupError(
            f"expected a database of schema {newest()} at {shown(url)}, found {found}: make the backup "
            "with the version of fleetdrill that wrote it"
        )
    return str(found)


# -- blobs and keys --------------------------------------------------------------------------------


def _blobs(
    blobs: Path, folder: Path, progress: Progress, *, link: bool
) -> tuple[tuple[Kept, ...], tuple[str, ...]]:
    """Copy the blobs; returns those that are good, and the names of those that are not."""
    files = list(blob_files(blobs))
    total, done = sum(file.stat().st_size for file in files), 0
    good, damaged = [], []
    for file in files:
        name = f"{BLOBS}/{file.parent.name}/{file.name}"
        kept = copy_hashed(file, folder / name, name, link=link)
        if kept.sha256 == file.name:
            good.append(kept)
        else:
            damaged.append(file.name)
            (folder / name).unlink()
        done += kept.bytes
        progress("blobs", done, total)
    return tuple(good), tuple(damaged)


def blob_files(blobs: Path) -> Iterator[Path]:
    """The blobs of a folder by name; what is being written has no such name yet."""
    for file in sorted(blobs.glob("??/*")):
        if len(file.name) == _DIGITS and file.name.startswith(file.parent.name):
            yield file


def copy_hashed(source: Path, to: Path, name: str, *, link: bool = False) -> Kept:
    """Copy a file and hash what was read; a link is made where that is asked for and possible."""
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if link:
        try:
            os.link(source, to)
        except OSError:  # another file system, or one without links
            pass
        else:
            with to.open("rb") as opened:
                return Kept(name, to.stat().st_size, file_digest(opened, "sha256").hexdigest())
    found, size = sha256(), 0
    with source.open("rb") as opened, to.open("xb") as out:
        while some := opened.read(COPY_BYTES):
            found.update(some)
            size += len(some)
            out.write(some)
        _sync(out)
    return Kept(name, size, found.hexdigest())


def _keys(keys: Path, folder: Path, *, private: bool) -> tuple[Kept, ...]:
    found = sorted(file for file in keys.rglob("*") if file.is_file()) if keys.is_dir() else []
    kept = []
    for file in found:
        name = file.relative_to(keys).as_posix()
        if not private and name not in PUBLIC_FILES:
            continue
        data = file.read_bytes()
        if len(data) > KEY_BYTES_MAX:
            raise BackupError(f"expected a key in {file}, found {len(data)} bytes")
        to = folder / name
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(to, data, EVERYBODY_READS if name in PUBLIC_FILES else OWNER_ONLY)
        kept.append(Kept(f"{KEYS}/{name}", len(data), sha256(data).hexdigest()))
    return tuple(kept)


# -- files -----------------------------------------------------------------------------------------


def sync_tree(folder: Path) -> None:
    """Make the names of a folder and of those in it durable; its files are synced already."""
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(path)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
