"""From a want to a staged image: nothing is done twice, nothing is believed unseen."""

from __future__ import annotations

from hashlib import sha256

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import (
    Activate,
    Delete,
    HashFile,
    Publish,
    ReadFile,
    RunKit,
    Save,
    Write,
)
from devicesdk.agent.snapshot import decode_state
from devicesdk.agent.stimuli import (
    Arrived,
    Conditions,
    ConditionsChanged,
    FileHashed,
    FileRead,
    KitRan,
    StorageFailed,
)
from devicesdk.bundle.trust import ROLE_FLAGS
from devicesdk.wire import codec
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Control, ControlVerb, UpdateState
from tests_kit.agent_bundles import Bundle, Gateway
from tests_kit.agent_charts import Agents, acknowledge, fetch, sent, stage, want_arrives
from tests_kit.charts import Asks, Never

OLD, NEW = Bundle(1), Bundle(2)
IMAGE = sha256(NEW.image).digest()


def _wanting(bundle=NEW, config=None, **fields):
    return want_arrives(Agents(OLD, config).online(), bundle, **fields)


def _ended(chart):
    acknowledge(chart)
    have = sent(chart, "have")[-1]
    return have.state, have.reason


def test_the_steps_come_in_their_order():
    chart = fetch(_wanting(), NEW)
    order = [type(e).__name__ + getattr(e, "file", "") for e in chart.left]
    wanted = [
        "ReadFilemeta-manifest",
        "Savemeta-manifest",
        "ReadFilemeta-hashes",
        "Savemeta-hashes",
        "Savemap",
        "Deleteslot-b",
        "Writeslot-b",
        "Syncslot-b",
        "HashFileslot-b",
    ]
    places = [order.index(step) for step in wanted]
    assert places == sorted(places), order
    chart << Asks(HashFile, file="slot-b", size_bytes=len(NEW.image))
    chart >> FileHashed("slot-b", IMAGE)
    chart << Asks(Save, file="state") << Asks(Delete, file="map")
    chart << Asks(RunKit, slot="b", manifest=NEW.digest, variant="int8")
    chart >> KitRan("b", True, "", 1, 1)
    chart << Asks(Save, file="state") << Asks(Activate, slot="b", manifest=NEW.digest)


def test_files_of_an_earlier_boot_are_not_fetched_again():
    chart = _wanting()
    chart >> FileRead("meta-manifest", NEW.envelope)
    chart << Asks(ReadFile, file="meta-hashes")
    chart >> FileRead("meta-hashes", NEW.hashes)
    chart << Asks(Publish, kind="get")
    assert {get.blob for get in sent(chart, "get")} == {IMAGE}


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (Bundle(2, signer=ROLE_FLAGS), "manifest:untrusted"),
        (Bundle(2, hardware=("jetson",)), "hardware"),
        (Bundle(2, size=AgentConfig().checkpoint_bytes * 20), "space"),
    ],
)
def test_a_bundle_that_is_not_for_this_device_is_rejected_before_its_image(bundle, reason):
    config = AgentConfig(slot_bytes_max=1024**2)
    chart = fetch(_wanting(bundle, config), bundle)
    assert _ended(chart) == (UpdateState.REJECTED, reason)
    assert {get.blob for get in sent(chart, "get")} == {bundle.digest}
    assert not [effect for effect in chart.all if isinstance(effect, Write)]


def test_the_slot_is_invalid_before_its_first_byte_goes():
    third = Bundle(3)
    agents = Agents(OLD)
    chart = stage(want_arrives(agents.online(), NEW), NEW)
    state = chart.found(Asks(Save, file="state")).data
    chart = want_arrives(agents.online(state), third, 2)
    fetch(chart, third)
    saves = [e for e in chart.left if isinstance(e, Save | Write | Delete)]
    first = next(i for i, e in enumerate(saves) if isinstance(e, Write | Delete))
    before = [e for e in saves[:first] if isinstance(e, Save) and e.file == "state"]
    assert not decode_state(before[-1].data).b.verified


def test_a_whole_image_that_is_wrong_is_fetched_once_more_and_then_given_up():
    chart = fetch(_wanting(), NEW)
    gets = len(sent(chart, "get"))
    chart >> FileHashed("slot-b", bytes(32))
    chart << Asks(Delete, file="map") << Asks(Publish, kind="get")
    chart.left = [e for e in chart.all if isinstance(e, Publish) and e.kind == "get"][gets:]
    fetch(chart, NEW)
    chart >> FileHashed("slot-b", bytes(32))
    assert _ended(chart) == (UpdateState.FAILED, "integrity")
    assert not [effect for effect in chart.all if isinstance(effect, RunKit)]


def test_chunks_that_stay_wrong_end_the_update_and_count_against_the_digest():
    chart = acknowledge(_wanting())
    chart >> FileRead("meta-manifest", NEW.envelope) >> FileRead("meta-hashes", NEW.hashes)
    gateway = Gateway(NEW)
    gateway.blobs[IMAGE] = (Bundle(9).image, NEW.chunk_bytes)
    answered = 0
    while answered < len(sent(chart, "get")):
        get = sent(chart, "get")[answered]
        answered += 1
        for frame in gateway.answer(codec.encode(get)):
            chart >> Arrived("dat", frame)
    assert not [effect for effect in chart.all if isinstance(effect, Write)]
    assert _ended(chart) == (UpdateState.FAILED, "integrity")
    state = decode_state(chart.machine.snapshot())
    assert [(bad.manifest, bad.failures, bad.banned) for bad in state.bad] == [
        (NEW.digest, 1, False)
    ]


