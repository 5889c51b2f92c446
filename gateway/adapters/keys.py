"""Signing keys as files: made once, never overwritten, read by whoever may hold them.

Decides the files of a key folder. Leaves out certificates for the broker (certificates.py) and what a
signature covers (devicesdk/bundle/trust.py).

    targets.key   signs manifests. Must stay offline: whoever holds it can put any model on any device
    director.key  signs each device's want; the gateway holds it
    flags.key     signs flag snapshots and kill lists; the gateway's control part holds it
    trust.json    public keys by role, for devices: {"targets": ["<64 hex digits>"], ...}
    audit.key     signs the heads of the audit log; the gateway holds it
    audit-trust.json  its public key, for whoever verifies the log

Rules: a key file is 64 hex digits and a line end, readable by its owner alone; a role is a list of
public keys in the trust file, so that a new key can be trusted before the old one goes.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS, Ed25519Signer
from gateway.adapters.folders import sync_folder
from gateway.core.audit.chain import ROLE_AUDIT

ROLES: Final = (ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS)
OFFLINE_ROLES: Final = (ROLE_TARGETS,)
"""Roles whose key no gateway may hold."""
TRUST_FILE: Final = "trust.json"
AUDIT_TRUST_FILE: Final = "audit-trust.json"
PUBLIC_FILES: Final = (TRUST_FILE, AUDIT_TRUST_FILE)
MAKING_FOLDER: Final = ".making"
"""Where `write_together` writes: a part, good for nothing."""
MADE_FOLDER: Final = ".made"
"""The whole, on its way to its place."""
SEED_BYTES: Final = 32
OWNER_ONLY: Final = 0o600
EVERYBODY_READS: Final = 0o644
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_STRANGERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""A group may read the key of a service: orchestrators hand secrets to accounts that way (``fsGroup``)."""


class KeyFileError(RuntimeError):
    """A key file is missing, exists already, or is not one."""


def key_file(folder: Path, role: str) -> Path:
    """Where the private key of `role` lies."""
    return folder / f"{role}.key"


def init_keys(folder: Path) -> tuple[Path, ...]:
    """Make a key for each of `ROLES` and the trust file that names them; and the same for the audit log.

    Returns:
        The files written.

    Raises:
        KeyFileError: one of them exists; nothing was written.
    """
    kinds = ((ROLES, folder / TRUST_FILE), ((ROLE_AUDIT,), folder / AUDIT_TRUST_FILE))
    files = [key_file(folder, role) for roles, _ in kinds for role in roles]
    trusts = [trust for _, trust in kinds]
    refuse_existing(*files, *trusts)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for roles, trust in kinds:
        public = {}
        for role in roles:
            key = Ed25519PrivateKey.generate()
            secret = key.private_bytes_raw().hex().encode() + b"\n"
            write_new(key_file(folder, role), secret, OWNER_ONLY)
            public[role] = [key.public_key().public_bytes_raw().hex()]
        write_new(trust, json.dumps(public, indent=2).encode() + b"\n", EVERYBODY_READS)
    return (*files, *trusts)


def read_signer(folder: Path, role: str) -> Ed25519Signer:
    """The private key of `role`, ready to sign.

    Raises:
        KeyFileError: missing, open to others, or not a key.
    """
    file = key_file(folder, role)
    try:
        seed = bytes.fromhex(file.read_text().strip())
    except FileNotFoundError:
        raise KeyFileError(
            f"expected the {role} key in {file}, found no such file: "
            f"make keys with `fleetdrill keys init {folder}`"
        ) from None
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise KeyFileError(f"expected {2 * SEED_BYTES} hex digits in {file}, found something else")
    refuse_open(file, _STRANGERS)
    return Ed25519Signer(role, seed)


def read_trust(file: Path) -> dict[str, tuple[bytes, ...]]:
    """The public keys by role that a trust file names, as `Ed25519Verifier` takes them.

    Raises:
        KeyFileError: missing, or not a trust file.
    """
    try:
        roles = json.loads(file.read_bytes())
        keys = {
            str(role): tuple(bytes.fromhex(word) for word in words) for role, words in roles.items()
        }
    except FileNotFoundError:
        raise KeyFileError(
            f"expected public keys in {file}, found no such file: copy {TRUST_FILE} there from the "
            f"folder that `fleetdrill keys init` made"
        ) from None
    except (ValueError, TypeError, AttributeError):
        keys = {"": (b"",)}
    if any(len(key) != SEED_BYTES for words in keys.values() for key in words):
        raise KeyFileError(
            f'expected {file} to be like {{"{ROLE_TARGETS}": ["<{2 * SEED_BYTES} hex digits>"]}}, '
            f"found something else"
        )
    return keys


def refuse_existing(*files: Path) -> None:
    """Raise `KeyFileError` if one of `files` exists: keys are never overwritten."""
    for file in files:
        if file.exists():
            raise KeyFileError(
                f"expected no {file} yet, found one: keys are never overwritten; move it away if you "
                f"mean to replace it"
            )


def refuse_open(file: Path, others: int = _OTHERS) -> None:
    """Raise `KeyFileError` if a private key is missing, or its mode grants any of these bits to `others`."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise KeyFileError(f"expected a private key in {file}, found no such file") from None
    if mode & others:
        raise KeyFileError(
            f"expected that only its owner may read {file}, found mode {stat.S_IMODE(mode):o}: whoever "
            f"read it can sign; rotate the key, or chmod 600 if you are sure that nobody did"
        )


def write_new(file: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist, with `mode` from its first byte on.

    Raises:
        KeyFileError: it exists.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        refuse_existing(file)
        raise
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def write_together(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write files that must all be there or none, whenever this process is killed; none may exist.

    They are written aside, which `finish_together` forgets or brings to an end.

    Args:
        folder: where; it exists.
        files: content and mode by name.

    Raises:
        KeyFileError: one exists.
    """
    making = folder / MAKING_FOLDER
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    for name, (content, mode) in files.items():
        write_new(making / name, content, mode)
    sync_folder(making)
    making.rename(folder / MADE_FOLDER)
    finish_together(folder)


def finish_together(folder: Path) -> None:
    """Bring to its end what `write_together` was killed over; nothing that lies in the folder is touched.

    Raises:
        KeyFileError: somebody put another file where one of these belongs.
    """
    made = folder / MADE_FOLDER
    if not made.is_dir():
        return
    left = sorted(made.iterdir())
    taken = [file.name for file in left if (folder / file.name).exists()]
    if taken:
        raise KeyFileError(
            f"expected no {', '.join(taken)} in {folder}, because a start that was killed had made others, which lie in "
            f"{made}: remove that folder if yours are the ones to use, or yours if nobody was told of them"
        )
    for file in left:
        file.rename(folder / file.name)
    sync_folder(folder)
    made.rmdir()
