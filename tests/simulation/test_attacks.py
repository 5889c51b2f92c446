"""The attacks that TUF (specification, 1.5.2) and Uptane (standard, 4.3) name, on a whole agent.

Each test has the name of its attack. Every one of them ends with the honest article going in by the same
way, so that nothing is refused because nothing works.
"""

import json
from hashlib import sha256

import msgspec
import pytest

from devicesdk.bundle.manifest import encode_manifest
from devicesdk.bundle.roles import (
    Listed,
    listed,
    make_snapshot,
    make_targets,
    make_timestamp,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS, Ed25519Signer
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import FlagSnapshot, KillList, UpdateState
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from tests_kit.agent_bundles import SIGNERS, Bundle
from tests_kit.attacks import (
    EVIL,
    NEW,
    OLD,
    SEEDS,
    STRANGER,
    accepts,
    flipped,
    forged_head,
    refuses,
    rig_of,
)
from tests_kit.role_rig import DAY_MS, NOW_MS, WEEK_MS, YEAR_MS, Repository, RoleRig, key


@pytest.mark.parametrize("riding", [True, False], ids=["riding", "fetched"])
def test_the_honest_article_is_installed(riding):
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD).start(riding=riding)
    rig.want(NEW)
    assert rig.settles(NEW), rig.reported()
    assert rig.fetched(sha256(rig.repository.targets).digest()) is not riding
    assert rig.disk.read("trust"), "nothing of what it trusts was kept"


@pytest.mark.parametrize("seed", SEEDS)
def test_arbitrary_installation_of_tampered_metadata(seed):
    """Every single byte of every role counts: what was changed is never acted on."""
    repository = Repository(OLD, NEW, EVIL)
    rig = RoleRig(Repository(OLD), OLD, NEW, EVIL, factory=OLD).start()
    part = ("timestamp", "snapshot", "targets")[seed % 3]
    bad = flipped(getattr(repository, part), seed)
    rig.gateway.blobs.update(repository.blobs)
    for blob in (repository.snapshot, repository.targets):
        if part != "timestamp" and blob is getattr(repository, part):
            rig.gateway.blobs[sha256(blob).digest()] = (bad, limits.CHUNK_BYTES_DEFAULT)
    rig.tell(repository.head(**{part: bad}))
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.repository.release(OLD, NEW)
    accepts(rig)


@pytest.mark.parametrize("case", ["nobody", "strangers", "one of two", "twice the same", "online"])
def test_arbitrary_installation_by_targets_that_nobody_signed(case):
    rig = rig_of()
    keys = rig.repository.keys
    signers = {
        "nobody": [],
        "strangers": [key(71), key(72)],
        "one of two": [keys.targets[0]],
        "twice the same": [keys.targets[0], keys.targets[0]],
        "online": [keys.snapshot, keys.timestamp],
    }[case]
    draft = make_targets(9, [listed(EVIL.manifest, EVIL.envelope)], {}, NOW_MS, NOW_MS + YEAR_MS)
    rig.tell(forged_head(rig.repository, signed_by(draft, *signers)))
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.repository.versions.update(targets=95, snapshot=95, timestamp=95)
    rig.repository.release(OLD, NEW)
    accepts(rig)


def test_arbitrary_installation_by_a_stolen_director():
    """The director alone decides nothing: what targets do not list is not even fetched."""
    rig = rig_of()
    rig.want(EVIL)
    refuses(rig, EVIL)
    assert not rig.fetched(EVIL.digest), "fetched a manifest that targets do not list"
    assert rig.reported().reason == "trust:unlisted"
    accepts(rig)


def test_arbitrary_installation_by_a_want_of_a_stranger():
    rig = rig_of()
    rig.want(NEW, signer=STRANGER)
    rig.want(NEW, signer=SIGNERS[ROLE_TARGETS])
    refuses(rig, NEW)
    accepts(rig)


