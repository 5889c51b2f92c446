"""Who has a folder of blobs, and which database it was used with last."""

from __future__ import annotations

import pytest

from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.adapters.tenure import RUN_BYTES, Tenure, alone, begin, shared, tenure
from gateway.adapters.unnamed import UnnamedError, unnamed
from gateway.core import rows
from gateway.ports import StorageError
from tests_kit.keeping import State


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    yield made
    made.storage.close()


@pytest.fixture
def other(tmp_path):
    made = SqlStorage(sqlite_url(tmp_path / "other.db"))
    yield made
    made.close()


def test_many_read_and_one_removes(tmp_path):
    def refused(hold, why):
        with pytest.raises(StorageError, match=why), hold(tmp_path):
            pass

    with shared(tmp_path), shared(tmp_path):
        refused(alone, "a gateway or a backup uses it")
    with alone(tmp_path):
        refused(shared, "blobs are being removed")
        refused(alone, "a gateway or a backup uses it")
    with pytest.raises(ZeroDivisionError), alone(tmp_path):
        _ = 1 // 0
    with shared(tmp_path):
        refused(alone, "a gateway or a backup uses it")


def test_a_folder_knows_the_database_it_was_used_with_last(state, other):
    assert tenure(state.storage, state.blobs) is Tenure.UNKNOWN
    begin(state.storage, state.blobs, b"1" * RUN_BYTES)
    assert tenure(state.storage, state.blobs) is Tenure.LAST
    assert tenure(other, state.blobs) is Tenure.OTHER
    begin(other, state.blobs, b"2" * RUN_BYTES)
    assert tenure(other, state.blobs) is Tenure.LAST
    assert tenure(state.storage, state.blobs) is Tenure.OTHER
    begin(state.storage, state.blobs, b"3" * RUN_BYTES)
    assert tenure(state.storage, state.blobs) is Tenure.LAST


def test_a_database_of_before_says_nothing_of_blobs_though_it_names_one(state, other):
    """The one in the state folder, after the configuration came to name another."""
    begin(state.storage, state.blobs, b"1" * RUN_BYTES)
    assert len(unnamed(state.storage, state.blobs)) == 2
    for number, digest in enumerate(state.digests):
        want = rows.DesiredRow(3, digest, "r1", rows.Purpose.UPDATE)
        other.put(rows.DESIRED, f"kiosk-{number}", want)
    begin(other, state.blobs, b"2" * RUN_BYTES)
    with pytest.raises(UnnamedError, match="found another, or one of before"):
        unnamed(state.storage, state.blobs)
    assert unnamed(other, state.blobs) == []
