"""Which URLs are understood, and what a session is told."""

import pytest

from gateway.adapters.engines import read_url, shown
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.ports import StorageError


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("postgresql://f@db/fleet", "postgresql+psycopg://f@db/fleet"),
        ("postgresql+psycopg://f:x@db/fleet", "postgresql+psycopg://f:***@db/fleet"),
        ("sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db"),
    ],
)
def test_a_plain_url_stands_for_the_driver_that_comes_along(said, meant):
    assert shown(read_url(said)) == meant


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("mysql://fleet:s3cret@db/fleet", "found mysql"),
        ("fleet:s3cret@db", "found something else"),
        ("postgresql+nosuchdriver://fleet:s3cret@nowhere/db", "nosuchdriver"),
        ("postgresql://fleet:s3cret@127.0.0.1:1/db", "expected a database at"),
    ],
)
def test_what_cannot_be_used_is_said_and_a_password_never(said, found):
    with pytest.raises(StorageError, match=found) as caught:
        SqlStorage(said)
    assert "s3cret" not in str(caught.value)


def test_what_is_no_database_is_said_so(tmp_path):
    (tmp_path / "gateway.db").write_bytes(b"not a database, but long enough to look" * 100)
    with pytest.raises(StorageError, match="expected a database at"):
        SqlStorage(sqlite_url(tmp_path / "gateway.db"))


def test_sqlite_syncs_every_commit(tmp_path):
    storage = SqlStorage(sqlite_url(tmp_path / "gateway.db"))
    with storage._connection.begin():
        ask = lambda name: storage._connection.exec_driver_sql(f"PRAGMA {name}").scalar()  # noqa: E731
        assert (ask("journal_mode"), ask("synchronous")) == ("wal", 2)
    storage.close()


def test_postgresql_waits_for_its_disk_whatever_the_servers_default_is(postgres):
    url = postgres.database()
    with postgres.connect() as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    storage = SqlStorage(url)
    with storage._connection.begin():
        ask = lambda name: storage._connection.exec_driver_sql(f"SHOW {name}").scalar()  # noqa: E731
        assert ask("synchronous_commit") == "on"
        assert ask("application_name").startswith("fleetdrill gateway, process ")
    storage.close()


def test_a_database_that_cannot_hold_every_key_is_refused(postgres):
    with pytest.raises(StorageError, match="expected a database in UTF8, found LATIN1"):
        SqlStorage(postgres.database("LATIN1"))
