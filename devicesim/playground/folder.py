"""What a playground keeps in its folder, and what is prepared there.

Decides names and what is made when. Leaves out what runs (run.py).

    keys/          all signing keys, targets.key among them: it stays with whoever plays, no gateway sees it
    bundles/       releases of the gauge reader, signed with it, ready to be published
    gateway/       the gateway's state folder; its keys/ has the two keys that a gateway holds
    gateway.toml   its configuration, written anew at each start
    gateway.log    what it says
    devices/       the flash of each device

Rules: what is there is left as it is, so that a playground goes on where it stopped; one process plays in a folder at a
time; a half made folder is made whole by the next start.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devicesdk.bundle.archive import (
    MANIFEST_FILE,
    SBOM_FILE,
    SIGNATURE_FILE,
    SUFFIX,
    file_reader,
    pack,
)
from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.manifest import encode_manifest
from devicesdk.bundle.source import BUNDLE_FILE, read_release
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS
from devicesdk.inference.source import decode_spec
from gateway.adapters.keys import (
    OWNER_ONLY,
    TRUST_FILE,
    init_keys,
    key_file,
    read_signer,
    write_new,
)

MODELS: Final = Path(__file__).parents[2] / "models"
FLEET: Final = Path(__file__).parent / "fleet.yaml"
RELEASES: Final = (
    ("gauge", "1.1.0"),
    ("gauge-poisoned", "1.2.0"),
)
"""Folder of models and version of what is prepared: a better reader, and one that is no good."""
_LOCK: Final = "playground.lock"


class Folder:
    """A playground's folder.

    Args:
        path: made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.keys, self.bundles = self.path / "keys", self.path / "bundles"
        self.gateway, self.devices = self.path / "gateway", self.path / "devices"
        self.config, self.log = self.path / "gateway.toml", self.path / "gateway.log"
        self.pid = self.path / "gateway.pid"

    def prepare(self) -> None:
        """Make what is missing.

        Raises:
            FileNotFoundError: the shipped models are not where this program was started from.
            OSError: the folder cannot be written.
        """
        for folder in (self.path, self.bundles, self.gateway, self.devices):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.keys / TRUST_FILE).exists():
            shutil.rmtree(self.keys, ignore_errors=True)
            init_keys(self.keys)
        self._hand_keys_over()
        signer = read_signer(self.keys, ROLE_TARGETS)
        for family, version in RELEASES:
            archive = self.bundles / f"gauge-{version}{SUFFIX}"
            if not archive.exists():
                members = members_of(MODELS / family / version)
                release, images = read_release(file_reader(members))
                manifest = encode_manifest(build_bundle(release, images).manifest)
                members |= {MANIFEST_FILE: manifest, SIGNATURE_FILE: signer.seal(manifest)}
                _write_whole(archive, pack(members))

    def _hand_keys_over(self) -> None:
        """Give the gateway the keys that it signs wants and flags with, and no other."""
        held = self.gateway / "keys"
        held.mkdir(mode=0o700, exist_ok=True)
        for role in (ROLE_DIRECTOR, ROLE_FLAGS):
            target = key_file(held, role)
            if not target.exists():
                write_new(target, key_file(self.keys, role).read_bytes(), OWNER_ONLY)
        if not (held / TRUST_FILE).exists():
            shutil.copyfile(self.keys / TRUST_FILE, held / TRUST_FILE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder for this process.

        Raises:
            ValueError: another one plays there.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ValueError(
                    f"expected {self.path} for this playground alone, found another one that runs there: end "
                    "it with Ctrl-C, or name another folder with --folder"
                ) from None
            yield


def members_of(release: Path) -> dict[str, bytes]:
    """A release's files by the names that an archive has for them.

    Raises:
        FileNotFoundError: there is no such release.
    """
    try:
        spec = decode_spec((release / BUNDLE_FILE).read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"expected the shipped release {release}, found none: play in a checkout of the project"
        ) from None
    files = {
        f"variants/{one.file}": one.file for one in (*spec.variants.values(), *spec.twins.values())
    }
    files |= {BUNDLE_FILE: BUNDLE_FILE, SBOM_FILE: SBOM_FILE, f"kit/{spec.kit.file}": spec.kit.file}
    return {name: (release / file).read_bytes() for name, file in files.items()}


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