@pytest.mark.parametrize("size", [513_000, 2**31, 2**32 - 1, 0])
def test_endless_data_of_a_root(size):
    rig = rig_of()
    hint = sha256(b"endless").digest() + size.to_bytes(4, "big")
    rig.tell(root=2, roots=hint)
    rig.run_for(MINUTE)
    assert not rig.fetched(sha256(b"endless").digest()), "asked for a root that cannot be one"
    accepts(rig)


@pytest.mark.parametrize("role", ["snapshot", "targets"])
@pytest.mark.parametrize("size", [2**20 + 1, 2**31])
def test_endless_data_of_a_role_that_stolen_keys_name(role, size):
    rig = rig_of()
    repository = rig.repository
    victim = make_snapshot(90, repository.targets, NOW_MS, NOW_MS + YEAR_MS)
    if role == "snapshot":
        victim = make_timestamp(90, repository.snapshot, NOW_MS, NOW_MS + YEAR_MS)
    body = json.loads(victim)
    (meta,) = body["signed"]["meta"].values()
    meta["length"] = size
    data = json.dumps(body).encode()
    if role == "snapshot":
        head = repository.head(timestamp=signed_by(data, repository.keys.timestamp), snapshot=b"")
    else:
        snapshot = signed_by(data, repository.keys.snapshot)
        draft = make_timestamp(90, snapshot, NOW_MS, NOW_MS + YEAR_MS)
        stamp = signed_by(draft, repository.keys.timestamp)
        head = repository.head(timestamp=stamp, snapshot=snapshot, targets=b"")
    rig.tell(head)
    rig.want(EVIL)
    refuses(rig, EVIL)
    assert all(get.base < 100 for get in rig.gateway.gets), "fetched without an end"
    repository.versions.update(snapshot=95, timestamp=95)
    repository.snap()
    accepts(rig)


@pytest.mark.parametrize("size", [limits.TRUST_HEAD_BYTES_MAX + 1, 10**6])
def test_endless_data_in_the_head(size):
    rig = rig_of()
    rig.tell(b"\x81\xa1t\xc6" + size.to_bytes(4, "big") + bytes(size))
    rig.run_for(MINUTE)
    assert rig.agent.garbage == 1
    accepts(rig)


def test_extraneous_dependencies():
    """Only what signed metadata names is ever fetched: a snapshot that names more adds nothing."""
    rig = rig_of()
    repository = rig.repository
    body = json.loads(make_snapshot(90, repository.targets, NOW_MS, NOW_MS + YEAR_MS))
    stray = sha256(EVIL.image)
    body["signed"]["meta"]["evil.json"] = {
        "version": 1, "length": len(EVIL.image), "hashes": {"sha256": stray.hexdigest()},
    }  # fmt: skip
    snapshot = signed_by(json.dumps(body).encode(), repository.keys.snapshot)
    stamp = signed_by(
        make_timestamp(90, snapshot, NOW_MS, NOW_MS + WEEK_MS), repository.keys.timestamp
    )
    rig.tell(repository.head(timestamp=stamp, snapshot=snapshot))
    rig.want(NEW)
    assert rig.settles(NEW), rig.reported()
    asked = {get.blob for get in rig.gateway.gets}
    assert asked == set(NEW.blobs), "fetched something beside manifest, hash list and image"


@pytest.mark.parametrize("part", ["variant", "kit", "baseline"])
def test_extraneous_dependencies_in_a_manifest(part):
    """A manifest with anything added is another manifest."""
    rig = rig_of()
    more = {
        "variant": {"variants": (*NEW.manifest.variants, EVIL.variant)},
        "kit": {"kit": "ab" * 32},
        "baseline": {"baseline": {"x": [1.0]}},
    }[part]
    changed = msgspec.structs.replace(NEW.manifest, **more)
    envelope = SIGNERS[ROLE_TARGETS].seal(encode_manifest(changed))
    rig.gateway.blobs[NEW.digest] = (envelope, limits.CHUNK_BYTES_DEFAULT)
    rig.want(NEW)
    refuses(rig, NEW)
    rig.gateway.blobs.update(NEW.blobs)
    accepts(rig)


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_fast_forward(role):
    """Stolen online keys raise a version to the top; replacing the keys makes room again."""
    rig = rig_of()
    repository, keys = rig.repository, rig.repository.keys
    repository.versions[role] = 2**31 - 2
    if role == "snapshot":
        repository.snap()
    rig.tell(repository.stamp())
    rig.want(NEW)
    assert rig.settles(NEW)
    repository.versions.update(snapshot=3, timestamp=3)
    repository.release(OLD, NEW, EVIL)
    rig.tell()
    rig.want(EVIL)
    refuses(rig, EVIL)
    keys.snapshot, keys.timestamp = key(22), key(32)
    repository.rotate()
    repository.snap()
    accepts(rig, EVIL)


