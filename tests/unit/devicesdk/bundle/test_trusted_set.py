"""What a client of the roles takes in, and what it does not. The attacks: tests/simulation/test_attacks.py."""

import json

import msgspec
import pytest

from devicesdk.bundle import trusted_set
from devicesdk.bundle.roles import make_root, make_targets, make_timestamp, signed_by
from devicesdk.bundle.trusted_set import Anchor
from devicesdk.wire import limits
from devicesdk.wire.errors import BadMessage, BadSignature
from tests_kit.agent_bundles import Bundle
from tests_kit.role_rig import DAY_MS, NOW_MS, WEEK_MS, YEAR_MS, Repository, key

OLD, NEW = Bundle(1, 1000), Bundle(2, 1000)


def chain_of(repository, chain=None):
    chain = repository.anchor.born if chain is None else chain
    return (
        chain.with_timestamp(repository.timestamp)
        .with_snapshot(repository.snapshot)
        .with_targets(repository.targets)
    )


def test_the_way_from_root_to_targets():
    repository = Repository(OLD, NEW)
    born = repository.anchor.born
    assert born.missing() is None
    assert born.listing(NEW.digest) is None
    assert born.floor_of("gauge") == 0
    stamped = born.with_timestamp(repository.timestamp)
    assert stamped.missing().role == "snapshot"
    assert stamped.missing().size_bytes == len(repository.snapshot)
    snapped = stamped.with_snapshot(repository.snapshot)
    assert snapped.missing().role == "targets"
    whole = snapped.with_targets(repository.targets)
    assert whole.missing() is None
    listing = whole.listing(NEW.digest)
    assert (listing.path, listing.release, listing.hardware) == ("gauge/1.2.0", 2, ("*",))
    assert listing.size_bytes == len(NEW.envelope)
    assert whole.listing(b"x" * 32) is None
    assert (born.floor_ms, whole.floor_ms) == (NOW_MS, NOW_MS)


def test_expiry_is_a_number_and_names_the_first_role():
    chain = chain_of(Repository(OLD))
    assert chain.expired(NOW_MS) == ""
    assert chain.expired(NOW_MS + WEEK_MS - 1) == ""
    assert chain.expired(NOW_MS + WEEK_MS) == "timestamp"
    assert chain.expired(NOW_MS + YEAR_MS) == "root"
    repository = Repository(OLD)
    repository.rotate(lives_ms=9 * YEAR_MS)
    repository.snap(lives_ms=WEEK_MS)
    repository.stamp(lives_ms=2 * YEAR_MS)
    chain = chain_of(repository, repository.anchor.born.with_root(repository.roots[1]))
    assert chain.expired(NOW_MS + WEEK_MS) == "snapshot"
    repository.snap(lives_ms=9 * YEAR_MS)
    repository.stamp(lives_ms=2 * YEAR_MS)
    late = chain.with_timestamp(repository.timestamp)
    assert late.expired(NOW_MS + WEEK_MS) == "", "what is being replaced says nothing"
    late = late.with_snapshot(repository.snapshot)
    assert late.expired(NOW_MS + YEAR_MS) == "targets"


def test_the_same_bytes_in_the_same_state_are_verified_once(monkeypatch):
    repository, anchor = Repository(OLD), Repository(OLD).anchor
    first = chain_of(repository, anchor.born)

    def never(*_):
        raise AssertionError("verified again")

    monkeypatch.setattr(trusted_set, "_check", never)
    assert chain_of(repository, anchor.born) is first
    assert anchor.head(repository.head()) is anchor.head(repository.head())


def test_what_is_remembered_is_bounded():
    repository = Repository(OLD)
    born = repository.anchor.born
    stamps = []
    for _ in range(trusted_set.SUCCESSORS_MAX + 3):
        repository.stamp()
        stamps.append(repository.timestamp)
        born.with_timestamp(repository.timestamp)
    assert len(born._next) <= trusted_set.SUCCESSORS_MAX
    assert born.with_timestamp(stamps[0]).timestamp.data == stamps[0]


def test_anchors_remember_a_bounded_number(monkeypatch):
    monkeypatch.setattr(trusted_set, "REMEMBERED_MAX", 2)
    repository = Repository(OLD)
    anchor = repository.anchor
    for _ in range(5):
        assert anchor.head(repository.stamp()).timestamp == repository.timestamp
        assert len(anchor._heads) <= 2


def test_what_was_kept_is_there_again():
    repository = Repository(OLD, NEW)
    anchor = repository.anchor
    chain = chain_of(repository, anchor.born)
    found = anchor.load(chain.encoded)
    assert found.encoded == chain.encoded
    assert found.listing(NEW.digest) == chain.listing(NEW.digest)
    assert anchor.load(chain.encoded) is found
    assert anchor.load(None) is anchor.born
    assert anchor.load(anchor.born.encoded) is anchor.born
    half = anchor.born.with_timestamp(repository.timestamp)
    assert anchor.load(half.encoded).missing().role == "snapshot"


@pytest.mark.parametrize("broken", ["nothing", "torn", "changed", "other"])
def test_what_was_kept_and_is_broken_counts_for_nothing(broken):
    repository = Repository(OLD)
    anchor = repository.anchor
    saved = chain_of(repository, anchor.born).encoded
    data = {
        "nothing": b"",
        "torn": saved[:-9],
        "changed": saved[:99] + b"\0" + saved[100:],
        "other": trusted_set._encode([]),
    }[broken]
    assert anchor.load(data) is anchor.born


def test_a_device_that_is_enrolled_anew_goes_by_the_newer_root():
    repository = Repository(OLD)
    saved = chain_of(repository).encoded
    repository.rotate()
    assert Anchor(repository.roots[1]).load(saved).version == 2


