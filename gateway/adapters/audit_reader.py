"""Reads the audit log of a database that a gateway may be writing, without touching it.

Decides that all is read in one snapshot: the head and the entries of the same instant, so that a log which grows
meanwhile is not taken for one that was forked. Leaves out what is right and wrong with it (gateway/core/audit).

Rules: nothing is decoded here, and nothing is written: SQLite is opened read-only, PostgreSQL in a read-only
transaction; neither waits for the gateway nor keeps it waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.adapters.storage import ROWS
from gateway.core.audit.rows import ENTRY, HEAD, HEAD_KEY, entry_key
from gateway.ports import StorageError

PAGE_ROWS: Final = 1_000
_HEAD: Final = select(ROWS.c.row).where(ROWS.c.tbl == HEAD, ROWS.c.key == HEAD_KEY)
_AFTER: Final = (
    select(ROWS.c.key, ROWS.c.row)
    .where(ROWS.c.tbl == ENTRY, ROWS.c.key > bindparam("after"))
    .order_by(ROWS.c.key)
    .limit(PAGE_ROWS)
)


class AuditReader:
    """One snapshot of a log; a context manager.

    Args:
        url: SQLAlchemy URL of the database.

    Raises:
        StorageError: it cannot be opened, or holds no log.
    """

    def __init__(self, url: str) -> None:
        self._shown = make_url(url).render_as_string(hide_password=True)
        try:
            self._engine = _engine(url)
            self._connection: Connection = self._engine.connect()
            self._transaction = self._connection.begin()
            self._head: bytes | None = self._connection.execute(_HEAD).scalar_one_or_none()
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise self._broken(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._transaction.rollback()
        self._connection.close()
        self._engine.dispose()

    @property
    def head(self) -> bytes | None:
        """The stored head."""
        return self._head

    def entries(self, after: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Key and bytes of stored entries in the order of keys: all of them, or those past a number."""
        last = "" if after is None else entry_key(after)
        try:
            while page := self._connection.execute(_AFTER, {"after": last}).all():
                yield from ((key, data) for key, data in page)
                last = page[-1][0]
        except DBAPIError as error:
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> StorageError:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return StorageError(
            f"expected a gateway's database at {self._shown}, found: {first}; name the state folder with "
            "--state, or the database with --database"
        )


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(
            url,
            execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
        )
    path = Path(parsed.database or "").absolute()
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    engine = create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")

    @event.listens_for(engine, "connect")
    def _plain(raw: Any, _: Any) -> None:
        raw.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