def test_fast_forward_of_wants_and_flags():
    """Versions that a revoked key made up hold nothing down."""
    rig = rig_of()
    keys = rig.repository.keys
    rig.want(NEW, generation=2**53, hold=True)  # could not even be reported: ignored
    rig.want(NEW, generation=2**52, hold=True)
    kill = codec.encode(KillList(version=2**53, features=("polish",)))
    rig.publish(topics.KILL, keys.flags.seal(kill))
    rig.run_for(MINUTE)
    assert rig.reported().kill_version == 2**53
    keys.director = Ed25519Signer(ROLE_DIRECTOR, bytes([41]) * 32)
    keys.flags = Ed25519Signer(ROLE_FLAGS, bytes([42]) * 32)
    rig.repository.rotate()
    rig.repository.stamp()
    rig.generation = 0
    rig.tell()
    rig.publish(topics.KILL, keys.flags.seal(codec.encode(KillList(version=1))))
    accepts(rig)
    assert rig.reported().kill_version == 1


@pytest.mark.parametrize("days", [8, 30, 360])
@pytest.mark.parametrize("replayed", [False, True], ids=["silence", "replayed answer"])
def test_indefinite_freeze(days, replayed):
    """Somebody shows an old timestamp for ever, and keeps or replays the director's answers."""
    rig = rig_of(OLD, NEW, wall_ms=NOW_MS + days * DAY_MS)
    rig.want(NEW)
    rig.run_for(MINUTE)
    asked = rig.reported().nonce
    assert asked, "the time should have been asked for"
    if replayed:
        rig.want(NEW, nonce=asked - 1, issued_ms=NOW_MS + DAY_MS)
        rig.want(NEW, nonce=asked + 1, issued_ms=NOW_MS + DAY_MS)
        rig.want(NEW, nonce=asked, issued_ms=NOW_MS, signer=STRANGER)
    refuses(rig, NEW)
    rig.answer_time(NEW, NOW_MS + days * DAY_MS)
    refuses(rig, NEW)
    assert rig.reported().reason == "trust:expired"
    rig.repository.now_ms = NOW_MS + days * DAY_MS
    rig.repository.stamp()
    accepts(rig)


def test_indefinite_freeze_of_a_device_without_a_clock():
    """It cannot know by itself, but what it has proved once it does not forget: not across a boot."""
    rig = rig_of(OLD, NEW, wall_ms=None)
    stale = rig.repository.head()
    rig.repository.now_ms = NOW_MS + 30 * DAY_MS
    rig.repository.release(OLD, NEW)
    rig.tell()
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.boot()
    rig.tell(stale)
    rig.want(NEW)
    assert rig.settles(NEW), "what was newest and proved goes on to hold"


@pytest.mark.parametrize("seed", range(8))
def test_malicious_mirror(seed):
    """Whoever serves the chunks serves what he likes: everything is told by its digest."""
    rig = rig_of()
    bad = dict(rig.gateway.blobs)
    names = [NEW.digest, sha256(NEW.hashes).digest(), sha256(NEW.image).digest()]
    victim = names[seed % 3]
    data, chunk = bad[victim]
    rig.gateway.blobs[victim] = (flipped(data, seed), chunk)
    rig.want(NEW)
    refuses(rig, NEW)
    assert rig.reported().state is UpdateState.FAILED
    assert rig.reported().reason == "integrity"
    rig.gateway.blobs[victim] = (data, chunk)
    accepts(rig)


