"""Backups: from each engine to each, while the gateway writes, and what is not whole is refused."""

import json
import os
import stat

import pytest

from gateway.adapters import lease
from gateway.adapters.archive import BackupError, read_manifest, read_rows
from gateway.adapters.backup import blob_files, make_backup
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.restore import restore_backup
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.adapters.tenure import alone
from gateway.core import rows
from gateway.core.access.tokens import TOKEN
from gateway.core.recovery import RESTORED
from gateway.ports import StorageError
from tests_kit.keeping import MADE_MS, NOW_MS, State, everything, silent

CHANGED = (rows.DESIRED, rows.KILL, rows.ROLE, RESTORED, TOKEN)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request):
    return request.param


@pytest.fixture
def state(engine, request, tmp_path):
    url = request.getfixturevalue("postgres").database() if engine == "postgresql" else ""
    made = State(tmp_path / "state", url)
    yield made
    made.storage.close()


def back_up(state, to, **more):
    said = {"made_ms": MADE_MS, "private": False, "link": False, "progress": silent, **more}
    return make_backup(state.url, state.blobs, state.keys, to, **said)


def bring_back(source, to, url="", **more):
    said = {"restored_ms": NOW_MS, "progress": silent, **more}
    return restore_backup(source, to, url, **said)


@pytest.mark.parametrize("onto", ["sqlite", "postgresql"])
def test_a_backup_of_either_engine_is_restored_on_either(state, onto, postgres, tmp_path):
    made = back_up(state, tmp_path / "backup")
    url = postgres.database() if onto == "postgresql" else ""
    done = bring_back(tmp_path / "backup", tmp_path / "new", url, kills=["lights"])
    storage = SqlStorage(url or sqlite_url(tmp_path / "new" / "gateway.db"))
    found, before = everything(storage), everything(state.storage)
    storage.close()
    same = {name: row for name, row in before.items() if name[0] not in CHANGED}
    assert {name: row for name, row in found.items() if name[0] not in CHANGED} == same
    assert done.rows == len(found)
    assert sum(made.tables.values()) == len(before)
    assert found[rows.KILL, "list"].features == done.killed == ("gauge", "lights")
    assert found[rows.DESIRED, "kiosk-0000"].generation == NOW_MS
    blobs = FileBlobs(tmp_path / "new" / "blobs")
    for number, digest in enumerate(state.digests):
        assert blobs.read(digest, 0, 10**7) == bytes([number]) * (number * 40_000 + 1)


def test_a_backup_is_of_one_instant_though_the_gateway_writes(state, tmp_path):
    turns = []

    def meanwhile(what, done_bytes, total_bytes):
        if len(turns) < 5:
            turns.append(what)
            for number in range(30):
                state.storage.put(rows.DEVICE, f"kiosk-{number:04}", None)
            state.storage.put(rows.DEVICE, f"new-{len(turns)}", rows.DeviceRow({}, enrolled=True))
            state.log("meanwhile")
            state.storage.commit()

    made = back_up(state, tmp_path / "backup", progress=meanwhile)
    assert turns[0] == "rows"
    kept = {key for table, key, _ in read_rows(tmp_path / "backup/rows") if table == rows.DEVICE}
    assert kept == {f"kiosk-{number:04}" for number in range(30)}
    assert made.audit_entries == 2
    assert not state.storage.page(rows.DEVICE, "kiosk", 1)[0][0].startswith("kiosk")
    bring_back(tmp_path / "backup", tmp_path / "new")


def test_private_keys_stay_where_they_are_unless_somebody_asks(tmp_path):
    state = State(tmp_path / "state")
    made = back_up(state, tmp_path / "without")
    assert not made.private
    names = sorted(file.name for file in (tmp_path / "without/keys").iterdir())
    assert names == ["audit-trust.json", "trust.json"]
    back_up(state, tmp_path / "with", private=True)
    bring_back(tmp_path / "with", tmp_path / "new")
    for folder in (tmp_path / "with/keys", tmp_path / "new/keys"):
        for file in state.keys.iterdir():
            assert (folder / file.name).read_bytes() == file.read_bytes()
            mode = 0o644 if file.suffix == ".json" else 0o600
            assert stat.S_IMODE((folder / file.name).stat().st_mode) & ~0o022 & 0o777 <= mode
    assert stat.S_IMODE((tmp_path / "with").stat().st_mode) == 0o700
    state.storage.close()


def test_linked_blobs_take_no_room_and_are_hashed_all_the_same(tmp_path):
    state = State(tmp_path / "state")
    damaged = next(blob_files(state.blobs))
    damaged.write_bytes(b"rot")
    made = back_up(state, tmp_path / "backup", link=True)
    assert made.damaged == (damaged.name,)
    assert len(made.blobs) == 2
    assert damaged.read_bytes() == b"rot", "the gateway's own file was touched"
    for kept in made.blobs:
        assert (tmp_path / "backup" / kept.name).stat().st_nlink == 2
    bring_back(tmp_path / "backup", tmp_path / "new")
    assert len(list(blob_files(tmp_path / "new/blobs"))) == 2
    state.storage.close()


