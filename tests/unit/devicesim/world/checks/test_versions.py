import pytest

from devicesdk.agent.effects import Note
from devicesdk.agent.notes import NoteKind
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import FlagSnapshot, Have, KillList, Signed, Want
from devicesim.world.checks.versions import VersionsRise
from gateway.core.effects import Publish
from tests_kit import worlds


@pytest.fixture
def check():
    return VersionsRise(worlds.make_world(worlds.scenario_text(count=1)))


def have(boot, seq, **numbers):
    return Have(boot_id=boot, seq=seq, **numbers)


@pytest.mark.parametrize("what", ["generation", "flags_rev", "kill_version"])
def test_a_device_never_goes_back(check, what):
    host = check.world.hosts[0]
    check.said_have(host, have(1, 1, **{what: 4}), 1)
    check.said_have(host, have(1, 2, **{what: 4}), 2)
    check.said_have(host, have(1, 1, **{what: 3}), 3)
    assert check.verdict is True, "an old report that is sent again says nothing"
    check.said_have(host, have(2, 1, **{what: 3}), 4)
    assert what.replace("_", " ") in check.story()


def test_unless_its_flash_refused_a_write_and_it_booted(check):
    host = check.world.hosts[0]
    check.said_have(host, have(1, 1, kill_version=4), 1)
    check.noted(host, Note(NoteKind.STORAGE_FAILED, 1), 2)
    check.said_have(host, have(2, 1, kill_version=3), 3)
    assert check.held
    check.said_have(host, have(3, 1, kill_version=2), 4)
    assert not check.held


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (NoteKind.DIRECTOR_REVOKED, "generation"),
        (NoteKind.FLAGS_REVOKED, "flags_rev"),
        (NoteKind.FLAGS_REVOKED, "kill_version"),
    ],
)
def test_unless_the_key_that_counted_was_revoked(check, kind, what):
    host = check.world.hosts[0]
    check.said_have(host, have(1, 1, **{what: 4}), 1)
    check.noted(host, Note(kind), 2)
    check.said_have(host, have(1, 2, **{what: 1}), 3)
    assert check.held, "a stolen key would hold numbers down for ever"
    check.said_have(host, have(1, 3, **{what: 0}), 4)
    assert not check.held, "that excuses one step"


def want(generation, manifest, *, hold=False):
    return Want(
        device="kiosk-0000", generation=generation, deployment="r1", manifest=manifest * 32,
        manifest_bytes=9, hold=hold,
    )  # fmt: skip


def test_the_gateway_wants_newer_generations_or_the_same_again(check):
    check.wanted("kiosk-0000", want(1, b"a"), 1)
    check.wanted("kiosk-0000", want(1, b"a"), 2)
    check.wanted("kiosk-0000", want(2, b"b"), 3)
    assert check.verdict is True
    check.wanted("kiosk-0000", want(1, b"a"), 4)
    assert "generation 2 or newer" in check.story()


@pytest.mark.parametrize("other", [want(1, b"b"), want(1, b"a", hold=True)])
def test_one_generation_stands_for_one_thing(check, other):
    check.wanted("kiosk-0000", want(1, b"a"), 1)
    check.wanted("kiosk-0000", other, 2)
    assert "to stand for one thing" in check.story()


def published(kind, message):
    envelope = Signed(payload=codec.encode(message), key_id=b"k" * 8, signature=b"s" * 64)
    return Publish(f"fd/main/{kind}", kind, codec.encode(envelope), 1, retain=True)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (topics.KILL, KillList(version=1), KillList(version=2)),
        (
            topics.FLAGS,
            FlagSnapshot(rev=1, segment="kiosk", document=b"{}"),
            FlagSnapshot(rev=2, segment="kiosk", document=b"{}"),
        ),
    ],
)
def test_kill_lists_and_flags_rise(check, kind, old, new):
    check.gateway_published(published(kind, old), 1)
    check.gateway_published(published(kind, new), 2)
    check.gateway_published(published(kind, new), 3)
    assert check.verdict is True
    check.gateway_published(published(kind, old), 4)
    assert "at 2 or newer, found 1" in check.story()
