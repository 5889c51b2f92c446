"""The audit key of a state folder: made once, never replaced behind anybody's back."""

import json

import pytest

from gateway.adapters.keys import KeyFileError
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.service import AUDIT_TRUST_FILE, audit_signer, audit_verifier

SEED, OTHER = bytes([1]) * 32, bytes([2]) * 32


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