def test_malicious_mirror_of_role_metadata():
    rig = rig_of()
    repository = rig.repository
    repository.release(OLD, NEW, EVIL)
    rig.serve()
    for data in (repository.snapshot, repository.targets):
        rig.gateway.blobs[sha256(data).digest()] = (data[::-1], limits.CHUNK_BYTES_DEFAULT)
    rig.publish(topics.TIMESTAMP, repository.head(riding=False))
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.serve()
    accepts(rig, EVIL)


@pytest.mark.parametrize("part", ["snapshot", "targets"])
@pytest.mark.parametrize("riding", [True, False])
def test_mix_and_match(part, riding):
    """Metadata that were never together are not put together, all signed rightly though they are."""
    rig = rig_of(OLD, EVIL)
    repository = rig.repository
    earlier = {"snapshot": repository.snapshot, "targets": repository.targets}
    repository.release(OLD, NEW)
    rig.serve()
    if not riding:
        digest = sha256(getattr(repository, part)).digest()
        rig.gateway.blobs[digest] = (earlier[part], limits.CHUNK_BYTES_DEFAULT)
    head = repository.head(
        **({part: earlier[part]} if riding else {"snapshot": b"", "targets": b""})
    )
    if riding:
        rig.gateway.blobs.pop(sha256(getattr(repository, part)).digest())
    rig.publish(topics.TIMESTAMP, head)
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.serve()
    accepts(rig)


def test_rollback_of_the_timestamp():
    rig = rig_of(OLD, EVIL)
    stale = rig.repository.head()
    rig.repository.release(OLD, NEW)
    accepts(rig)
    rig.tell(stale)
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.boot()
    rig.tell(stale)
    refuses(rig, EVIL)
    rig.repository.release(OLD, NEW, EVIL)
    accepts(rig, EVIL)


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_rollback_of_what_stolen_online_keys_name(role):
    """Whoever has the online keys cannot bring back older snapshots or targets, rightly signed ones."""
    rig = rig_of(OLD, EVIL)
    repository = rig.repository
    targets, snapshot = repository.targets, repository.snapshot
    repository.release(OLD, NEW)
    accepts(rig)
    if role == "targets":
        head = forged_head(repository, targets)
    else:
        draft = make_timestamp(90, snapshot, NOW_MS, NOW_MS + WEEK_MS)
        stamp = signed_by(draft, repository.keys.timestamp)
        head = repository.head(timestamp=stamp, snapshot=snapshot, targets=targets)
    rig.tell(head)
    rig.want(EVIL)
    refuses(rig, EVIL)
    rig.boot()
    refuses(rig, EVIL)
    repository.versions.update(snapshot=95, timestamp=95)
    repository.release(OLD, NEW, EVIL)
    accepts(rig, EVIL)


@pytest.mark.parametrize("case", ["id", "version", "release"])
def test_wrong_software(case):
    """Targets vouch for a manifest under one name, and it says another: nobody meant that."""
    other = {"id": "polish", "version": "9.9.9", "release": 9}
    manifest = msgspec.structs.replace(NEW.manifest, **{case: other[case]})
    right = listed(NEW.manifest, NEW.envelope)
    envelope = SIGNERS[ROLE_TARGETS].seal(encode_manifest(manifest))
    rig = rig_of()
    wrong = Bundle(2, 40_000)
    wrong.envelope, wrong.digest = envelope, sha256(envelope).digest()
    rig.gateway.blobs.update(wrong.blobs)
    entry = Listed(right.path, wrong.digest, len(envelope), right.release, right.hardware)
    rig.repository.release(entries=[entry])
    rig.tell()
    rig.want(wrong)
    refuses(rig, wrong)
    assert rig.reported().reason == "manifest:disagrees"
    rig.repository.release(OLD, NEW)
    accepts(rig)


