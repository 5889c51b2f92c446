"""Durable rows in SQL: SQLite beside the gateway, or PostgreSQL where it is named.

Decides the one table that holds all rows, how a batch becomes a transaction, and which schemas are
accepted. Leaves out threads (the runtime calls from one) and what is in a row (`gateway.core`, which
lists its types). Why one table: docs/adr/0006-storage.md.

Rules: one batch is one transaction; SQLite runs in WAL mode with synchronous=FULL, so a commit that
returned survives the loss of power; a database of a newer schema is refused, an older one migrated
when it is opened; a row that cannot be decoded is an error that names it, never skipped. One process
holds a SQLite database at a time: a lock file beside it says who.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.adapters.migrate import migrate
from gateway.core import rows as core_rows
from gateway.core.aside import ASIDE
from gateway.core.gateway import TABLES
from gateway.ports import StorageError

PAGE_ROWS: Final = 2_000
"""Rows fetched at once while everything is read."""
BUSY_S_MAX: Final = 10.0
"""How long SQLite waits for a reader that is in the way of a checkpoint."""

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_META = MetaData()
ROWS: Final = Table(
    "rows",
    _META,
    Column("tbl", _TEXT, primary_key=True),
    Column("key", _TEXT, primary_key=True),
    Column("row", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""All rows of the core. Keys sort by code point on every engine, so pages are the same everywhere."""

_DELETE: Final = delete(ROWS).where(
    ROWS.c.tbl == bindparam("a_tbl"), ROWS.c.key == bindparam("a_key")
)
_PAGE: Final = (
    select(ROWS.c.key, ROWS.c.row)
    .where(ROWS.c.tbl == bindparam("a_tbl"), ROWS.c.key > bindparam("after"))
    .order_by(ROWS.c.key)
    .limit(bindparam("at_most"))
)


class SqlStorage:
    """Rows in a SQL database.

    Args:
        url: SQLAlchemy URL, such as ``sqlite:////var/lib/fleetdrill/gateway.db``.
        tables: table name to the type of its rows.
        aside: the same for tables that `rows` leaves out, because they may grow without bound.

    Raises:
        StorageError: it cannot be opened, is in use, or has a newer schema.
    """

    def __init__(
        self,
        url: str,
        tables: dict[str, type[Any]] | None = None,
        aside: dict[str, type[Any]] | None = None,
    ) -> None:
        self._read_whole = TABLES if tables is None else tables
        self._tables = {**self._read_whole, **(ASIDE if aside is None else aside)}
        self._batch: dict[tuple[str, str], Any] = {}
        self._lock = _lock(url)
        try:
            self._engine = _engine(url)
            self._upsert = _upsert(self._engine)
            with self._engine.begin() as connection:
                migrate(connection)
            self._connection: Connection = self._engine.connect()
        except (SQLAlchemyError, ImportError) as error:
            self._unlock()
            raise StorageError(
                f"expected a database at {_shown(url)}, found: {_brief(error)}"
            ) from error
        except StorageError:
            self._unlock()
            raise

    def put(self, table: str, key: str, row: Any) -> None:
        """Put a row into the open batch; None deletes. The last word on a key counts."""
        if table not in self._tables:
            raise StorageError(f"expected a table out of {sorted(self._tables)}, found {table!r}")
        self._batch[table, key] = row

    def commit(self) -> int:
        """Make the open batch durable in one transaction; returns how many rows it had."""
        batch = self._batch
        if not batch:
            return 0
        gone = [{"a_tbl": t, "a_key": k} for (t, k), row in batch.items() if row is None]
        kept = [
            {"tbl": t, "key": k, "row": core_rows.encode(row)}
            for (t, k), row in batch.items()
            if row is not None
        ]
        try:
            with self._connection.begin():
                if gone:
                    self._connection.execute(_DELETE, gone)
                if kept:
                    self._connection.execute(self._upsert, kept)
        except DBAPIError as error:
            raise StorageError(
                f"expected {len(batch)} rows to become durable, found: {_brief(error)}; nothing of "
                "them is: free space or repair the database, then start again"
            ) from error
        self._batch = {}
        return len(batch)

    def forget(self) -> int:
        """Throw the open batch away; returns how many rows it had."""
        lost, self._batch = len(self._batch), {}
        return lost

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """All durable rows as (table, key, row), by table and key, page by page; without those aside."""
        for table in sorted(self._read_whole):
            after = ""
            while True:
                page = self.page(table, after, PAGE_ROWS)
                for key, row in page:
                    yield table, key, row
                if len(page) < PAGE_ROWS:
                    break
                after = page[-1][0]

    def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Up to `limit` durable rows of a table whose keys sort after `after`, in order."""
        kind = self._tables[table]
        wanted = {"a_tbl": table, "after": after, "at_most": limit}
        try:
            with self._connection.begin():
                found = self._connection.execute(_PAGE, wanted).all()
        except DBAPIError as error:
            raise StorageError(f"expected rows of {table}, found: {_brief(error)}") from error
        return [(key, self._decoded(kind, table, key, data)) for key, data in found]

    def close(self) -> None:
        """Close the database and let others have it."""
        self._connection.close()
        self._engine.dispose()
        self._unlock()

    def _decoded(self, kind: type[Any], table: str, key: str, data: bytes) -> Any:
        try:
            return core_rows.decode(kind, data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StorageError(
                f"expected a {kind.__name__} in table {table} under key {key!r}, found {len(data)} "
                f"bytes {data[:16].hex()}..: {error}; restore the database from a backup"
            ) from error

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite database file."""
    return f"sqlite:///{path.absolute()}"


def _engine(url: str) -> Engine:
    """An engine with one connection; of SQLite, with the pragmas that make a commit durable."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_size=1, max_overflow=1, pool_pre_ping=True)
    # Opened, used and closed by the storage thread; made by whoever makes this object.
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": BUSY_S_MAX})

    @event.listens_for(engine, "connect")
    def _pragmas(raw: Any, _: Any) -> None:
        raw.isolation_level = None
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own begin comes too late for schema changes to be part of a transaction.
        connection.exec_driver_sql("BEGIN")

    return engine


def _upsert(engine: Engine) -> Any:
    insert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(ROWS)
    return statement.on_conflict_do_update(
        index_elements=[ROWS.c.tbl, ROWS.c.key], set_={"row": statement.excluded.row}
    )


def _lock(url: str) -> IO[str] | None:
    """Take the lock beside a SQLite file; PostgreSQL's leader lease is another matter."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    path = Path(parsed.database + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read(32).strip() or "?"
        lock.close()
        raise StorageError(
            f"expected {parsed.database} to be free, found that process {holder} uses it; stop that "
            "gateway first or name another state folder"
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
