"""A playground's folder: whole, kept, and with the keys where they belong."""

import pytest

from devicesdk.bundle.archive import SIGNATURE_FILE, unpack
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Verifier
from devicesdk.wire import limits
from devicesim.playground.folder import Folder, members_of
from gateway.adapters.keys import read_trust


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "play")
    made.prepare()
    return made


def contents(folder):
    return {str(p): p.read_bytes() for p in sorted(folder.path.rglob("*")) if p.is_file()}


def test_its_bundles_are_signed_by_a_key_that_no_gateway_holds(folder):
    verifier = Ed25519Verifier(read_trust(folder.gateway / "keys" / "trust.json"))
    versions = []
    for archive in sorted(folder.bundles.glob("*.zip")):
        envelope = unpack(archive.read_bytes())[SIGNATURE_FILE]
        signed = verifier.open(ROLE_TARGETS, envelope, limits.MANIFEST_BYTES_MAX + 1024)
        versions.append(decode_manifest(signed).name)
    assert versions == ["gauge@1.1.0", "gauge@1.2.0"]
    held = sorted(p.name for p in (folder.gateway / "keys").iterdir())
    assert held == ["director.key", "flags.key", "trust.json"], "the gateway holds another key"


def test_what_is_there_is_left_as_it_is_and_what_is_missing_is_made(folder):
    before = contents(folder)
    folder.prepare()
    assert contents(folder) == before
    (folder.bundles / "gauge-1.1.0.zip").unlink()
    folder.prepare()
    assert contents(folder) == before, "the same files and key make the same archive"


def test_two_cannot_play_in_it_at_once(folder):
    other = Folder(folder.path)
    with folder.held(), pytest.raises(ValueError, match="another one"), other.held():
        raise AssertionError("both play")
    with other.held():
        pass


def test_without_the_shipped_models_it_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkout"):
        members_of(tmp_path / "gauge" / "9.9.9")
