"""Making role metadata."""

import pytest

from devicesdk.bundle.roles import (
    Listed,
    OnlineRoles,
    is_root,
    listed,
    make_targets,
    path_of,
    public_key,
    show,
    signed_by,
    version_of,
)
from devicesdk.wire.errors import BadMessage
from tests_kit.agent_bundles import Bundle
from tests_kit.role_rig import DAY_MS, NOW_MS, Repository, key

NEW = Bundle(2, 1000, hardware=("pi", "esp32"))


def test_the_same_inputs_give_the_same_bytes():
    one, other = Repository(NEW), Repository(NEW)
    assert one.head() == other.head()
    assert one.roots == other.roots


def test_a_signature_is_added_and_made_again_replaced():
    draft = make_targets(1, [], {}, NOW_MS, NOW_MS + DAY_MS)
    assert show(draft).signers == ()
    once = signed_by(draft, key(11))
    assert signed_by(once, key(11)) == once
    both = signed_by(once, key(12))
    assert show(both).signers == (key(11).id, key(12).id)


def test_what_a_manifest_is_listed_as():
    one = listed(NEW.manifest, NEW.envelope)
    assert one == Listed("gauge/1.2.0", NEW.digest, len(NEW.envelope), 2, ("pi", "esp32"))
    assert path_of(NEW.manifest) == one.path


def test_metadata_are_shown_as_they_are():
    repository = Repository(NEW)
    repository.release(NEW, floors={"gauge": 2})
    root, targets = show(repository.roots[0]), show(repository.targets)
    assert (root.role, root.version, root.issued_ms) == ("root", 1, NOW_MS)
    assert root.quorums["root"].threshold == 2
    assert {str(k.keyid) for k in root.quorums["targets"].keys} == set(targets.signers)
    assert (targets.listed, targets.floors) == (
        (listed(NEW.manifest, NEW.envelope),), {"gauge": 2},
    )  # fmt: skip
    assert version_of(repository.targets) == 2
    assert is_root(repository.roots[0])
    assert not is_root(repository.targets)


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[" * 90_000, b"\x00"])
def test_what_is_no_metadata_is_told_so(data):
    for look in (show, is_root):
        with pytest.raises(BadMessage):
            look(data)


def test_a_public_key_has_the_name_of_its_private_one():
    raw = bytes.fromhex(key(5).public.keyval["public"])
    assert public_key(raw).keyid == key(5).id


def test_a_gateway_signs_with_its_two_keys():
    repository = Repository(NEW)
    online = OnlineRoles(repository.keys.snapshot, repository.keys.timestamp)
    snapshot = online.snapshot(7, repository.targets, NOW_MS, NOW_MS + DAY_MS)
    stamp = online.timestamp(8, snapshot, NOW_MS, NOW_MS + DAY_MS)
    chain = repository.anchor.born.with_timestamp(stamp).with_snapshot(snapshot)
    assert chain.missing().role == "targets"
    assert (chain.timestamp.signed.version, chain.snapshot.signed.version) == (8, 7)