def test_a_kept_root_that_was_forged_on_the_device_counts_for_nothing():
    repository = Repository(OLD)
    forged = make_root(9, repository.keys.quorums(), {}, NOW_MS, NOW_MS + YEAR_MS)
    body = msgspec.msgpack.encode([forged])
    saved = body + trusted_set.sha256(body).digest()[: trusted_set.CHECK_BYTES]
    assert repository.anchor.load(saved).version == 1


def test_a_root_must_be_the_next_and_signed_by_both():
    repository = Repository(OLD)
    born = repository.anchor.born
    repository.keys.root = [key(4), key(5), key(6)]
    repository.rotate()
    second = born.with_root(repository.roots[1])
    assert second.version == 2
    repository.rotate()
    with pytest.raises(BadMessage, match="expected root 2, found root 3"):
        Repository(OLD).anchor.born.with_root(
            signed_by(repository.roots[2], key(1), key(2), key(3))
        )
    with pytest.raises(BadSignature):
        born.with_root(repository.roots[2])
    with pytest.raises(BadMessage):
        second.with_root(repository.roots[1])
    assert second.with_root(repository.roots[2]).version == 3


def test_a_root_keeps_what_it_still_vouches_for():
    repository = Repository(OLD)
    chain = chain_of(repository)
    repository.rotate()
    kept = chain.with_root(repository.roots[1])
    assert kept.missing() is None
    assert kept.targets is not None
    assert kept.verifier is chain.verifier
    repository.keys.targets = [key(13), key(14)]
    repository.rotate()
    assert kept.with_root(repository.roots[2]).targets is None
    repository.keys.timestamp = key(33)
    repository.rotate()
    bare = kept.with_root(repository.roots[2]).with_root(repository.roots[3])
    assert (bare.timestamp, bare.snapshot, bare.targets) == (None, None, None)


def test_proved_time_falls_with_the_key_that_claimed_it():
    repository = Repository(OLD)
    repository.now_ms += 100 * YEAR_MS
    chain = repository.anchor.born.with_timestamp(
        signed_by(
            make_timestamp(7, repository.snapshot, repository.now_ms, repository.now_ms + DAY_MS),
            repository.keys.timestamp,
        )
    )
    assert chain.floor_ms == NOW_MS + 100 * YEAR_MS
    repository.now_ms = NOW_MS + DAY_MS
    repository.keys.timestamp = key(33)
    repository.rotate()
    assert chain.with_root(repository.roots[1]).floor_ms == NOW_MS + DAY_MS


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_each_role_has_its_bound_and_its_kind(role):
    repository = Repository(OLD)
    chain = repository.anchor.born
    take = {
        "root": chain.with_root,
        "timestamp": chain.with_timestamp,
        "snapshot": chain.with_timestamp(repository.timestamp).with_snapshot,
        "targets": chain.with_timestamp(repository.timestamp)
        .with_snapshot(repository.snapshot)
        .with_targets,
    }[role]
    for data in (b"", b"{}", b"[" * 100_000, bytes(2_000_000), repository.head()):
        with pytest.raises(BadMessage):
            take(data)
    other = repository.targets if role != "targets" else repository.snapshot
    with pytest.raises(BadMessage):
        take(other)


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ({"issued_ms": "soon"}, "int"),
        ({"keys": {"director": ["abcd"]}}, "32 bytes"),
        ({"keys": {"director": ["no hex"]}}, "hex"),
        ({"floors": {"gauge": "high"}}, "int"),
    ],
)
def test_our_own_section_is_checked(custom, said):
    repository = Repository(OLD)
    body = json.loads(repository.roots[0])
    body["signed"]["fleetdrill"] = custom
    data = signed_by(json.dumps({**body, "signatures": []}).encode(), *repository.keys.root)
    with pytest.raises(BadMessage, match=said):
        Anchor(data)


def test_a_manifest_has_one_name():
    repository = Repository()
    one = make_targets(1, [], {}, NOW_MS, NOW_MS + YEAR_MS)
    body = json.loads(one)
    entry = {
        "length": 5,
        "hashes": {"sha256": "ab" * 32},
        "custom": {"fleetdrill": {"release": 1, "hardware": ["*"]}},
    }
    body["signed"]["targets"] = {"a/1.0.0": entry, "b/1.0.0": entry}
    data = signed_by(json.dumps(body).encode(), *repository.keys.targets)
    with pytest.raises(BadMessage, match="one name"):
        repository.anchor.born.check_targets(data)


@pytest.mark.parametrize(
    "change",
    [
        {"length": limits.SNAPSHOT_ROLE_BYTES_MAX + 1},
        {"length": 1, "hashes": {"sha512": "ab"}},
        {"hashes": {"sha256": "xy" * 32}},
    ],
)
def test_what_a_timestamp_names_can_be_fetched_within_bounds(change):
    repository = Repository(OLD)
    body = json.loads(repository.timestamp)
    body["signed"]["meta"]["snapshot.json"].update(change)
    data = signed_by(json.dumps({**body, "signatures": []}).encode(), repository.keys.timestamp)
    with pytest.raises(BadMessage):
        repository.anchor.born.with_timestamp(data)


def test_a_snapshot_without_targets_is_none():
    repository = Repository(OLD)
    body = json.loads(repository.snapshot)
    body["signed"]["meta"] = {"other.json": body["signed"]["meta"]["targets.json"]}
    snapshot = signed_by(json.dumps({**body, "signatures": []}).encode(), repository.keys.snapshot)
    stamp = signed_by(
        make_timestamp(9, snapshot, NOW_MS, NOW_MS + DAY_MS), repository.keys.timestamp
    )
    with pytest.raises(BadMessage, match=r"targets\.json"):
        repository.anchor.born.with_timestamp(stamp).with_snapshot(snapshot)
