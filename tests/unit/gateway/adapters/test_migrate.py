"""Schemas: an older one is migrated with everything in it, a newer one refused; on both engines."""

import gzip
import shutil
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from gateway.adapters import migrate
from gateway.adapters.backup import make_backup
from gateway.adapters.engines import open_engine, read_url
from gateway.adapters.restore import restore_backup
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core.recovery import RESTORED
from gateway.ports import StorageError
from tests_kit.keeping import NOW_MS, everything, silent

ROOT = Path(__file__).parents[4]
FIXTURE = ROOT / "tests/data/gateway-0001.db.gz"
"""What `gateway serve` of schema 0001 left behind: three devices, two bundles, a rollout and more."""
COUNTS = {
    "access.token": 1, "audit.entry": 12, "audit.head": 1, "control.bundle": 2, "control.debug": 1,
    "control.delta": 4, "control.desired": 3, "control.device": 3, "control.kill": 1,
    "control.rollout": 2, "control.segment": 1,
}  # fmt: skip
NEXT = '''"""A step that a later version may take."""
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade() -> None:
    op.create_index("rows_by_key", "rows", ["key"])
def downgrade() -> None:
    op.drop_index("rows_by_key")
'''


@pytest.fixture
def later(tmp_path, monkeypatch):
    """Call it to be a later version of the program, which knows one more step; again, to be today's."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / "versions/s0002_index.py").write_text(NEXT)

    def become(is_later):
        monkeypatch.setattr(migrate, "FOLDER", folder if is_later else ORIGINAL)

    return become


ORIGINAL = migrate.FOLDER


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A database of schema 0001 with the fixture's rows."""
    file = tmp_path / "gateway.db"
    file.write_bytes(gzip.decompress(FIXTURE.read_bytes()))
    if request.param == "sqlite":
        return sqlite_url(file)
    with open_engine(read_url(sqlite_url(file)), reads=True).connect() as old:
        found = old.execute(text("SELECT tbl, key, row FROM rows")).all()
    url = request.getfixturevalue("postgres").database()
    SqlStorage(url).close()
    with open_engine(read_url(url)).begin() as new:
        for tbl, key, row in found:
            said = {"tbl": tbl, "key": key, "row": row}
            new.execute(text("INSERT INTO rows VALUES (:tbl, :key, :row)"), said)
    return url


def counted(rows):
    counts = {}
    for table, _ in rows:
        counts[table] = counts.get(table, 0) + 1
    return counts


def test_rows_of_the_first_schema_are_read_by_todays_program(url):
    storage = SqlStorage(url)
    assert counted(everything(storage)) == COUNTS
    assert storage.page("control.kill", "", 1)[0][1].version == 2
    storage.close()


def test_an_older_schema_is_migrated_with_everything_in_it_and_not_back(url, later):
    with open_engine(read_url(url)).connect() as connection:
        assert inspect(connection).get_indexes("rows") == []
    storage = SqlStorage(url)
    before = everything(storage)
    storage.close()
    later(True)
    assert migrate.newest() == "0002"
    storage = SqlStorage(url)
    assert everything(storage) == before
    storage.close()
    with open_engine(read_url(url)).connect() as connection:
        assert [index["name"] for index in inspect(connection).get_indexes("rows")] == [
            "rows_by_key"
        ]
    later(False)
    for _ in range(2):
        with pytest.raises(StorageError, match="schema up to 0001, found 0002: a newer fleetdrill"):
            SqlStorage(url)
    later(True)
    storage = SqlStorage(url)
    assert everything(storage) == before, "a refused start changed something"
    storage.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(url, later, tmp_path):
    broken = NEXT.replace('["key"])', '["key"])\n    op.execute("SELECT no_such_thing")')
    (tmp_path / "migrations/versions/s0002_index.py").write_text(broken)
    later(True)
    with pytest.raises(StorageError, match="no_such_thing"):
        SqlStorage(url)
    later(False)
    storage = SqlStorage(url)
    assert counted(everything(storage)) == COUNTS
    storage.close()
    with open_engine(read_url(url)).connect() as connection:
        assert inspect(connection).get_indexes("rows") == []


def test_a_backup_of_an_older_schema_is_restored_and_one_of_a_newer_refused(url, later, tmp_path):
    keys, blobs = tmp_path / "keys", tmp_path / "blobs"
    keys.mkdir()
    (keys / "audit-trust.json").write_text(
        (ROOT / "tests/data/gateway-0001-audit-trust.json").read_text()
    )
    said = {"made_ms": NOW_MS, "private": False, "link": False, "progress": silent}
    make_backup(url, blobs, keys, tmp_path / "old", **said)
    later(True)
    now = {"restored_ms": NOW_MS + 1, "progress": silent}
    restore_backup(tmp_path / "old", tmp_path / "new", "", **now)
    storage = SqlStorage(sqlite_url(tmp_path / "new/gateway.db"))
    found = counted(everything(storage))
    storage.close()
    assert found == {**COUNTS, RESTORED: 1, "control.role": 1}
    later(False)
    new = sqlite_url(tmp_path / "new/gateway.db")
    with pytest.raises(StorageError, match="expected a database of schema 0001 at"):
        make_backup(new, blobs, keys, tmp_path / "newer", **said)
    later(True)
    make_backup(new, blobs, keys, tmp_path / "newer", **said)
    later(False)
    with pytest.raises(StorageError, match="expected a backup of schema 0001 or older, found 0002"):
        restore_backup(tmp_path / "newer", tmp_path / "newest", "", **now)
