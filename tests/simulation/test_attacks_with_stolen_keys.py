"""Attacks with keys that were stolen, and how the next root ends them (TUF 1.5.2, Uptane 4.3: key compromise).

Every test ends with the honest article going in by the same way, so that nothing is refused because
nothing works.
"""

from hashlib import sha256

import pytest

from devicesdk.bundle.roles import (
    Quorum,
    listed,
    make_root,
    make_targets,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Signer
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import KillList
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from tests_kit.attacks import EVIL, NEW, OLD, STRANGER, accepts, forged_head, refuses, rig_of
from tests_kit.role_rig import NOW_MS, YEAR_MS, key


@pytest.mark.parametrize("case", ["one of three", "only the new", "only the old", "skipped"])
def test_key_compromise_of_root_keys_below_the_threshold(case):
    """One stolen root key makes no root."""
    rig = rig_of()
    repository = rig.repository
    evil = [key(81), key(82), key(83)]
    quorums = {**repository.keys.quorums(), "root": Quorum(tuple(k.public for k in evil), 2)}
    signers = {
        "one of three": [repository.keys.root[0], *evil],
        "only the new": evil,
        "only the old": repository.keys.root,
        "skipped": [*repository.keys.root, *evil],
    }[case]
    version = 3 if case == "skipped" else 2
    said = {ROLE_DIRECTOR: [STRANGER.public]}
    root = signed_by(make_root(version, quorums, said, NOW_MS, NOW_MS + YEAR_MS), *signers)
    rig.gateway.blobs[sha256(root).digest()] = (root, limits.CHUNK_BYTES_DEFAULT)
    hint = sha256(root).digest() + len(root).to_bytes(4, "big")
    rig.publish(topics.TIMESTAMP, repository.head(root=2, roots=hint))
    rig.want(EVIL, signer=STRANGER)
    refuses(rig, EVIL)
    assert rig.fetched(sha256(root).digest()), "the attack was not tried"
    assert rig.notes["role_refused"] == 1
    accepts(rig)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_key_compromise_ends_with_the_next_root(role):
    """What a revoked key signs, and what it has signed, counts for nothing."""
    rig = rig_of()
    repository = rig.repository
    stolen = {name: getattr(repository.keys, name) for name in ("targets", "snapshot", "timestamp")}
    setattr(repository.keys, role, [key(13), key(14)] if role == "targets" else key(33))
    repository.rotate()
    repository.release(OLD, NEW)
    rig.tell()
    rig.run_for(MINUTE)
    assert rig.notes["root_taken"] == 1
    by = {**{n: getattr(repository.keys, n) for n in stolen}, role: stolen[role]}
    lives = NOW_MS + YEAR_MS
    targets = signed_by(
        make_targets(9, [listed(EVIL.manifest, EVIL.envelope)], {}, NOW_MS, lives), *by["targets"]
    )
    rig.tell(
        forged_head(repository, targets, snapshot_key=by["snapshot"], timestamp_key=by["timestamp"])
    )
    rig.want(EVIL)
    refuses(rig, EVIL)
    repository.versions.update(targets=95, snapshot=95, timestamp=95)
    repository.release(OLD, NEW)
    accepts(rig)


def test_key_compromise_of_the_director_ends_with_the_next_root():
    rig = rig_of(OLD, NEW, EVIL)
    stolen = rig.repository.keys.director
    rig.repository.keys.director = Ed25519Signer(ROLE_DIRECTOR, bytes([41]) * 32)
    rig.repository.rotate()
    rig.repository.stamp()
    rig.tell()
    rig.want(EVIL, signer=stolen)
    refuses(rig, EVIL)
    accepts(rig)


def test_key_compromise_stops_an_update_that_it_has_begun():
    """A want of the revoked key is not followed to its end."""
    rig = rig_of(OLD, NEW, EVIL)
    stolen = rig.repository.keys.director
    rig.want(EVIL, signer=stolen, jitter_ms=3_600_000)
    rig.run_for(SECOND)
    rig.repository.keys.director = Ed25519Signer(ROLE_DIRECTOR, bytes([41]) * 32)
    rig.repository.rotate()
    rig.repository.stamp()
    rig.tell()
    refuses(rig, EVIL, 2 * HOUR)
    accepts(rig)


def test_key_compromise_of_the_flags_key_ends_with_the_next_root():
    rig = rig_of()
    keys = rig.repository.keys
    stolen, keys.flags = keys.flags, Ed25519Signer(ROLE_FLAGS, bytes([42]) * 32)
    rig.repository.rotate()
    rig.repository.stamp()
    rig.tell()
    rig.run_for(MINUTE)
    kill = codec.encode(KillList(version=7, features=("gauge",)))
    rig.publish(topics.KILL, stolen.seal(kill))
    rig.run_for(MINUTE)
    assert rig.agent.enabled("gauge"), "a revoked key stopped the device"
    rig.publish(topics.KILL, keys.flags.seal(kill))
    rig.run_for(MINUTE)
    assert not rig.agent.enabled("gauge")
