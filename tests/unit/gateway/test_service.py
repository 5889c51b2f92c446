"""The audit key of a state folder: made once, never replaced behind anybody's back."""

import json
from pathlib import Path

import pytest

from devicesdk.bundle.trust import Ed25519Signer
from gateway.adapters import keys as key_files
from gateway.adapters.keys import TRUST_FILE, KeyFileError, read_trust
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.service import AUDIT_TRUST_FILE, audit_signer, audit_verifier, online_signers

SEED, OTHER = bytes([1]) * 32, bytes([2]) * 32


class Killed(BaseException):
    """What a step of a process that is killed raises here."""


def kill_at(monkeypatch, number):
    """Let a process die in the middle of its step of this number: a write, or a rename."""
    write, rename, left = key_files.write_new, Path.rename, [number]

    def dying_write(file, content, mode):
        left[0] -= 1
        write(file, content if left[0] else content[:5], mode)
        if not left[0]:
            raise Killed

    def dying_rename(self, to):
        left[0] -= 1
        if not left[0]:
            raise Killed
        return rename(self, to)

    monkeypatch.setattr(key_files, "write_new", dying_write)
    monkeypatch.setattr(Path, "rename", dying_rename)


@pytest.mark.parametrize("number", range(1, 8))
def test_a_start_that_is_killed_over_its_keys_is_made_good_by_the_next(
    tmp_path, monkeypatch, number
):
    folder = tmp_path / "keys"
    with monkeypatch.context() as dying:
        kill_at(dying, number)
        with pytest.raises(Killed):
            online_signers(folder, SEED + SEED)
    director, flags = online_signers(folder, OTHER + SEED)
    trust = read_trust(folder / TRUST_FILE)
    assert (trust["director"], trust["flags"]) == ((director.public,), (flags.public,))
    assert online_signers(folder, SEED + SEED)[0].public == director.public, "made once"
    assert {f.name for f in folder.iterdir()} <= {
        "director.key",
        "flags.key",
        TRUST_FILE,
        ".making",
    }


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_start_that_is_killed_over_its_audit_key_is_made_good_by_the_next(
    tmp_path, monkeypatch, number
):
    with monkeypatch.context() as dying:
        kill_at(dying, number)
        with pytest.raises(Killed):
            audit_signer(tmp_path, SEED)
    assert audit_signer(tmp_path, OTHER).public == audit_signer(tmp_path, SEED).public


@pytest.mark.parametrize("number", range(1, 8))
def test_keys_of_an_operator_survive_a_start_that_was_killed_before_they_came(
    tmp_path, monkeypatch, number
):
    with monkeypatch.context() as dying:
        kill_at(dying, number)
        with pytest.raises(Killed):
            online_signers(tmp_path, SEED + SEED)
    if any((tmp_path / name).exists() for name in ("director.key", "flags.key", TRUST_FILE)):
        with pytest.raises(KeyFileError, match="never overwritten"):
            key_files.init_keys(tmp_path)
        return
    key_files.init_keys(tmp_path)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.is_file()}
    if (tmp_path / ".made").exists():
        with pytest.raises(KeyFileError, match="remove that folder if yours"):
            online_signers(tmp_path, OTHER + OTHER)
    else:
        assert (
            online_signers(tmp_path, OTHER + OTHER)[0].public
            != Ed25519Signer("director", SEED).public
        )
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.is_file()} == before


def test_keys_that_somebody_put_there_are_never_taken_for_a_start_that_was_killed(tmp_path):
    (tmp_path / "director.key").write_text("11" * 32)
    (tmp_path / "director.key").chmod(0o600)
    with pytest.raises(KeyFileError, match=r"flags\.key"):
        online_signers(tmp_path, SEED + OTHER)
    assert (tmp_path / "director.key").exists()


def test_a_key_is_made_once_and_named_for_verifiers(tmp_path):
    first = audit_signer(tmp_path, SEED)
    assert audit_signer(tmp_path, OTHER).public == first.public
    assert audit_verifier(tmp_path).open(ROLE_AUDIT, first.seal(b"x")) == b"x"
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0


def test_after_a_crash_between_the_two_files_the_second_is_made(tmp_path):
    first = audit_signer(tmp_path, SEED)
    (tmp_path / AUDIT_TRUST_FILE).unlink()
    assert audit_signer(tmp_path, OTHER).public == first.public
    assert audit_verifier(tmp_path).open(ROLE_AUDIT, first.seal(b"x")) == b"x"


def test_a_key_that_is_gone_is_not_replaced(tmp_path):
    audit_signer(tmp_path, SEED)
    (tmp_path / "audit.key").unlink()
    with pytest.raises(KeyFileError, match="expected the audit key"):
        audit_signer(tmp_path, OTHER)


def test_another_key_is_not_taken_silently(tmp_path):
    audit_signer(tmp_path, SEED)
    (tmp_path / "audit.key").write_text(OTHER.hex() + "\n")
    with pytest.raises(KeyFileError, match="found another"):
        audit_signer(tmp_path, OTHER)
    trust = tmp_path / AUDIT_TRUST_FILE
    told = json.loads(trust.read_text())
    with pytest.raises(KeyFileError) as caught:
        audit_signer(tmp_path, OTHER)
    told[ROLE_AUDIT].append(str(caught.value).split("public key ")[1].split()[0])
    trust.write_text(json.dumps(told))
    audit_signer(tmp_path, SEED)
