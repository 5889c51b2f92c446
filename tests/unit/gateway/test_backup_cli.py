"""`gateway backup`, `restore` and `scrub`: what people are told, and exit codes."""

import json
import os

import pytest
import typer
from typer.testing import CliRunner

from gateway.adapters.backup import blob_files
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.adapters.tenure import RUN_BYTES, begin, shared
from gateway.cli import EXIT_INVALID, EXIT_REFUSED, register
from tests_kit.keeping import State

APP = typer.Typer()
register(APP)


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    yield made
    made.storage.close()


def run(*words, code=0):
    done = CliRunner().invoke(APP, ["gateway", *map(str, words)], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


def test_a_backup_says_what_is_in_it_and_what_is_not(state, tmp_path):
    said = run("backup", tmp_path / "backup", "--state", state.folder)
    assert "66 rows and 3 blobs" in said
    assert "audit log: 2 entries" in said
    assert "private keys are not in it" in said
    said = run("backup", tmp_path / "keys", "--with-keys", "--link", "--state", state.folder)
    assert "guard it as you guard them" in said
    assert "found something there" in run(
        "backup", tmp_path / "keys", "--state", state.folder, code=EXIT_INVALID
    )
    assert "found no such file" in run(
        "backup", tmp_path / "no", "--state", tmp_path / "nowhere", code=EXIT_INVALID
    )


def test_a_restore_says_what_has_to_be_looked_at(state, tmp_path):
    run("backup", tmp_path / "backup", "--state", state.folder)
    said = run("restore", tmp_path / "backup", "--state", tmp_path / "new", "--kill", "lights")
    for word in (
        "the gateway as it was at 20",
        "killed: gauge, lights",
        "rollouts are paused",
        "all tokens are revoked",
        f"put the private keys into {tmp_path / 'new/keys'}",
    ):
        assert word in said, said
    said = run(
        "restore", tmp_path / "backup", "--state", tmp_path / "newer", "--keep-tokens", "--json"
    )
    facts = json.loads(said)
    assert (facts["rows"], facts["killed"], facts["private_keys"]) == (66, ["gauge"], False)
    assert "found no manifest.json" in run(
        "restore", state.folder, "--state", tmp_path / "x", code=EXIT_INVALID
    )


def test_a_scrub_names_what_is_damaged(state, tmp_path):
    assert "3 blobs, 120003 bytes: 0 damaged" in run("scrub", "--state", state.folder)
    damaged = next(blob_files(state.blobs))
    damaged.write_bytes(b"rot")
    said = run("scrub", "--state", state.folder, code=EXIT_REFUSED)
    assert damaged.name in said
    facts = json.loads(run("scrub", "--json", "--state", state.folder, code=EXIT_REFUSED))
    assert facts["damaged"] == [damaged.name]
    said = run("backup", tmp_path / "backup", "--state", state.folder, code=EXIT_REFUSED)
    assert damaged.name in said
    assert "2 blobs" in said
    assert "found no such folder" in run("scrub", "--state", tmp_path, code=EXIT_INVALID)


def test_what_nothing_names_is_told_and_removed_by_who_asks_for_it(state, tmp_path):
    assert "uses it" in run("prune", "--state", state.folder, code=EXIT_INVALID)
    begin(state.storage, state.blobs, b"1" * RUN_BYTES)
    state.storage.close()
    stray = state.blobs / state.digests[1].hex()[:2] / state.digests[1].hex()
    said = run("prune", "--state", state.folder)
    assert "2 blobs that nothing names; 0 older than 7d" in said
    os.utime(stray, (1_000_000, 1_000_000))
    said = run("prune", "--state", state.folder)
    assert "1 older than 7d, 40001 bytes, would be removed by --remove" in said, said
    assert stray.exists()
    facts = json.loads(run("prune", "--remove", "--json", "--state", state.folder))
    assert facts == {"unnamed": 2, "old": [stray.name], "bytes": 40_001, "removed": True}
    assert not stray.exists()
    assert "2 blobs, 80002 bytes: 0 damaged" in run("scrub", "--state", state.folder)
    assert "1 blobs that nothing names" in run("prune", "--remove", "--state", state.folder)
    assert "expected a duration" in run(
        "prune", "--older-than", "soon", "--state", state.folder, code=EXIT_INVALID
    )
    assert "found no such folder" in run("prune", "--state", tmp_path, code=EXIT_INVALID)
    (tmp_path / "blobs").mkdir()
    assert "found no such file" in run("prune", "--state", tmp_path, code=EXIT_INVALID)
    assert not (tmp_path / "gateway.db").exists()


def test_nothing_is_removed_with_a_database_that_the_folder_was_not_used_with_last(state, tmp_path):
    """As when the configuration names another than the one in the state folder, and is forgotten."""
    state.storage.close()
    prune = ("prune", "--older-than", "0s", "--state", state.folder)
    assert "2 blobs that nothing names" in run(*prune)
    assert "start its gateway once" in run(*prune, "--remove", code=EXIT_INVALID)
    new = SqlStorage(sqlite_url(tmp_path / "new.db"))
    with shared(state.blobs):  # as a gateway does while it runs
        begin(new, state.blobs, b"2" * RUN_BYTES)
        assert "a gateway or a backup uses it" in run(*prune, "--remove", code=EXIT_INVALID)
    new.close()
    for words in ((), ("--remove",)):
        assert "by --config" in run(*prune, *words, code=EXIT_INVALID)
    assert len(list(blob_files(state.blobs))) == 3
