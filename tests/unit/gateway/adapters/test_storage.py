"""Durable rows, the same on each engine: what commit promises, what is refused, processes that are killed."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.adapters.engines import open_engine, read_url
from gateway.adapters.storage import PAGE_ROWS, SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.gateway import TABLES
from gateway.ports import StorageError
from tests_kit.postgres import cluster

ROOT = Path(__file__).parents[4]


def presence(number):
    return rows.PresenceRow(boot_id=1, session=number, online=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "gateway.db")
    return request.getfixturevalue("postgres").database()


def change(url, statement, **values):
    """Change a database behind the gateway's back."""
    with open_engine(read_url(url)).begin() as connection:
        connection.execute(text(statement), values)


def reopened(storage, url):
    storage.close()
    return SqlStorage(url)


def test_committed_rows_are_there_after_reopening_and_others_are_not(url):
    storage = SqlStorage(url)
    storage.put(rows.PRESENCE, "a", presence(1))
    storage.put(rows.PRESENCE, "b", presence(2))
    assert storage.commit() == 2
    storage.put(rows.PRESENCE, "c", presence(3))
    storage = reopened(storage, url)
    assert list(storage.rows()) == [
        (rows.PRESENCE, "a", presence(1)),
        (rows.PRESENCE, "b", presence(2)),
    ]
    storage.close()


def test_the_last_word_on_a_key_counts_and_none_deletes(url):
    storage = SqlStorage(url)
    storage.put(rows.PRESENCE, "a", presence(1))
    storage.put(rows.PRESENCE, "a", presence(2))
    storage.put(rows.PRESENCE, "b", presence(1))
    storage.commit()
    storage.put(rows.PRESENCE, "b", None)
    storage.put(rows.PRESENCE, "c", presence(1))
    storage.put(rows.PRESENCE, "c", None)
    storage.put(rows.PRESENCE, "never", None)
    storage.commit()
    storage = reopened(storage, url)
    assert list(storage.rows()) == [(rows.PRESENCE, "a", presence(2))]
    storage.close()


def test_an_empty_commit_is_nothing_and_forget_empties_the_batch(url):
    storage = SqlStorage(url)
    assert storage.commit() == 0
    storage.put(rows.PRESENCE, "a", presence(1))
    assert storage.forget() == 1
    assert storage.commit() == 0
    assert list(storage.rows()) == []
    storage.close()


def test_pages_follow_the_keys_by_code_point_and_keep_to_their_table(url):
    storage = SqlStorage(url)
    keys = [
        "B",
        "a",
        "a:1",
        "a.1",
        "é",
        "zz",
        "a\0b",
        "a\0\1",
        "a\1",
        "a\1\0",
        "a\1\2",
        "\uffee",
        "\U0001f600",
    ]
    for key in keys:
        storage.put(rows.PRESENCE, key, presence(1))
    storage.put(rows.REPORTED, "a", rows.ReportedRow(1, 1))
    storage.commit()
    found, after = [], ""
    while page := storage.page(rows.PRESENCE, after, 2):
        assert len(page) <= 2
        found += [key for key, _ in page]
        after = page[-1][0]
    assert found == sorted(keys)
    storage.close()


def test_more_rows_than_a_page_are_all_read(url):
    storage = SqlStorage(url)
    for number in range(PAGE_ROWS + 5):
        storage.put(rows.PRESENCE, f"{number:06d}", presence(number))
    storage.commit()
    assert [row.session for _, _, row in storage.rows()] == list(range(PAGE_ROWS + 5))
    storage.close()


def test_every_table_of_the_core_can_be_read(url):
    storage = SqlStorage(url)
    for table in TABLES:
        assert storage.page(table, "", 1) == []
    with pytest.raises(StorageError, match="expected a table out of"):
        storage.put("control.nothing", "a", presence(1))
    storage.close()


@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"\x93\x01\x02\xa1x"])
def test_a_damaged_row_is_named(url, tmp_path, damage):
    storage = SqlStorage(url)
    storage.put(rows.PRESENCE, "kiosk-7", presence(1))
    storage.commit()
    storage.close()
    change(url, "UPDATE rows SET row = :data", data=damage)
    storage = SqlStorage(url)
    with pytest.raises(StorageError, match=r"control\.presence under key 'kiosk-7'"):
        list(storage.rows())
    storage.close()


def test_a_newer_schema_is_refused_and_the_database_is_free_again(url):
    SqlStorage(url).close()
    change(url, "UPDATE alembic_version SET version_num = '9999'")
    for _ in range(2):
        with pytest.raises(StorageError, match="schema up to 0001, found 9999: a newer fleetdrill"):
            SqlStorage(url)


NO_ROOM = {
    "sqlite": """
        CREATE TRIGGER no BEFORE INSERT ON rows WHEN new.key = 'bad'
        BEGIN SELECT RAISE(ABORT, 'no room'); END
    """,
    "postgresql": """
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'no room'; END$$;
        CREATE TRIGGER no BEFORE INSERT ON rows FOR EACH ROW WHEN (new.key = 'bad')
        EXECUTE FUNCTION no()
    """,
}


def test_a_refused_commit_leaves_the_batch_open_and_the_rows_as_they_were(url):
    storage = SqlStorage(url)
    storage.put(rows.PRESENCE, "a", presence(1))
    storage.commit()
    change(url, NO_ROOM[read_url(url).get_backend_name()])
    storage.put(rows.PRESENCE, "a", presence(2))
    storage.put(rows.PRESENCE, "bad", presence(2))
    with pytest.raises(StorageError, match="no room"):
        storage.commit()
    assert list(storage.rows()) == [(rows.PRESENCE, "a", presence(1))]
    assert storage.forget() == 2
    storage.close()


WRITER = """
import sys
from gateway.adapters.storage import SqlStorage
from gateway.core import rows
storage = SqlStorage(sys.argv[1])
number = 0
while True:
    number += 1
    for key in ("a", "b", "c"):
        storage.put(rows.PRESENCE, key, rows.PresenceRow(1, number, True))
    storage.put(rows.PRESENCE, f"n{number:06d}", rows.PresenceRow(1, number, True))
    storage.commit()
    print(number, flush=True)
"""


@contextmanager
def writing(url, commits):
    """A process that commits and says so, when it has said so that many times."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        for answered in range(1, commits + 1):
            line = process.stdout.readline()
            assert line == f"{answered}\n", f"the writer ended after {answered - 1} commits"
        yield process
    finally:
        process.kill()
        process.communicate()


def check_whole(url, commits):
    """All that was answered is there, and nothing by halves."""
    storage = SqlStorage(url)
    found = {key: row.session for _, key, row in storage.rows()}
    newest = found["a"]
    assert newest >= commits, f"{commits} commits were answered, {newest} are there"
    expected = {f"n{number:06d}": number for number in range(1, newest + 1)}
    assert found == {"a": newest, "b": newest, "c": newest, **expected}
    storage.close()


@pytest.mark.parametrize("commits", [1, 7, 60])
def test_kill_dash_nine_keeps_every_commit_that_was_answered_and_halves_none(url, commits):
    with writing(url, commits) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    check_whole(url, commits)


def test_kill_dash_nine_of_the_server_loses_nothing_and_ends_the_gateway_with_a_reason():
    with cluster(durable=True) as server:
        url = server.database()
        with writing(url, 20) as process:
            server.kill()
            said, why = process.communicate(timeout=60)
        assert process.returncode == 1, "a gateway without its database goes on"
        assert "another one may have the database now" in why, why
        server.start()
        check_whole(url, 20 + len(said.split()))
