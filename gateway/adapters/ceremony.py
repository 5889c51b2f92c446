"""Key ceremonies: the TUF roles of a fleet as files, signed by people who each hold a key.

Decides the files of a ceremony's folder and what each step changes. Leaves out the contents of metadata
(devicesdk/bundle/roles.py), what a gateway does with them (gateway/core/control/trust.py) and the keys of
a gateway without roles (keys.py), in whose folder these lie.

    offline/root-1.pem ...     root and targets keys: PKCS 8, encrypted with a passphrase; keep them apart,
    offline/targets-1.pem ...  and on no machine that a gateway runs on
    snapshot.key timestamp.key online: the gateway holds them, like director.key and flags.key
    roles/1.root.json ...      every root; devices are enrolled with the newest: roles/root.json
    roles/targets.json         what may be installed

Rules: nothing is overwritten but metadata that gains a signature, and ``root.json`` and ``targets.json`` by
their successors; a key file that others may read is refused, as is a passphrase too short to be one; who
signs is told by key id, and a key that nobody asked for does not sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devicesdk.bundle.roles import (
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Listed,
    OnlineRoles,
    Quorum,
    RoleKey,
    Shown,
    good_signatures,
    make_root,
    make_targets,
    show,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from devicesdk.wire.limits import ROOT_ROLE_BYTES_MAX, TARGETS_ROLE_BYTES_MAX
from gateway.adapters.keys import (
    EVERYBODY_READS,
    OWNER_ONLY,
    SEED_BYTES,
    KeyFileError,
    key_file,
    read_signer,
    refuse_open,
    write_new,
)

OFFLINE_FOLDER: Final = "offline"
ROLES_FOLDER: Final = "roles"
ROOT_FILE: Final = "root.json"
TARGETS_FILE: Final = "targets.json"
PASSPHRASE_CHARS_MIN: Final = 12
OFFLINE: Final = (ROOT, TARGETS)
ONLINE: Final = (SNAPSHOT, TIMESTAMP)
ROTATABLE: Final = (*ROLES, ROLE_DIRECTOR, ROLE_FLAGS)
_FILE_BYTES_MAX: Final = max(ROOT_ROLE_BYTES_MAX, TARGETS_ROLE_BYTES_MAX)


class Shares(NamedTuple):
    """How many keys a role has, and how many of them must sign."""

    keys: int
    threshold: int


class Dates(NamedTuple):
    """When metadata is made, and when it expires; UTC, ms."""

    issued_ms: int
    expires_ms: int


def begin(
    folder: Path, shares: dict[str, Shares], passphrase: str, dates: Dates
) -> tuple[Path, ...]:
    """Make all keys of the roles, and the first root and empty targets, signed by all offline keys.

    Raises:
        KeyFileError: something is there already, a passphrase is too short, a threshold cannot be met.
    """
    if (folder / ROLES_FOLDER).exists():
        raise KeyFileError(f"expected no roles in {folder} yet, found some: see keys rotate")
    for role, (keys, threshold) in shares.items():
        if not 1 <= threshold <= keys:
            raise KeyFileError(
                f"expected a threshold of 1 to {keys} for {role}, found {threshold}: give it more keys"
            )
    files, quorums, hands = [], {}, []
    for role in OFFLINE:
        made = [new_offline(folder, role, n + 1, passphrase) for n in range(shares[role].keys)]
        files += [file for file, _ in made]
        hands += [(role, key) for _, key in made]
        quorums[role] = Quorum(tuple(key.public for _, key in made), shares[role].threshold)
    for role in ONLINE:
        file, key = new_online(folder, role)
        files.append(file)
        quorums[role] = Quorum((key.public,))
    root = make_root(1, quorums, _said(folder), *dates)
    targets = make_targets(1, (), {}, *dates)
    for role, key in hands:
        root = key.sign(root) if role == ROOT else root
        targets = key.sign(targets) if role == TARGETS else targets
    return (
        *files,
        *keep_root(folder, 1, root),
        keep(folder / ROLES_FOLDER / TARGETS_FILE, targets),
    )


def rotate(folder: Path, roles: Iterable[str], passphrase: str, dates: Dates) -> tuple[Path, ...]:
    """Make new keys for these roles (none: the root only lives longer), and a draft of the next root.

    The draft has no signatures: `sign` adds them, by old and new root keys up to both thresholds.

    Returns:
        The draft, and the new key files.

    Raises:
        KeyFileError: there is no root to follow, or its successor exists.
    """
    before, roles = show(read(folder / ROLES_FOLDER / ROOT_FILE)), tuple(roles)
    version = before.version + 1
    _refuse_earlier(dates, before)
    if any(role in OFFLINE for role in roles):
        _refuse_short(passphrase)
    draft_file = folder / ROLES_FOLDER / f"{version}.root.json"
    if draft_file.exists():
        raise KeyFileError(f"expected no {draft_file} yet, found one: sign it first, or delete it")
    quorums, files = dict(before.quorums), []
    for role in roles:
        if role in OFFLINE:
            old = quorums[role]
            count = _made_so_far(folder, role)
            made = [
                new_offline(folder, role, count + n + 1, passphrase) for n in range(len(old.keys))
            ]
            files += [file for file, _ in made]
            quorums[role] = Quorum(tuple(key.public for _, key in made), old.threshold)
        else:
            _retire(folder, role, before.version)
            file, key = new_online(folder, role)
            files.append(file)
            if role in ONLINE:
                quorums[role] = Quorum((key.public,))
    draft = make_root(version, quorums, _said(folder), *dates)
    return (keep(draft_file, draft), *files)


def sign(file: Path, keys: Iterable[Path], passphrase: str, folder: Path) -> Shown:
    """Add signatures to metadata; a root that reaches both thresholds becomes ``root.json``, unless that
    one is newer.

    Returns:
        What the metadata is and who has signed it now.

    Raises:
        KeyFileError: a key file is missing, open to others, of another passphrase, or not asked for; or
            the root before this one is not there.
    """
    data = read(file)
    for one in keys:
        key = read_offline(one, passphrase)
        asked = _asked(show(data), folder)
        if key.id not in asked:
            raise KeyFileError(
                f"expected a key that {file} asks for, found {one} ({key.id[:8]}); it asks for "
                f"{', '.join(sorted(ident[:8] for ident in asked))}"
            )
        data = key.sign(data)
    keep(file, data)
    shown = show(data)
    newest = file.parent / ROOT_FILE
    superseded = newest.exists() and show(read(newest)).version > shown.version
    if shown.role == ROOT and not superseded and not missing(shown, folder):
        keep(newest, data)
    return shown


def release(
    folder: Path,
    manifests: Iterable[Listed],
    drop: Iterable[str],
    floors: dict[str, int],
    dates: Dates,
) -> Path:
    """Draft the next targets: those of now, with these manifests and without those paths.

    Raises:
        KeyFileError: there are no targets to follow, or nothing of that path is listed.
    """
    file = folder / ROLES_FOLDER / TARGETS_FILE
    before = show(read(file))
    _refuse_earlier(dates, before)
    listing = {one.path: one for one in before.listed}
    for path in drop:
        if listing.pop(path, None) is None:
            known = ", ".join(sorted(listing)) or "nothing"
            raise KeyFileError(f"expected a path that is listed ({known}), found {path}")
    listing |= {one.path: one for one in manifests}
    lowest = {**before.floors, **floors}
    return keep(file, make_targets(before.version + 1, listing.values(), lowest, *dates))


def missing(shown: Shown, folder: Path) -> int:
    """How many signatures metadata lacks still: of the root of now, and for a root of itself too.

    Only signatures that hold count: of these bytes, by that key.
    """
    lacks = [
        max(0, quorum.threshold - good_signatures(shown.data, quorum))
        for quorum in _quorums(shown, folder)
    ]
    return max(lacks)


def online_roles(folder: Path) -> OnlineRoles | None:
    """What a gateway signs snapshots and timestamps with; None when the folder has no such keys.

    Raises:
        KeyFileError: one of the two is missing, or others may read it.
    """
    if not any(key_file(folder, role).exists() for role in ONLINE):
        return None
    return OnlineRoles(*(_read_online(folder, role) for role in ONLINE))


# -- files ------------------------------------------------------------------------------------------


def new_offline(folder: Path, role: str, number: int, passphrase: str) -> tuple[Path, RoleKey]:
    """Make one key of a role, encrypted.

    Raises:
        KeyFileError: the file exists, or the passphrase is too short.
    """
    _refuse_short(passphrase)
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    file = folder / OFFLINE_FOLDER / f"{role}-{number}.pem"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_new(file, content, OWNER_ONLY)
    return file, RoleKey(key.private_bytes_raw())


def new_online(folder: Path, role: str) -> tuple[Path, RoleKey]:
    """Make the online key of a role.

    Raises:
        KeyFileError: the file exists.
    """
    seed = Ed25519PrivateKey.generate().private_bytes_raw()
    file = key_file(folder, role)
    write_new(file, seed.hex().encode() + b"\n", OWNER_ONLY)
    return file, RoleKey(seed)


def read_offline(file: Path, passphrase: str) -> RoleKey:
    """Open an encrypted key.

    Raises:
        KeyFileError: missing, open to others, of another passphrase, or not an Ed25519 key.
    """
    refuse_open(file)
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), passphrase.encode())
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"expected the passphrase of the key in {file}, found: {error}"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"expected an Ed25519 key in {file}, found another kind")
    return RoleKey(key.private_bytes_raw())


def keep_root(folder: Path, version: int, data: bytes) -> tuple[Path, Path]:
    """Store a root under its number, and as the newest."""
    roles = folder / ROLES_FOLDER
    return keep(roles / f"{version}.root.json", data), keep(roles / ROOT_FILE, data)


def keep(file: Path, data: bytes) -> Path:
    """Replace metadata, whole or not at all."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    write_new(new, data + b"\n", EVERYBODY_READS)
    new.replace(file)
    return file


