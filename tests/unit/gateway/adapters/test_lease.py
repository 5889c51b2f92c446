"""One gateway at a time: the second is told who has the database, and who lost it stops."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters import lease
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.ports import StorageError

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys
from gateway.adapters.storage import SqlStorage
storage = SqlStorage(sys.argv[1])
print(1, flush=True)
sys.stdin.read()
"""
ROW = rows.PresenceRow(boot_id=1, session=1, online=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lease, "LEASE_WAIT_MS_MAX", 200)


def test_two_gateways_do_not_share_a_file(tmp_path):
    url = sqlite_url(tmp_path / "gateway.db")
    storage = SqlStorage(url)
    assert not storage.leased
    with pytest.raises(StorageError, match=f"found that process {os.getpid()} uses it"):
        SqlStorage(url)
    storage.close()
    SqlStorage(url).close()


def test_two_gateways_do_not_share_a_database_of_a_server(postgres):
    url = postgres.database()
    storage = SqlStorage(url)
    assert storage.leased
    told = rf"found that fleetdrill gateway, process {os.getpid()} on .* since 20.*; stop that"
    with pytest.raises(StorageError, match=told):
        SqlStorage(url)
    other = SqlStorage(postgres.database())
    other.close()
    storage.close()
    SqlStorage(url).close()


def test_a_killed_process_leaves_the_database_free(postgres, monkeypatch):
    url = postgres.database()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(StorageError, match=f"process {process.pid} on"):
            SqlStorage(url)
        process.kill()
    monkeypatch.undo()
    SqlStorage(url).close()


def test_who_lost_its_connection_writes_nothing_more_though_the_server_is_there(postgres):
    url = postgres.database()
    old = SqlStorage(url)
    old.put(rows.PRESENCE, "a", ROW)
    old.commit()
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (url.split("/")[-1].split("?")[0],),
        )
    new = SqlStorage(url)
    old.put(rows.PRESENCE, "a", rows.PresenceRow(boot_id=1, session=2, online=True))
    for _ in range(2):
        with pytest.raises(StorageError, match="another one may have the database now"):
            old.commit()
        with pytest.raises(StorageError, match="another one may have the database now"):
            old.page(rows.PRESENCE, "", 1)
    assert list(new.rows()) == [(rows.PRESENCE, "a", ROW)]
    old.close()
    new.close()
