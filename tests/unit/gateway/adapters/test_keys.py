"""Signing keys as files: made once, private, and good for signing."""

from __future__ import annotations

import json

import pytest

from devicesdk.bundle.trust import ROLE_FLAGS, Ed25519Verifier
from devicesdk.wire.errors import BadSignature
from gateway.adapters.keys import (
    AUDIT_TRUST_FILE,
    OFFLINE_ROLES,
    PUBLIC_FILES,
    ROLES,
    TRUST_FILE,
    KeyFileError,
    init_keys,
    key_file,
    read_signer,
    read_trust,
)
from gateway.core.audit.chain import ROLE_AUDIT


def test_keys_are_made_with_a_trust_file_that_names_them(tmp_path):
    folder = tmp_path / "keys"
    written = init_keys(folder)
    assert sorted(f.name for f in written) == sorted(
        [*(f"{r}.key" for r in (*ROLES, ROLE_AUDIT)), *PUBLIC_FILES]
    )
    trust = read_trust(folder / TRUST_FILE)
    assert trust == {role: (read_signer(folder, role).public,) for role in ROLES}
    audit = read_trust(folder / AUDIT_TRUST_FILE)
    assert audit == {ROLE_AUDIT: (read_signer(folder, ROLE_AUDIT).public,)}
    made = {keys[0] for keys in (*trust.values(), *audit.values())}
    assert len(made) == len(ROLES) + 1, "a key for each role"


def test_what_one_role_signs_no_other_role_can_pass_for(tmp_path):
    init_keys(tmp_path / "keys")
    verifier = Ed25519Verifier(read_trust(tmp_path / "keys" / TRUST_FILE))
    sealed = read_signer(tmp_path / "keys", ROLE_FLAGS).seal(b"off")
    assert verifier.open(ROLE_FLAGS, sealed) == b"off"
    for role in ROLES:
        if role != ROLE_FLAGS:
            with pytest.raises(BadSignature):
                verifier.open(role, sealed)


def test_private_keys_are_readable_by_their_owner_alone(tmp_path):
    init_keys(tmp_path / "keys")
    modes = {f.name: f.stat().st_mode & 0o777 for f in (tmp_path / "keys").iterdir()}
    assert [modes.pop(name) for name in PUBLIC_FILES] == [0o644, 0o644]
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert OFFLINE_ROLES == ("targets",)


@pytest.mark.parametrize("name", [*(f"{role}.key" for role in (*ROLES, ROLE_AUDIT)), *PUBLIC_FILES])
def test_nothing_is_overwritten_and_nothing_is_half_made(tmp_path, name):
    (tmp_path / name).write_text("dear")
    with pytest.raises(KeyFileError, match="never overwritten"):
        init_keys(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "dear"


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "ab" * 33])
def test_what_is_not_a_key_is_refused(tmp_path, text):
    key_file(tmp_path, "flags").write_text(text)
    with pytest.raises(KeyFileError, match="expected 64 hex digits"):
        read_signer(tmp_path, "flags")


def test_a_missing_key_says_how_to_make_one(tmp_path):
    with pytest.raises(KeyFileError, match="fleetdrill keys init"):
        read_signer(tmp_path, "flags")
    with pytest.raises(KeyFileError, match=r"copy trust\.json"):
        read_trust(tmp_path / TRUST_FILE)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"targets": 3}', b'{"targets": ["abc"]}', b'{"targets": ["ab"]}',
     b'{"targets": [7]}', b"\xff\xfe"],
)  # fmt: skip
def test_what_is_not_a_trust_file_is_refused(tmp_path, content):
    file = tmp_path / TRUST_FILE
    file.write_bytes(content)
    with pytest.raises(KeyFileError, match="found something else"):
        read_trust(file)


def test_a_role_may_trust_several_keys(tmp_path):
    file = tmp_path / TRUST_FILE
    file.write_text(json.dumps({"targets": ["ab" * 32, "cd" * 32], "flags": []}))
    assert read_trust(file) == {"targets": (b"\xab" * 32, b"\xcd" * 32), "flags": ()}


@pytest.mark.parametrize("mode", [0o660, 0o604, 0o644])
def test_a_signing_key_that_others_may_read_is_refused(tmp_path, mode):
    init_keys(tmp_path)
    key_file(tmp_path, ROLE_FLAGS).chmod(mode)
    with pytest.raises(KeyFileError, match="only its owner"):
        read_signer(tmp_path, ROLE_FLAGS)


def test_a_service_may_read_its_key_as_a_member_of_a_group(tmp_path):
    init_keys(tmp_path)
    key_file(tmp_path, ROLE_FLAGS).chmod(0o640)
    assert read_signer(tmp_path, ROLE_FLAGS).seal(b"flags")
