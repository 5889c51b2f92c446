"""The log as it lies in a database: one snapshot, read-only, of a database that is being written."""

import pytest
from sqlalchemy.exc import OperationalError

from gateway.adapters import audit_reader
from gateway.adapters.audit_reader import AuditReader
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import verify
from gateway.core.audit.stored import read_entries, read_head_row
from gateway.ports import StorageError
from tests_kit.audit_logs import AUDITOR, entry, log_of


@pytest.fixture
def url(tmp_path):
    return sqlite_url(tmp_path / "gateway.db")


@pytest.fixture
def storage(url):
    made = SqlStorage(url)
    yield made
    made.close()


def stored(storage, log):
    for key, row in log.entries.items():
        storage.put(audit.ENTRY, key, row)
    storage.put(audit.HEAD, audit.HEAD_KEY, log.head)
    storage.commit()


def judged(reader):
    found = []
    head = read_head_row(reader.head, found)
    return found + verify(read_entries(reader.entries(), found), head, AUDITOR)


def test_a_log_of_many_pages_is_read(storage, url, monkeypatch):
    monkeypatch.setattr(audit_reader, "_AFTER", audit_reader._AFTER.limit(3))
    log = log_of(10)
    stored(storage, log)
    with AuditReader(url) as reader:
        assert list(reader.entries()) == log.stored
        assert [key for key, _ in reader.entries(8)] == ["000000000009", "000000000010"]
        assert judged(reader) == []


def test_what_is_written_meanwhile_is_not_taken_for_a_fork(storage, url):
    log = log_of(3)
    stored(storage, log)
    with AuditReader(url) as reader:
        stored(storage, log.write(entry(4), entry(5)))
        assert judged(reader) == []
        assert len(list(reader.entries())) == 3
    with AuditReader(url) as reader:
        assert len(list(reader.entries())) == 5
        assert judged(reader) == []


def test_nothing_can_be_written_through_it(storage, url):
    stored(storage, log_of(1))
    with AuditReader(url) as reader, pytest.raises(OperationalError, match="readonly"):
        reader._connection.exec_driver_sql("DELETE FROM rows")


def test_no_log_is_said(tmp_path, storage, url):
    with AuditReader(url) as reader:
        assert (reader.head, list(reader.entries())) == (None, [])
    with pytest.raises(StorageError, match="no such file"):
        AuditReader(sqlite_url(tmp_path / "nowhere.db"))
    (tmp_path / "other.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="expected a gateway's database"):
        AuditReader(sqlite_url(tmp_path / "other.db"))
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="no such table"):
        AuditReader(sqlite_url(tmp_path / "empty.db"))
    with pytest.raises(StorageError) as caught:
        AuditReader("nonsense://me:secret@db/x")
    assert "secret" not in str(caught.value)