def flip(file, place):
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def test_whatever_was_damaged_is_named_and_nothing_is_written(tmp_path):
    state = State(tmp_path / "state", devices=2)
    state.storage.close()
    source = tmp_path / "backup"
    back_up(state, source)
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    assert len(files) == 1 + 1 + 3 + 2
    for file in files:
        whole = file.read_bytes()
        for damage in (
            lambda file=file: flip(file, len(whole) // 2),  # noqa: B023
            lambda file=file: file.write_bytes(whole[:-1]),  # noqa: B023
            file.unlink,
        ):
            damage()
            with pytest.raises(BackupError) as caught:
                bring_back(source, tmp_path / "new")
            assert file.name in str(caught.value), caught.value
            file.write_bytes(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "state"]
    bring_back(source, tmp_path / "new")


def test_an_audit_log_that_was_edited_is_not_restored(tmp_path):
    state = State(tmp_path / "state")
    ((_, entry),) = state.storage.page("audit.entry", "000000000001", 1)
    state.storage.put("audit.entry", "000000000002", type(entry)(**{
        **{name: getattr(entry, name) for name in entry.__struct_fields__}, "actor": "bo",
    }))  # fmt: skip
    state.storage.commit()
    back_up(state, tmp_path / "backup")
    with pytest.raises(BackupError, match="audit log that is whole, found edited at entry 2"):
        bring_back(tmp_path / "backup", tmp_path / "new")
    state.storage.close()


def test_nothing_is_ever_overwritten(state, postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_WAIT_MS_MAX", 200)
    for place in (tmp_path / "backup", tmp_path / "new"):
        place.mkdir()
    back_up(state, tmp_path / "backup")
    with pytest.raises(BackupError, match="something there"):
        back_up(state, tmp_path / "backup")
    with pytest.raises(BackupError, match="something there"):
        bring_back(tmp_path / "backup", state.folder)
    url = postgres.database()
    bring_back(tmp_path / "backup", tmp_path / "new", url)
    with pytest.raises(StorageError, match="expected an empty database at"):
        bring_back(tmp_path / "backup", tmp_path / "newer", url)
    storage = SqlStorage(url)
    with pytest.raises(StorageError, match="has it; stop that gateway first"):
        bring_back(tmp_path / "backup", tmp_path / "newer", url)
    storage.close()
    assert not (tmp_path / "newer").exists()


def test_what_is_no_backup_or_of_a_newer_form_is_said(tmp_path):
    state = State(tmp_path / "state")
    state.storage.close()
    with pytest.raises(BackupError, match=r"found no manifest\.json"):
        read_manifest(state.folder)
    with pytest.raises(BackupError, match="expected a gateway's database in "):
        make_backup(
            sqlite_url(tmp_path / "nowhere.db"), state.blobs, state.keys, tmp_path / "b",
            made_ms=1, private=False, link=False, progress=silent,
        )  # fmt: skip
    assert not (tmp_path / "nowhere.db").exists()
    back_up(state, tmp_path / "backup")
    with pytest.raises(BackupError, match="expected a clock that is past"):
        bring_back(tmp_path / "backup", tmp_path / "new", restored_ms=MADE_MS)
    from hashlib import sha256

    inner = json.dumps({"form": 2})
    text = json.dumps({"manifest": json.loads(inner), "sha256": sha256(inner.encode()).hexdigest()})
    (tmp_path / "backup/manifest.json").write_text(text)
    with pytest.raises(BackupError, match="form 2: a newer fleetdrill wrote it"):
        read_manifest(tmp_path / "backup")


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path):
    state = State(tmp_path / "state")

    def full(what, done_bytes, total_bytes):
        if what == "blobs":
            raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space"):
        back_up(state, tmp_path / "backup", progress=full)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    state.storage.close()


def test_no_blob_is_removed_while_a_backup_is_made_nor_a_backup_begun_while_some_are(tmp_path):
    state, tried = State(tmp_path / "state"), set()
    state.storage.close()

    def watch(what, _done, _total):
        with pytest.raises(StorageError, match="a gateway or a backup uses it"), alone(state.blobs):
            pass
        tried.add(what)

    back_up(state, tmp_path / "backup", progress=watch)
    assert tried == {"rows", "blobs"}
    with alone(state.blobs), pytest.raises(StorageError, match="blobs are being removed from it"):
        back_up(state, tmp_path / "second")
    assert {path.name for path in tmp_path.iterdir()} == {"state", "backup"}, "left behind"
    back_up(state, tmp_path / "second")