@pytest.mark.parametrize("every", [0, 5], ids=["nothing", "one in five"])
def test_slow_retrieval(every):
    """Chunks that never come, or hardly: the device gives up in bounded time, says so, and is whole."""
    rig = rig_of()
    honest, count = rig.gateway.answer, [0]

    def drip(payload):
        count[0] += 1
        return honest(payload) if every and count[0] % every == 0 else []

    rig.gateway.answer = drip
    rig.want(NEW)
    rig.run(lambda: rig.reported().state.terminal, steps_max=50_000)
    done = rig.committed(NEW)
    assert done or rig.reported().reason == "link"
    assert done is bool(every), "a trickle is a trickle, and nothing is nothing"
    rig.gateway.answer = honest
    accepts(rig, OLD if done else NEW, back=True)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_partial_bundle(missing):
    """All of it or nothing: one chunk short is not installed."""
    rig = rig_of()
    honest = rig.gateway.answer
    image = sha256(NEW.image).digest()

    def short(payload):
        frames = honest(payload)
        return [f for f in frames if codec.decode_frame(f)[0].digest8 != image[:8]
                or codec.decode_frame(f)[0].chunk != missing]  # fmt: skip

    rig.gateway.answer = short
    rig.want(NEW)
    refuses(rig, NEW, 6 * HOUR)
    rig.gateway.answer = honest
    accepts(rig)


@pytest.mark.parametrize("where", ["listing", "manifest"])
def test_wrong_hardware(where):
    """Neither targets nor manifest for another hardware class are for this device."""
    other = Bundle(2, 40_000, hardware=("esp32",))
    rig = rig_of(OLD, NEW)
    rig.gateway.blobs.update(other.blobs)
    entry = listed(other.manifest, other.envelope)
    rig.repository.release(
        entries=[entry if where == "listing" else entry._replace(hardware=("*",))]
    )
    rig.tell()
    rig.want(other)
    refuses(rig, other)
    assert (rig.reported().state, rig.reported().reason) == (UpdateState.REJECTED, "hardware")
    assert rig.fetched(other.digest) is (where == "manifest")
    rig.repository.release(OLD, NEW)
    accepts(rig)


def test_release_counter():
    """No older release than was committed, unless the director means it and targets still allow it."""
    rig = rig_of()
    accepts(rig)
    rig.want(OLD)
    refuses(rig, OLD.__class__(7))
    assert rig.reported().reason == "trust:release"
    rig.boot()
    rig.want(OLD)
    rig.run_for(10 * MINUTE)
    assert rig.reported().reason == "trust:release", "forgotten with the power"
    rig.repository.release(OLD, NEW, floors={"gauge": 2})
    rig.tell()
    rig.want(OLD, back=True)
    rig.run_for(10 * MINUTE)
    assert rig.reported().reason == "trust:floor", "the director alone lowered what targets forbid"
    assert rig.reported().running == NEW.digest
    rig.repository.release(OLD, NEW)
    accepts(rig, OLD, back=True)


@pytest.mark.parametrize("by", [-1, 1, 10**6])
def test_release_counter_of_another_length(by):
    """Director and targets must agree on the length, too."""
    rig = rig_of()
    rig.want(NEW, manifest_bytes=len(NEW.envelope) + by)
    refuses(rig, NEW)
    assert rig.reported().state is UpdateState.REJECTED
    accepts(rig)


def test_flags_that_have_expired_are_not_taken():
    rig = rig_of()
    keys = rig.repository.keys
    document = b'{"flags":{}}'
    rig.repository.now_ms = NOW_MS + 2 * DAY_MS
    rig.repository.stamp()
    accepts(rig)
    for rev, ends in ((1, NOW_MS + DAY_MS), (2, NOW_MS + 9 * DAY_MS)):
        said = FlagSnapshot(rev=rev, segment="all", document=document, not_after_ms=ends)
        rig.publish(topics.FLAGS, keys.flags.seal(codec.encode(said)))
        rig.run_for(SECOND)
        assert rig.reported().flags_rev == (rev if rev == 2 else 0)
    assert rig.notes["flags_expired"] == 1
