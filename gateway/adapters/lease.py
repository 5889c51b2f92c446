"""One gateway at a time has a database.

Decides how that is made sure of: beside SQLite by a locked file, in PostgreSQL by an advisory lock of the session
that writes. Leaves out what is done with the database.

Why the writing connection holds the lock: a lock on another connection (or with an expiry) can be lost
while writes still go through, and two gateways would write at once. So either the session is there, and
with it the lock, or the next commit fails. A pooler that hands one session to several clients breaks this:
connect to the server itself.

Rules: whoever comes second is told who has it; the lease of a process that died is free again.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from gateway.adapters.engines import SQLITE, shown
from gateway.ports import StorageError

LEASE_WAIT_MS_MAX: Final = 3_000
"""How long PostgreSQL waits for a lease: the session of a process that was just killed may still be ending."""
_NUMBER: Final = int.from_bytes(b"flee")
"""Ours among advisory locks; the second half is the schema's."""
_LOCKED: Final = "55P03"
"""SQLSTATE lock_not_available."""
_HALF: Final = "hashtext(current_schema()::text)"
_TAKE: Final = text(f"SELECT pg_advisory_lock({_NUMBER}, {_HALF})")
_HOLDER: Final = text(
    "SELECT a.application_name, host(a.client_addr), a.backend_start "  # noqa: S608 - numbers of our own
    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 "
    f"AND l.classid = {_NUMBER}::oid AND l.objid = ({_HALF}::bigint & 4294967295)::oid "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def lock_file(url: URL) -> IO[str] | None:
    """Take the lock beside a SQLite file; None where there is no file. Closing it frees it.

    Raises:
        StorageError: another process has it.
    """
    if url.get_backend_name() != SQLITE or not url.database:
        return None
    path = Path(url.database + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read(32).strip() or "?"
        lock.close()
        raise StorageError(
            f"expected {url.database} to be free, found that process {holder} uses it; stop that "
            "gateway first or name another state folder"
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def take_lease(connection: Connection, url: URL) -> None:
    """Take a PostgreSQL database for as long as this session lives.

    Raises:
        StorageError: another session has it.
        SQLAlchemyError: the connection is lost.
    """
    try:
        with connection.begin():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LEASE_WAIT_MS_MAX}")
            connection.execute(_TAKE)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        raise StorageError(
            f"expected {shown(url)} to be free, found that {_holder(connection)} has it; stop that "
            "gateway first or name another database"
        ) from error


def _holder(connection: Connection) -> str:
    with connection.begin():
        found = connection.execute(_HOLDER).first()
    if found is None:
        return "somebody who just left"
    name, address, since = found
    where = f" from {address}" if address else ""
    when = f" since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"{name or 'another session'}{where}{when}"
