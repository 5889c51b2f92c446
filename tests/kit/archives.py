"""Signed archives of the shipped gauge reader, and what is wrong with others."""

from __future__ import annotations

from devicesdk.bundle.archive import MANIFEST_FILE, SIGNATURE_FILE, file_reader, pack
from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.manifest import encode_manifest
from devicesdk.bundle.source import read_release
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer
from devicesim.playground.folder import MODELS, members_of
from tests_kit.agent_bundles import SIGNERS

STRANGER = Ed25519Signer(ROLE_TARGETS, bytes([99]) * 32)


def archive(
    version: str = "1.0.0",
    *,
    family: str = "gauge",
    signer: Ed25519Signer | None = SIGNERS[ROLE_TARGETS],
) -> bytes:
    """The archive of a release; without a signer it is not signed."""
    members = members_of(MODELS / family / version)
    release, images = read_release(file_reader(members))
    manifest = encode_manifest(build_bundle(release, images).manifest)
    members[MANIFEST_FILE] = manifest
    if signer is not None:
        members[SIGNATURE_FILE] = signer.seal(manifest)
    return pack(members)
