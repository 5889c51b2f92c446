"""How a device keeps up with the roles. Attacks and absences: tests/simulation."""

from hashlib import sha256

import pytest

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent import trust
from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.download import Download
from devicesdk.agent.snapshot import State
from devicesdk.bundle.roles import Listed
from devicesdk.bundle.trust import ROLE_FLAGS, Ed25519Signer
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import KillList, UpdateState
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from tests_kit.agent_bundles import SIGNERS, Bundle, identity_of, shared_of, want_of
from tests_kit.agent_rig import Rig
from tests_kit.role_rig import NOBODY, NOW_MS, Repository, RoleRig, key

OLD, NEW = Bundle(1, 40_000), Bundle(2, 200_000)


@pytest.fixture
def rig():
    return RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD).start()


def test_a_device_without_a_root_is_what_it_was():
    rig = Rig(NEW, factory=OLD)
    rig.boot()
    rig.publish(topics.TIMESTAMP, b"whatever")
    rig.publish(topics.WANT, want_of(NEW))
    rig.run(lambda: rig.committed(NEW))
    assert rig.agent.garbage == 0
    assert rig.disk.read("trust") is None


def test_only_a_device_with_a_root_listens_to_the_timestamp():
    repository = Repository(OLD)
    for anchor, listens in ((None, False), (repository.anchor, True)):
        agent = Agent(AgentConfig(), identity_of(None), NOBODY, 7, anchor=anchor)
        agent.handle(hear.Booted(1, None, True, hear.Conditions()), 0)
        now = agent.deadline()[0]
        agent.handle(hear.DeadlineReached(), now)
        said = agent.handle(hear.Connected(False), now)
        (filters,) = [effect.filters for effect in said if isinstance(effect, ask.Subscribe)]
        assert ("fd/main/t/timestamp" in filters) is listens
        assert filters[0] == "fd/main/k"


def test_without_a_word_of_the_roles_nothing_is_installed():
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD)
    rig.boot()
    rig.want(NEW)
    rig.run_for(MINUTE)
    assert (rig.reported().state, rig.reported().reason) == (UpdateState.WAITING, trust.WAITS)
    rig.tell()
    assert rig.settles(NEW)


def test_nothing_is_written_before_something_was_taken_in(rig):
    rig.run_for(MINUTE)
    assert rig.disk.read("trust") is None
    rig.want(NEW)
    assert rig.settles(NEW)
    saved = rig.disk.read("trust")
    rig.boot()
    rig.run_for(MINUTE)
    rig.want(OLD, back=True)
    assert rig.settles(OLD)
    assert rig.disk.read("trust") == saved


def test_a_root_is_fetched_at_once_and_alone(rig):
    rig.repository.rotate()
    rig.tell()
    rig.run_for(SECOND)
    assert rig.notes["root_taken"] == 1
    assert [get.blob for get in rig.gateway.gets] == [sha256(rig.repository.roots[1]).digest()]
    assert rig.anchor.load(rig.disk.read("trust")).version == 2


def test_a_root_interrupts_an_image_which_goes_on_where_it_stopped(rig):
    rig.want(NEW)
    image = sha256(NEW.image).digest()
    rig.run(lambda: any(name == image[:8] for name, _ in rig.chunks))
    rig.repository.rotate()
    rig.tell()
    assert rig.settles(NEW)
    order = [get.blob for get in rig.gateway.gets]
    root = order.index(sha256(rig.repository.roots[1]).digest())
    assert image in order[:root]
    assert image in order[root:]


def test_a_root_comes_also_while_an_update_must_wait(rig):
    rig.want(NEW, hold=True)
    rig.run_for(MINUTE)
    rig.repository.rotate()
    rig.tell()
    rig.run_for(MINUTE)
    assert rig.notes["root_taken"] == 1
    assert rig.reported().reason == "hold"


def test_what_cannot_be_fetched_is_tried_again_later_and_later(rig):
    rig.repository.rotate()
    root = rig.repository.roots[1]
    rig.publish(topics.TIMESTAMP, rig.repository.head())
    rig.run_for(12 * HOUR)
    late = rig.notes["role_late"]
    assert 2 <= late < 20, f"{late} tries in twelve hours"
    rig.want(NEW)
    rig.run_for(SECOND)
    assert rig.reported().reason == trust.WAITS
    rig.serve()
    assert rig.settles(NEW, 3 * 3600)
    assert rig.fetched(sha256(root).digest())


def test_a_root_that_cannot_be_reached_from_ours_is_told_and_nothing_of_it_believed(rig):
    """A repository that has thrown its old roots away: the way from 1 to 3 is gone, until it is back."""
    rig.repository.keys.flags = Ed25519Signer(ROLE_FLAGS, bytes([9]) * 32)
    rig.repository.rotate()
    rig.repository.rotate()
    newest = rig.repository.roots[-1]
    hint = sha256(newest).digest() + len(newest).to_bytes(4, "big")
    rig.tell(roots=hint)
    kill = codec.encode(KillList(version=1, features=("gauge",)))
    rig.publish(topics.KILL, rig.repository.keys.flags.seal(kill))
    rig.run_for(HOUR)
    assert rig.notes["root_missing"] == 1, "a device that is locked out says so, once a message"
    assert rig.notes["root_taken"] == 0, "a root was believed that nobody vouches for"
    assert rig.notes["kill_obeyed"] == 0
    rig.repository.stamp()
    rig.tell()
    rig.run(lambda: rig.notes["root_taken"] == 2)
    assert rig.notes["kill_obeyed"] == 1, "what it could not judge was lost"


