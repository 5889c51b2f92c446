"""A delta is a hint: when it is followed, what it asks for, and what is done when it is of no use."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import (
    ApplyDelta,
    Delete,
    HashFile,
    Note,
    Publish,
    ReadFile,
    RunKit,
    Save,
    Write,
)
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.slots import factory_state
from devicesdk.agent.snapshot import decode_state, encode_state
from devicesdk.agent.stimuli import (
    Arrived,
    DeltaApplied,
    Disconnected,
    FileHashed,
    FileRead,
    KitRan,
    StorageFailed,
)
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Control, ControlVerb, Get, UpdateState
from tests_kit.agent_bundles import Bundle, Gateway, Shortcut, edited, identity_of
from tests_kit.agent_charts import Agents, acknowledge, connect, fetch, sent, want_arrives
from tests_kit.charts import SILENCE, Asks, Never

OLD = Bundle(1, size=200_000)
NEAR = Bundle(2, image=edited(OLD.image, 70_001, 9_000))
FAR = Bundle(3, image=edited(OLD.image, 20_000, 120_000))
SMALL, LARGE = Shortcut(OLD, NEAR), Shortcut(OLD, FAR)


class Both:
    """A bundle's blobs and a delta's, for `fetch`."""

    def __init__(self, bundle, shortcut):
        self.blobs = {**bundle.blobs, **shortcut.blobs}


def _wanting(bundle=NEAR, shortcut=SMALL, *, factory=OLD, config=None, **changes):
    ref = replace(shortcut.ref, **changes)
    return want_arrives(Agents(factory, config).online(), bundle, delta=ref)


def _at_apply(bundle=NEAR, shortcut=SMALL, **options):
    chart = fetch(_wanting(bundle, shortcut, **options), Both(bundle, shortcut))
    chart << Asks(ApplyDelta)
    return chart


def _asked_for(chart, blob):
    gets = [e for e in chart.all if isinstance(e, Publish) and e.kind == topics.GET]
    return [get for get in gets if codec.decode(Get, get.payload).blob == blob]


def _applied(chart, bundle=NEAR):
    chart >> DeltaApplied("slot-b", True, "")
    chart << Asks(HashFile, file="slot-b", size_bytes=len(bundle.image))
    return chart


def _whole(chart, bundle=NEAR):
    chart >> FileHashed("slot-b", sha256(bundle.image).digest())
    return chart


# -- the way -------------------------------------------------------------------------------------


def test_a_small_delta_is_fetched_into_ram_saved_and_applied():
    chart = fetch(_wanting(), Both(NEAR, SMALL))
    chart << Asks(ReadFile, file="meta-delta") << Asks(Save, file="meta-delta", data=SMALL.data)
    chart << Asks(
        ApplyDelta,
        file="slot-b",
        size_bytes=len(NEAR.image),
        delta="meta-delta",
        delta_bytes=len(SMALL.data),
        base="slot-a",
    )
    assert not _asked_for(chart, sha256(NEAR.hashes).digest()), (
        "the image's hash list is not needed"
    )
    _applied(chart)
    _whole(chart)
    chart << Asks(Save, file="state") << Asks(Note, kind=NoteKind.DELTA_APPLIED)
    chart << Asks(Delete, file="meta-delta") << Asks(RunKit, slot="b")
    chart >> KitRan("b", True, "", 1, 1)
    chart << Asks(Save, file="state")
    assert sent(acknowledge(chart), "have")[-1].state is UpdateState.TRIAL


def test_a_large_delta_comes_with_its_hash_list_into_a_file():
    chart = fetch(_wanting(FAR, LARGE), Both(FAR, LARGE))
    chart << Asks(Save, file="meta-hashes") << Asks(Save, file="map")
    chart << Asks(Delete, file="delta") << Asks(Write, file="delta")
    chart << Asks(ApplyDelta, delta="delta", delta_bytes=len(LARGE.data))
    _whole(_applied(chart, FAR), FAR)
    chart << Asks(Delete, file="delta") << Asks(Delete, file="map")


def test_the_slot_is_invalid_durably_before_anything_of_a_delta_is_asked_for():
    chart = fetch(_wanting(), Both(NEAR, SMALL))
    _whole(_applied(chart))
    chart >> KitRan("b", False, "nan", 1, 1)
    state = next(e.data for e in reversed(chart.all) if isinstance(e, Save) and e.file == "state")
    assert not decode_state(state).b.verified


def test_a_saved_delta_is_not_fetched_again_after_a_boot():
    agents = Agents(OLD)
    chart = fetch(want_arrives(agents.online(), NEAR, delta=SMALL.ref), Both(NEAR, SMALL))
    saved = {e.file: e.data for e in chart.all if isinstance(e, Save)}
    chart = agents.online(saved["state"], saved.get("map"))
    chart >> FileRead("meta-manifest", NEAR.envelope)
    chart << Asks(ReadFile, file="meta-delta")
    chart >> FileRead("meta-delta", SMALL.data)
    chart << Asks(ApplyDelta)
    assert not sent(chart, "get")


# -- when it is not followed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"target": b"x" * 32},
        {"encoder": 200},
        {"size_bytes": len(NEAR.image)},
        {"size_bytes": 100_000},
        {"chunk_bytes": 3_000},
    ],
    ids=["other target", "unknown encoder", "too large", "no hash list", "odd chunks"],
)
def test_a_delta_that_does_not_fit_is_ignored_and_the_image_fetched(changes):
    chart = fetch(_wanting(NEAR, SMALL, **changes), Both(NEAR, SMALL))
    chart << Asks(HashFile, file="slot-b")
    assert not _asked_for(chart, SMALL.ref.blob)


@pytest.mark.parametrize("fits", [True, False])
def test_a_delta_from_an_image_that_does_not_run_is_ignored(fits):
    known = factory_state(identity_of(OLD))
    image = sha256(OLD.image).digest() if fits else b"x" * 32
    state = encode_state(replace(known, a=replace(known.a, image=image)))
    chart = want_arrives(Agents(OLD).online(state), NEAR, delta=SMALL.ref)
    fetch(chart, Both(NEAR, SMALL))
    chart << Asks(ApplyDelta if fits else HashFile)
    assert bool(_asked_for(chart, SMALL.ref.blob)) is fits


def test_a_device_without_room_for_it_fetches_the_image():
    chart = _wanting(config=AgentConfig(delta_bytes_max=0))
    fetch(chart, Both(NEAR, SMALL))
    chart << Asks(HashFile, file="slot-b")


def test_a_device_that_runs_nothing_fetches_the_image():
    chart = fetch(_wanting(factory=None), Both(NEAR, SMALL))
    chart << Asks(HashFile, file="slot-a")


# -- when it goes wrong ------------------------------------------------------------------------------


def _falls_back(chart, reason, bundle=NEAR, shortcut=SMALL):
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert state.deltas_failed == (shortcut.ref.blob,)
    fetch(chart, Both(bundle, shortcut))
    chart << Asks(HashFile, file="slot-b", size_bytes=len(bundle.image))
    events = [event for event in sent(acknowledge(chart), "ev") if event.kind == "delta"]
    assert [(event.reason, event.digest) for event in events] == [(reason, shortcut.ref.blob)]
    asked = len(_asked_for(chart, shortcut.ref.blob))
    _whole(chart, bundle)
    chart << Asks(RunKit)
    assert len(_asked_for(chart, shortcut.ref.blob)) == asked
    failures = [bad for bad in state.bad if bad.manifest == bundle.digest]
    assert not failures, "a hint was blamed on the release"


@pytest.mark.parametrize("reason", ["delta", "storage"])
def test_one_that_cannot_be_applied_costs_a_full_transfer(reason):
    chart = _at_apply()
    chart >> DeltaApplied("slot-b", False, reason)
    chart << Asks(Note, kind=NoteKind.DELTA_FAILED)
    _falls_back(chart, reason)


def test_one_that_makes_another_image_costs_a_full_transfer():
    chart = _applied(_at_apply())
    chart >> FileHashed("slot-b", b"x" * 32)
    chart << Asks(Note, kind=NoteKind.DELTA_FAILED) << Never(Note, kind=NoteKind.IMAGE_BAD)
    _falls_back(chart, "digest")


@pytest.mark.parametrize(("shortcut", "bundle"), [(SMALL, NEAR), (LARGE, FAR)])
def test_one_that_the_gateway_has_not_costs_a_full_transfer(shortcut, bundle):
    chart = _wanting(bundle, shortcut)
    gateway = Gateway(bundle)
    waiting = list(chart.left)
    while waiting:
        effect = waiting.pop(0)
        if isinstance(effect, ReadFile):
            chart >> FileRead(effect.file, None)
        elif isinstance(effect, Publish) and effect.kind == topics.GET:
            get = codec.decode(Get, effect.payload)
            if get.blob not in gateway.blobs:
                break
            for frame in gateway.answer(effect.payload):
                chart >> Arrived(topics.DAT, frame)
        waiting += chart.left
    nack = Control(verb=ControlVerb.NACK, transfer=get.transfer, seq=get.seq, code=Nack.GONE)
    chart >> Arrived(topics.CTL, codec.encode(nack))
    chart << Asks(Note, kind=NoteKind.DELTA_FAILED)
    _falls_back(chart, "nack:Gone", bundle, shortcut)


def test_one_whose_bytes_never_come_right_costs_a_full_transfer():
    broken = Shortcut(OLD, NEAR)
    (digest,) = list(broken.blobs)
    broken.blobs[digest] = (broken.data[:-1] + b"\0", broken.blobs[digest][1])
    chart = fetch(_wanting(NEAR, broken), Both(NEAR, broken))
    chart << Asks(Note, kind=NoteKind.DELTA_FAILED)
    _falls_back(chart, "integrity", NEAR, broken)


def test_one_whose_hash_list_has_another_length_costs_a_full_transfer():
    ref = replace(LARGE.ref, size_bytes=LARGE.ref.size_bytes - 20_000)
    short = LARGE.blobs[LARGE.ref.hashes][0]
    chart = want_arrives(Agents(OLD).online(), FAR, delta=ref)
    chart >> FileRead("meta-manifest", FAR.envelope)
    chart >> FileRead("meta-hashes", short)
    chart << Asks(Note, kind=NoteKind.DELTA_FAILED)
    assert decode_state(chart.found(Asks(Save, file="state")).data).deltas_failed == (ref.blob,)


def test_an_update_that_is_taken_away_is_not_the_deltas_fault():
    chart = _wanting()
    chart >> FileRead("meta-manifest", NEAR.envelope) >> FileRead("meta-delta", None)
    get = codec.decode(Get, chart.found(Asks(Publish, kind="get")).payload)
    nack = Control(verb=ControlVerb.NACK, transfer=get.transfer, seq=get.seq, code=Nack.SUPERSEDED)
    chart >> Arrived(topics.CTL, codec.encode(nack))
    chart << Never(Note, kind=NoteKind.DELTA_FAILED)
    assert sent(acknowledge(chart), "have")[-1].state is UpdateState.SUPERSEDED


def test_where_there_is_no_room_after_all_the_next_attempt_fetches_the_image():
    chart = _wanting(FAR, LARGE)
    chart >> FileRead("meta-manifest", FAR.envelope) >> FileRead("meta-hashes", b"")
    chart >> StorageFailed("delta", "full")
    chart << Asks(Save, file="state")
    state = next(e.data for e in reversed(chart.all) if isinstance(e, Save) and e.file == "state")
    assert decode_state(state).deltas_failed == (LARGE.ref.blob,)
    have = sent(acknowledge(chart), "have")[-1]
    assert (have.state, have.reason) == (UpdateState.FAILED, "storage")
    want_arrives(chart, FAR, 2, delta=LARGE.ref)
    fetch(chart, Both(FAR, LARGE))
    chart << Asks(HashFile, file="slot-b")
    assert not _asked_for(chart, LARGE.ref.blob)


def test_only_so_many_failures_are_remembered():
    failed = tuple(bytes([number]) * 32 for number in range(8))
    state = encode_state(replace(factory_state(identity_of(OLD)), deltas_failed=failed))
    chart = want_arrives(Agents(OLD).online(state), NEAR, delta=SMALL.ref)
    fetch(chart, Both(NEAR, SMALL))
    chart >> DeltaApplied("slot-b", False, "delta")
    after = decode_state(chart.found(Asks(Save, file="state")).data).deltas_failed
    assert after == (*failed[1:], SMALL.ref.blob)


# -- when the want changes ----------------------------------------------------------------------------


def test_a_new_want_does_not_touch_the_slot_while_a_dropped_delta_is_still_applied():
    chart = _at_apply()
    want_arrives(chart, FAR, 2)
    fetch(chart, FAR)
    chart << Never(Write, file="slot-b")
    chart >> DeltaApplied("slot-b", True, "")
    fetch(chart, FAR)
    chart << Asks(Delete, file="slot-b") << Asks(Write, file="slot-b")
    chart << Asks(HashFile, file="slot-b", size_bytes=len(FAR.image))


def test_nor_does_a_new_delta():
    chart = _at_apply()
    want_arrives(chart, FAR, 2, delta=LARGE.ref)
    fetch(chart, Both(FAR, LARGE))
    chart << Never(ApplyDelta)
    chart >> DeltaApplied("slot-b", False, "delta")
    chart << Never(Note, kind=NoteKind.DELTA_FAILED)
    fetch(chart, Both(FAR, LARGE))
    chart << Asks(ApplyDelta, delta="delta")


def test_the_same_manifest_with_another_delta_begins_that_one():
    chart = _wanting(FAR, LARGE)
    chart >> FileRead("meta-manifest", FAR.envelope) >> FileRead("meta-hashes", None)
    other = Shortcut(OLD, FAR, lambda data: data + b"\0")
    want_arrives(chart, FAR, 2, delta=other.ref)
    fetch(chart, Both(FAR, other))
    chart << Asks(ApplyDelta, delta_bytes=len(other.data))


def test_an_answer_that_nobody_waits_for_is_ignored():
    chart = Agents(OLD).online()
    chart >> DeltaApplied("slot-b", True, "")
    chart << SILENCE


# -- an image that is partly here ---------------------------------------------------------------------


def _partly(bundle, keep):
    """A device that begins anew after it fetched those chunks of an image that `keep` takes."""
    chart = want_arrives(Agents(OLD).online(), bundle)
    gateway = Gateway(bundle)
    waiting = list(chart.left)
    while waiting:
        effect = waiting.pop(0)
        answers = []
        if isinstance(effect, ReadFile):
            answers = [FileRead(effect.file, None)]
        elif isinstance(effect, Publish) and effect.kind == topics.GET:
            whole = codec.decode(Get, effect.payload).blob != sha256(bundle.image).digest()
            for frame in gateway.answer(effect.payload):
                if whole or keep(codec.decode_frame(frame)[0].chunk):
                    answers.append(Arrived(topics.DAT, frame))
        for answer in answers:
            chart >> answer
            waiting += chart.left
    chart >> Disconnected("reset")
    saved = {e.file: e.data for e in chart.all if isinstance(e, Save)}
    return connect(Agents(OLD).boot(saved["state"], saved["map"]))


def _offered(chart, bundle, shortcut):
    """The same bundle again, now with a delta, and all of it is fetched that is asked for."""
    want_arrives(chart, bundle, 2, delta=shortcut.ref)
    chart.left.insert(0, ReadFile("meta-manifest"))  # asked for at boot
    return fetch(chart, Both(bundle, shortcut))


def _chunks_asked_again(chart, bundle, kept):
    again = set()
    for effect in _asked_for(chart, sha256(bundle.image).digest()):
        get = codec.decode(Get, effect.payload)
        bits = int.from_bytes(get.bitmap, "little") if get.bitmap else (1 << get.count) - 1
        again |= {get.base + i for i in range(get.count) if bits >> i & 1} & kept
    return again


@pytest.mark.parametrize(("bundle", "shortcut"), [(NEAR, SMALL), (FAR, LARGE)])
def test_an_image_of_which_less_is_missing_than_the_delta_has_is_finished(bundle, shortcut):
    chunks = -(-len(bundle.image) // bundle.chunk_bytes)
    checkpoint = AgentConfig().checkpoint_bytes // bundle.chunk_bytes
    missing = max(1, shortcut.ref.size_bytes // bundle.chunk_bytes - checkpoint - 1)
    kept = set(range(chunks - missing))
    chart = _partly(bundle, lambda index: index in kept)
    _offered(chart, bundle, shortcut)
    assert not _asked_for(chart, shortcut.ref.blob), "more than what is missing"
    again = _chunks_asked_again(chart, bundle, kept)
    assert len(again) <= checkpoint, f"fetched chunks {again} again"
    chart << Asks(HashFile, file="slot-b")


def test_an_image_of_which_more_is_missing_is_left_for_the_delta():
    chart = _partly(NEAR, lambda index: index < 4)
    _offered(chart, NEAR, SMALL)
    chart << Asks(ApplyDelta)


def test_a_map_does_not_outlive_the_slot_that_a_delta_is_applied_to():
    chart = _partly(NEAR, lambda index: index < 4)
    _offered(chart, NEAR, SMALL)
    deleted = [i for i, e in enumerate(chart.all) if isinstance(e, Delete) and e.file == "map"]
    applied = [i for i, e in enumerate(chart.all) if isinstance(e, ApplyDelta)]
    assert deleted, "the map names chunks of a slot that is about to be overwritten"
    assert deleted[-1] < applied[0]
    chart >> DeltaApplied("slot-b", False, "delta")
    before = len(chart.all)
    fetch(chart, Both(NEAR, SMALL))
    chart >> FileHashed("slot-b", sha256(NEAR.image).digest())
    chart << Never(Note, kind=NoteKind.IMAGE_BAD)
    chart.all = chart.all[before:]
    assert _chunks_asked_again(chart, NEAR, {0, 1, 2, 3}) == {0, 1, 2, 3}, (
        "what was overwritten was believed"
    )
