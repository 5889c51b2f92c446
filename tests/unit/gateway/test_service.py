"""The audit key of a state folder: made once, never replaced behind anybody's back."""

import json

import pytest

from gateway import service
from gateway.adapters import keys as key_files
from gateway.adapters.keys import TRUST_FILE, KeyFileError, read_trust
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.service import AUDIT_TRUST_FILE, audit_signer, audit_verifier, online_signers

SEED, OTHER = bytes([1]) * 32, bytes([2]) * 32


class Killed(BaseException):
    """What a write of a process that is killed raises here."""


def kill_at(monkeypatch, number):
    """Let a process die in the middle of its write of this number."""
    write, left = key_files.write_new, [number]

    def dying(file, content, mode):
        left[0] -= 1
        if left[0]:
            write(file, content, mode)
        else:
            write(file, content[:5], mode)
            raise Killed

    for module in (key_files, service):
        monkeypatch.setattr(module, "write_new", dying)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
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


@pytest.mark.parametrize("number", [1, 2])
def test_a_start_that_is_killed_over_its_audit_key_is_made_good_by_the_next(
    tmp_path, monkeypatch, number
):
    with monkeypatch.context() as dying:
        kill_at(dying, number)
        with pytest.raises(Killed):
            audit_signer(tmp_path, SEED)
    assert audit_signer(tmp_path, OTHER).public == audit_signer(tmp_path, SEED).public


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