def test_a_message_of_a_signer_to_come_waits_for_his_root(rig):
    keys = rig.repository.keys
    keys.flags = Ed25519Signer(ROLE_FLAGS, bytes([42]) * 32)
    rig.repository.rotate()
    kill = keys.flags.seal(codec.encode(KillList(version=1, features=("gauge",))))
    rig.tell()
    rig.publish(topics.KILL, kill)
    rig.run_for(MINUTE)
    assert rig.agent.garbage == 0
    assert not rig.agent.enabled("gauge")


def test_a_message_of_nobody_is_garbage_when_no_root_names_him(rig):
    kill = codec.encode(KillList(version=1, features=("gauge",)))
    rig.publish(topics.KILL, Ed25519Signer(ROLE_FLAGS, bytes([66]) * 32).seal(kill))
    rig.run_for(SECOND)
    assert rig.agent.garbage == 1
    rig.boot()
    rig.hear(hear.Arrived(topics.KILL, Ed25519Signer(ROLE_FLAGS, bytes([66]) * 32).seal(kill)))
    assert rig.agent.garbage == 0, "no head was heard in this boot: perhaps there is such a root"
    rig.run_for(MINUTE)
    assert rig.agent.garbage >= 1
    assert rig.agent.enabled("gauge")


def test_garbage_is_garbage(rig):
    for payload in (b"", b"\xc1", b"{}", bytes(100_000)):
        before = rig.agent.garbage
        rig.hear(hear.Arrived(topics.TIMESTAMP, payload))
        assert rig.agent.garbage == before + 1
    rig.want(NEW)
    assert rig.settles(NEW)


def test_a_refused_write_is_made_again():
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD).start()
    save, refused = rig.disk.save, []

    def full(file, data):
        if file == "trust" and not refused:
            refused.append(file)
            rig.agent.handle(hear.StorageFailed(file, "full"), rig.now)
            return
        save(file, data)

    rig.disk.save = full
    rig.want(NEW)
    rig.run_for(MINUTE)
    assert refused
    rig.repository.stamp()
    rig.tell()
    rig.want(NEW)
    assert rig.settles(NEW)
    assert rig.anchor.load(rig.disk.read("trust")).targets is not None


def test_a_release_that_was_taken_off_the_list_stops_an_update_that_fetches_it(rig):
    rig.want(NEW)
    rig.run(lambda: len(rig.chunks) > 3)
    rig.repository.release(OLD)
    rig.tell()
    rig.run_for(10 * MINUTE)
    assert not rig.committed(NEW)
    assert rig.reported().reason == trust.UNLISTED
    rig.repository.release(OLD, NEW)
    rig.tell()
    assert rig.settles(NEW)


def test_a_revoked_director_key_is_forgotten_once(rig):
    rig.want(NEW, hold=True)
    rig.run_for(SECOND)
    assert rig.reported().generation == 1
    rig.repository.keys.director = Ed25519Signer("director", bytes([41]) * 32)
    rig.repository.rotate()
    rig.tell()
    rig.run_for(MINUTE)
    assert rig.reported().generation == 0
    assert rig.notes["director_revoked"] == 1
    rig.want(NEW, generation=1)
    assert rig.settles(NEW)
    rig.repository.keys.root = [key(1), key(2), key(4)]
    rig.repository.rotate()
    rig.tell()
    rig.run_for(MINUTE)
    assert rig.reported().generation == 1, "another root, and the same director"
    assert SIGNERS["director"].public != rig.repository.keys.director.public


def test_a_revoked_director_does_not_end_a_trial(rig):
    rig.want(NEW)
    rig.run(lambda: rig.reported().trial)
    rig.repository.keys.director = Ed25519Signer("director", bytes([41]) * 32)
    rig.repository.rotate()
    rig.tell()
    assert rig.settles(NEW), "it was listed, fetched and validated"


def test_releases_are_remembered_for_a_bounded_number_of_bundles(monkeypatch):
    monkeypatch.setattr(trust, "RELEASES_MAX", 2)
    repository, digests = Repository(), {}
    for path in ("a/1", "b/1", "a/0", "c/1"):
        digests[path] = sha256(path.encode()).digest()
    repository.release(
        entries=[
            Listed(path, digest, 1, 4 if path[0] == "b" else 1, ("*",))
            for path, digest in digests.items()
        ]
    )
    chain = (
        repository.anchor.born.with_timestamp(repository.timestamp)
        .with_snapshot(repository.snapshot)
        .with_targets(repository.targets)
    )
    shared = shared_of()
    part = trust.Trust(shared, Download(shared, None), State(), repository.anchor, chain.encoded)
    for digest in digests.values():
        part.committed(digest)
    assert dict(part.releases) == {"b": 4, "c": 1}


def test_the_time_of_a_boot_is_its_own():
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD, wall_ms=4_000_000_000_000).start()
    rig.want(NEW)
    rig.run_for(MINUTE)
    asked = rig.reported().nonce
    rig.boot()
    rig.tell()
    rig.run_for(MINUTE)
    assert rig.reported().nonce not in (0, asked)
    rig.want(NEW, nonce=asked, issued_ms=NOW_MS)
    rig.run_for(MINUTE)
    assert not rig.committed(NEW), "an answer to a question of an earlier boot"
    rig.answer_time(NEW, NOW_MS)
    assert rig.settles(NEW)
