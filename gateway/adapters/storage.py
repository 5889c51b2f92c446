"""Durable rows in SQL: SQLite beside the gateway, or PostgreSQL where it is named.

Decides the one table that holds all rows, how a batch becomes a transaction, and which schemas are
accepted. Leaves out connections (engines.py), who may have the database (lease.py), threads (the runtime calls
from one) and what is in a row (`gateway.core`, which lists its types). Why one table:
docs/adr/0006-storage.md.

Rules: one batch is one transaction, and a commit that returned survives the loss of power; a database of a
newer schema is refused, an older one migrated when it is opened; a row that cannot be decoded is an error
that names it, never skipped. One gateway has a database at a time, and everything goes through one
connection, which holds that lease: when it is lost this object is of no use any more and says so, because
somebody else may have the database by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.adapters.engines import (
    POSTGRESQL,
    CodePoints,
    brief,
    check_encoding,
    open_engine,
    read_url,
    shown,
)
from gateway.adapters.lease import lock_file, take_lease
from gateway.adapters.migrate import migrate
from gateway.core import rows as core_rows
from gateway.core.aside import ASIDE
from gateway.core.gateway import TABLES
from gateway.ports import StorageError

T = TypeVar("T")
PAGE_ROWS: Final = 2_000
"""Rows fetched at once while everything is read."""
FILL_ROWS: Final = 1_000
"""Rows written by one statement while a database is filled."""

_META = MetaData()
ROWS: Final = Table(
    "rows",
    _META,
    Column("tbl", CodePoints, primary_key=True),
    Column("key", CodePoints, primary_key=True),
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
        self._url = read_url(url)
        self._lost = ""
        self._lock = lock_file(self._url)
        try:
            self._engine: Engine = open_engine(self._url)
            self._upsert = _upsert(self._engine)
            self._connection: Connection = self._engine.connect()
        except (SQLAlchemyError, ImportError) as error:
            self._unlock()
            raise self._unusable(error) from error
        try:
            if self.leased:
                take_lease(self._connection, self._url)
            with self._connection.begin():
                check_encoding(self._connection)
                migrate(self._connection)
        except SQLAlchemyError as error:
            self.close()
            raise self._unusable(error) from error
        except StorageError:
            self.close()
            raise

    @property
    def leased(self) -> bool:
        """Whether the right to write ends with a connection, which may be lost at any time: look now and
        then whether `page` still answers. A lock beside a file stays as long as the process."""
        return self._engine.dialect.name == POSTGRESQL

    def put(self, table: str, key: str, row: Any) -> None:
        """Put a row into the open batch; None deletes. The last word on a key counts."""
        if table not in self._tables:
            raise StorageError(f"expected a table out of {sorted(self._tables)}, found {table!r}")
        self._batch[table, key] = row

    def commit(self) -> int:
        """Make the open batch durable in one transaction; returns how many rows it had."""
        self._refuse_lost()
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
            if self._connection.invalidated:
                raise self._gone(error) from error
            raise StorageError(
                f"expected {len(batch)} rows to become durable, found: {brief(error)}; nothing of "
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
        self._refuse_lost()
        kind = self._tables[table]
        wanted = {"a_tbl": table, "after": after, "at_most": limit}
        try:
            with self._connection.begin():
                found = self._connection.execute(_PAGE, wanted).all()
        except DBAPIError as error:
            if self._connection.invalidated:
                raise self._gone(error) from error
            raise StorageError(f"expected rows of {table}, found: {brief(error)}") from error
        return [(key, self._decoded(kind, table, key, data)) for key, data in found]

    def fill(self, stored: Iterable[tuple[str, str, Any]]) -> int:
        """Take rows into an empty database, all or none; returns how many.

        Raises:
            StorageError: it is not empty, or cannot be written.
        """
        self._refuse_lost()
        count = 0
        try:
            with self._connection.begin():
                if self._connection.execute(select(ROWS.c.tbl).limit(1)).first() is not None:
                    raise StorageError(
                        f"expected an empty database at {shown(self._url)}, found rows in it: name "
                        "another one; nothing is ever overwritten"
                    )
                for some in batched(stored, FILL_ROWS):
                    kept = [{"tbl": t, "key": k, "row": core_rows.encode(r)} for t, k, r in some]
                    self._connection.execute(self._upsert, kept)
                    count += len(kept)
        except DBAPIError as error:
            raise self._unusable(error) from error
        return count

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

    def _gone(self, error: DBAPIError) -> StorageError:
        """The connection is lost, and with it the lease."""
        self._lost = brief(error)
        return self._no_more()

    def _refuse_lost(self) -> None:
        # The library would connect again, without the lease.
        if self._lost or self._connection.invalidated:
            raise self._no_more()

    def _no_more(self) -> StorageError:
        return StorageError(
            f"expected the connection to {shown(self._url)} to last, found: {self._lost}; this gateway "
            "gives up, because another one may have the database now. What was being committed is there "
            "whole or not at all: start again"
        )

    def _unusable(self, error: BaseException) -> StorageError:
        return StorageError(f"expected a database at {shown(self._url)}, found: {brief(error)}")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite database file."""
    return f"sqlite:///{path.absolute()}"


def _upsert(engine: Engine) -> Any:
    insert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(ROWS)
    return statement.on_conflict_do_update(
        index_elements=[ROWS.c.tbl, ROWS.c.key], set_={"row": statement.excluded.row}
    )
