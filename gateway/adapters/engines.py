"""Connections to a database: which URLs are understood, and what makes a commit durable on each engine.

Decides drivers, the settings of a session, and that there is one connection. Leaves out rows (storage.py)
and who may have the database (lease.py).

Rules: SQLite runs in WAL mode with ``synchronous=FULL``, PostgreSQL with ``synchronous_commit=on`` whatever
the server's default is, so a commit that returned survives the loss of power (a server that runs with
``fsync=off`` does not: that is its owner's choice); a connection that is lost is never replaced in silence; a
peer that vanished is noticed within seconds on both sides, or the lease of a dead machine would stay.
"""

from __future__ import annotations

import os
import platform
from typing import Any, Final

from sqlalchemy import Connection, Engine, Text, create_engine, event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from gateway.ports import StorageError

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
PSYCOPG: Final = "postgresql+psycopg"
"""The driver that a plain ``postgresql://`` stands for."""
BUSY_S_MAX: Final = 10.0
"""How long SQLite waits for a reader that is in the way of a checkpoint."""
NAME_BYTES_MAX: Final = 63
"""PostgreSQL cuts an application's name there."""
_DEFAULTS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Of libpq, unless the URL says otherwise: a server that vanished is noticed within some 10 s."""
_SESSION: Final = (
    "SET synchronous_commit = on",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
"""The server notices a machine that vanished after 25 s, later than that machine notices the server: it
stopped before anybody else gets the lease."""


class CodePoints(TypeDecorator[str]):
    r"""Text that sorts by code point on every engine, whatever its characters.

    PostgreSQL's text holds no NUL, which keys of two parts have between them. There NUL is written as
    ``\x01\x01`` and ``\x01`` as ``\x01\x02``: the order stays what it was.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """PostgreSQL sorts by a language's rules unless it is told not to."""
        collation = "C" if dialect.name == POSTGRESQL else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is written."""
        if value is None or dialect.name != POSTGRESQL or not ("\0" in value or "\1" in value):
            return value
        return value.replace("\1", "\1\2").replace("\0", "\1\1")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """What was meant."""
        if value is None or dialect.name != POSTGRESQL or "\1" not in value:
            return value
        return value.replace("\1\1", "\0").replace("\1\2", "\1")


def read_url(url: str) -> URL:
    """A database's URL with its driver.

    Raises:
        StorageError: not a URL, or of an engine that is not supported. It is not shown: it may hold a
            password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            "expected a database URL such as sqlite:////var/lib/fleetdrill/gateway.db or "
            "postgresql://fleetdrill@db.example/fleetdrill, found something else"
        ) from None
    engine = parsed.get_backend_name()
    if engine not in (SQLITE, POSTGRESQL):
        raise StorageError(f"expected a {SQLITE} or a {POSTGRESQL} database, found {engine}")
    return parsed.set(drivername=PSYCOPG) if parsed.drivername == POSTGRESQL else parsed


def shown(url: URL) -> str:
    """The URL without its password."""
    return url.render_as_string(hide_password=True)


def brief(error: BaseException) -> str:
    """The first line of an error."""
    if isinstance(error, ImportError) and getattr(error, "name", "") == "psycopg":
        return "no psycopg on this machine; install fleetdrill[postgres]"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def open_engine(url: URL, role: str = "gateway", *, reads: bool = False) -> Engine:
    """An engine whose connections are made when asked for and never replaced.

    Args:
        url: as `read_url` gives it.
        role: what this process is to the database; the server shows it to people.
        reads: nothing is written; a transaction sees the database as it was when it began.
    """
    if url.get_backend_name() == SQLITE:
        return _sqlite(url, reads=reads)
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ" if reads else "READ COMMITTED",
        connect_args={
            **{key: value for key, value in _DEFAULTS.items() if key not in url.query},
            "application_name": _name(role),
        },
    )

    @event.listens_for(engine, "connect")
    def _settings(raw: Any, _: Any) -> None:
        with raw.cursor() as cursor:
            for setting in _SESSION:
                cursor.execute(setting)
            if reads:
                cursor.execute("SET default_transaction_read_only = on")
        raw.commit()

    return engine


def _sqlite(url: URL, *, reads: bool) -> Engine:
    # Opened, used and closed by the storage thread; made by whoever makes the engine.
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_S_MAX},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(raw: Any, _: Any) -> None:
        raw.isolation_level = None
        cursor = raw.cursor()
        if reads:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own begin comes too late for schema changes to be part of a transaction.
        connection.exec_driver_sql("BEGIN")

    return engine


def check_encoding(connection: Connection) -> None:
    """Keys are Unicode, and sort by its code points.

    Raises:
        StorageError: a PostgreSQL database in another encoding.
    """
    if connection.dialect.name != POSTGRESQL:
        return
    found = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if found != "UTF8":
        raise StorageError(
            f"expected a database in UTF8, found {found}; make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _name(role: str) -> str:
    whole = f"fleetdrill {role}, process {os.getpid()} on {platform.node()}"
    return whole.encode("ascii", "replace")[:NAME_BYTES_MAX].decode()