def test_conditions_that_change_while_an_answer_is_awaited_ask_nothing_twice():
    chart = fetch(_wanting(), NEW)
    chart >> ConditionsChanged(Conditions(chip_c=30))
    chart << Never(HashFile)


def test_a_failed_kit_is_the_end_of_the_digest():
    chart = fetch(_wanting(), NEW)
    chart >> FileHashed("slot-b", IMAGE)
    chart >> KitRan("b", False, "nan", 1000, 1)
    assert _ended(chart) == (UpdateState.FAILED, "validation:nan")
    assert not [e for e in chart.all if isinstance(e, Activate) and e.slot == "b"]
    want_arrives(chart, NEW, 2)
    assert _ended(chart) == (UpdateState.REJECTED, "quarantined")
    chart = fetch(_wanting(), NEW)
    chart >> FileHashed("slot-b", IMAGE) >> KitRan("b", False, "", 1000, 1)
    assert _ended(chart) == (UpdateState.FAILED, "validation")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (Nack.RESOURCE_NOT_FOUND, UpdateState.FAILED),
        (Nack.SUPERSEDED, UpdateState.SUPERSEDED),
        (Nack.QUARANTINED, UpdateState.REJECTED),
    ],
)
def test_a_refusal_ends_the_update(code, state):
    chart = _wanting()
    chart >> FileRead("meta-manifest", None)
    get = sent(chart, "get")[-1]
    control = Control(verb=ControlVerb.NACK, transfer=get.transfer, seq=get.seq, code=code)
    chart >> Arrived("ctl", codec.encode(control))
    assert _ended(chart) == (state, f"nack:{code}")


def test_an_answer_to_a_job_that_was_dropped_is_not_taken_for_the_next_ones():
    third = Bundle(3)
    chart = _wanting()
    want_arrives(chart, third, 2)
    chart >> FileRead("meta-manifest", NEW.envelope)
    assert not sent(chart, "get"), "the answer to the old question was taken"
    chart >> FileRead("meta-manifest", third.envelope)
    chart << Asks(ReadFile, file="meta-hashes")
    chart >> FileHashed("slot-b", IMAGE) >> KitRan("b", True, "", 1, 1)
    chart << Never(Activate)


def test_answers_that_nobody_waits_for_are_ignored():
    chart = Agents(OLD).online()
    chart >> FileRead("meta-manifest", b"") >> FileHashed("slot-b", IMAGE)
    chart >> KitRan("b", False, "nan", 1, 1)
    assert not sent(chart, "ev")


def test_an_answer_after_the_job_is_gone_changes_nothing():
    for answer in (FileHashed("slot-b", IMAGE), KitRan("b", True, "", 1, 1)):
        chart = fetch(_wanting(), NEW)
        if isinstance(answer, KitRan):
            chart >> FileHashed("slot-b", IMAGE)
        chart >> StorageFailed("slot-b", "full")
        assert _ended(chart) == (UpdateState.FAILED, "storage")
        chart >> answer
        chart << Never(RunKit) << Never(Activate)


def test_the_same_bytes_under_another_manifest_are_not_fetched_again_but_pass_its_kit():
    twin = Bundle(4, image=NEW.image)
    agents = Agents(OLD)
    chart = fetch(want_arrives(agents.online(), NEW), NEW)
    chart >> FileHashed("slot-b", IMAGE)
    want_arrives(chart, twin, 2)
    chart >> KitRan("b", True, "", 1, 1)
    chart << Never(Activate)
    chart >> FileRead("meta-manifest", twin.envelope)
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert (state.b.manifest, state.b.image) == (twin.digest, IMAGE)
    chart << Asks(HashFile, file="slot-b")
    chart >> FileHashed("slot-b", IMAGE)
    chart << Asks(RunKit, manifest=twin.digest)
    assert {get.blob for get in sent(chart, "get")} == {*NEW.blobs}


def test_a_verified_slot_that_changed_since_is_fetched_again():
    agents = Agents(OLD)
    chart = fetch(want_arrives(agents.online(), NEW), NEW)
    chart >> FileHashed("slot-b", IMAGE)
    state = chart.found(Asks(Save, file="state")).data
    chart = agents.online(state)
    assert [e for e in chart.all if isinstance(e, HashFile)], "an old image was not read back"
    chart >> FileHashed("slot-b", bytes(32))
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert not state.b.verified
    chart << Asks(ReadFile, file="meta-manifest")


def test_a_map_left_behind_by_a_cut_is_dropped():
    agents = Agents(OLD)
    chart = fetch(want_arrives(agents.online(), NEW), NEW)
    maps = [e for e in chart.left if isinstance(e, Save) and e.file == "map"]
    chart >> FileHashed("slot-b", IMAGE)
    state = chart.found(Asks(Save, file="state")).data
    again = agents.boot(state, maps[-1].data)
    again << Asks(Delete, file="map")


def test_storage_that_fails_ends_the_update_and_its_map():
    chart = fetch(_wanting(), NEW)
    chart >> StorageFailed("slot-b", "worn out")
    chart << Asks(Delete, file="map")
    assert _ended(chart) == (UpdateState.FAILED, "storage")