def read(file: Path) -> bytes:
    """Read metadata.

    Raises:
        KeyFileError: missing, or too large to be any.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyFileError(
            f"expected role metadata in {file}, found no such file: `fleetdrill keys init --roles` "
            f"makes the first"
        ) from None
    if len(data) > _FILE_BYTES_MAX:
        raise KeyFileError(f"expected at most {_FILE_BYTES_MAX} bytes in {file}, found more")
    return data.strip()


def _read_online(folder: Path, role: str) -> RoleKey:
    file = key_file(folder, role)
    refuse_open(file)
    seed = bytes.fromhex(file.read_text().strip())
    if len(seed) != SEED_BYTES:
        raise KeyFileError(f"expected {2 * SEED_BYTES} hex digits in {file}, found something else")
    return RoleKey(seed)


def _said(folder: Path) -> dict[str, Any]:
    return {role: [read_signer(folder, role).public] for role in (ROLE_DIRECTOR, ROLE_FLAGS)}


def _retire(folder: Path, role: str, root: int) -> None:
    """Put an online key aside under the number of the last root that names it; where that one was put
    aside before, this is the key of a draft that was given up."""
    file = key_file(folder, role)
    aside = file.with_name(f"{role}.until-root-{root}.key")
    number = 1
    while aside.exists():
        aside = file.with_name(f"{role}.given-up-{number}.key")
        number += 1
    file.rename(aside)


def _made_so_far(folder: Path, role: str) -> int:
    """How many keys of an offline role were ever made here: their files may be with their holders."""
    files = (folder / OFFLINE_FOLDER).glob(f"{role}-*.pem")
    numbers = [
        int(word) for word in (file.stem.partition("-")[2] for file in files) if word.isdigit()
    ]
    named = {
        str(key.keyid)
        for file in (folder / ROLES_FOLDER).glob("*.root.json")
        for key in show(read(file)).quorums[role].keys
    }
    return max([len(named), *numbers])


def _refuse_short(passphrase: str) -> None:
    if len(passphrase) < PASSPHRASE_CHARS_MIN:
        raise KeyFileError(
            f"expected a passphrase of at least {PASSPHRASE_CHARS_MIN} characters, found "
            f"{len(passphrase)}"
        )


def _refuse_earlier(dates: Dates, before: Shown) -> None:
    """Raise `KeyFileError` if metadata were older than what they follow: the clock here is wrong."""
    behind_ms = before.issued_ms - dates.issued_ms
    if behind_ms > 0:
        raise KeyFileError(
            f"expected an instant after {before.role} {before.version} was made, found one "
            f"{behind_ms / 1000:.0f} s before: set the clock of this machine"
        )


def _asked(shown: Shown, folder: Path) -> set[str]:
    return {str(key.keyid) for quorum in _quorums(shown, folder) for key in quorum.keys}


def _quorums(shown: Shown, folder: Path) -> list[Quorum]:
    """Whose signatures metadata need."""
    roles = folder / ROLES_FOLDER
    if shown.role != ROOT:
        return [show(read(roles / ROOT_FILE)).quorums[shown.role]]
    mine = shown.quorums[ROOT]
    if shown.version == 1:
        return [mine]
    before = roles / f"{shown.version - 1}.root.json"
    if not before.exists():
        raise KeyFileError(
            f"expected the root before root {shown.version} in {before}, found no such file: it says "
            f"who else must sign; copy it there"
        )
    return [mine, show(read(before)).quorums[ROOT]]
