"""The harness's repository is one that a device believes, and its forgeries are none."""

from __future__ import annotations

import pytest

from devicesdk.bundle.roles import ROOT, show
from devicesdk.bundle.trust import ROLE_FLAGS, ROLE_TARGETS, Ed25519Signer
from devicesdk.wire import codec
from devicesdk.wire.messages import TrustHead
from gateway.conform.parcels import make_parcel
from gateway.conform.repository import FOLDER, SEED_FILE, Repository

NOW_MS = 1_750_000_000_000


def head(repository, *more):
    return codec.decode(TrustHead, repository.head(*more))


def test_it_is_the_same_one_in_a_later_run_and_its_versions_grow(tmp_path):
    first = Repository(tmp_path, NOW_MS)
    first.rotate()
    again = Repository(tmp_path, NOW_MS + 60_000)
    assert again.roots == first.roots
    assert again.anchor.read_bytes() == first.roots[0]
    assert again.signer(ROLE_FLAGS).public == first.signer(ROLE_FLAGS).public
    old, new = (show(head(one).timestamp).version for one in (first, again))
    assert new > old


def test_a_rotation_changes_who_signs_and_a_forged_root_has_too_few_signatures(tmp_path):
    repository = Repository(tmp_path, NOW_MS)
    before = repository.signer(ROLE_FLAGS).public
    forged = show(repository.forged_root())
    repository.rotate()
    real = show(repository.roots[1])
    assert repository.signer(ROLE_FLAGS).public != before
    assert repository.signer(ROLE_FLAGS, 1).public == before
    needed = real.quorums[ROOT].threshold
    assert (forged.version, len(forged.signers)) == (2, needed - 1)
    assert (real.version, len(real.signers)) == (2, needed)


def test_the_head_names_all_roots_the_newest_first_and_those_that_are_added(tmp_path):
    repository = Repository(tmp_path, NOW_MS)
    forged = repository.forged_root()
    said = head(repository, forged)
    assert said.root == 2
    blobs = {blob.digest: blob.data for blob in repository.blobs(forged)}
    for version, root in ((1, repository.roots[0]), (2, forged)):
        digest, size = said.root_blob(version)
        assert (blobs[digest], size) == (root, len(root))


def test_targets_list_what_was_released_and_nothing_else(tmp_path):
    repository = Repository(tmp_path, NOW_MS)
    assert show(head(repository).targets).listed == ()
    signer = Ed25519Signer(ROLE_TARGETS, bytes(32))
    for number in (1, 2):
        parcel = make_parcel(number, signer, hardware=("rpi4",))
        repository.release(parcel)
        (entry,) = show(head(repository).targets).listed
        assert (entry.digest, entry.release, entry.hardware) == (parcel.digest, number, ("rpi4",))


def test_a_seed_that_is_none_is_an_error_that_says_what_to_do(tmp_path):
    Repository(tmp_path, NOW_MS)
    (tmp_path / FOLDER / SEED_FILE).write_bytes(b"short")
    with pytest.raises(ValueError, match=r"expected 32 bytes.*found 5; remove"):
        Repository(tmp_path, NOW_MS)
