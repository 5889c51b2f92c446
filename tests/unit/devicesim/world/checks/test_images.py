from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Activate, Delete, Note, Save, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.wire.messages import Event, Get, UpdateState, Want
from devicesim.world.checks import images
from tests_kit import worlds


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(count=2))


@pytest.fixture
def host(world):
    host = world.hosts[0]
    host.on, host.slot, host.boot_id = True, "a", 1
    host.manifest = host.parts.identity.factory_manifest
    host.variant = host.parts.identity.factory_variant
    return host


def newer(world):
    return next(b for b in world.bundles.values() if b.manifest.version == "1.1.0")


def fill(world, host, slot, bundle, variant):
    """Write the image of a variant into a slot, chunk by chunk."""
    data = world.gateway.blobs.read(variant.image.raw, 0, variant.image.size_bytes)
    for offset in range(0, len(data), variant.chunk_bytes):
        host.parts.flash.write(
            images.slot_file(slot), offset, data[offset : offset + variant.chunk_bytes]
        )
    host.parts.flash.sync(images.slot_file(slot))
    return Activate(slot, bundle.digest, variant.name)


def test_the_factory_image_counts_as_whole_until_something_is_written(world, host):
    assert images.boots(world, host)
    host.parts.flash.write("slot-a", 0, b"x")
    assert not images.boots(world, host)


def test_an_image_runs_only_when_its_bytes_hash_to_the_manifest(world, host):
    bundle = newer(world)
    variant = bundle.manifest.variants[0]
    check = images.DigestBeforeActivation(world)
    check.activated(host, Activate("b", bundle.digest, variant.name), 1)
    assert "another digest" in check.story()
    check = images.DigestBeforeActivation(world)
    check.activated(host, fill(world, host, "b", bundle, variant), 2)
    assert check.verdict is True
    check.activated(host, Activate("b", b"\0" * 32, "fp32"), 3)
    assert not check.held


def test_a_chunk_map_grows_and_names_only_what_is_durable(world, host):
    variant = newer(world).manifest.variants[0]
    check = images.DigestBeforeActivation(world)
    chunks = ChunkMap(variant.image.raw, variant.image.size_bytes, variant.chunk_bytes)
    check.stored(host, Save("map", chunks.to_bytes()), 1)
    chunks.add(0)
    host.parts.flash.write("slot-b", 0, b"chunk")
    check.stored(host, Save("map", chunks.to_bytes()), 2)
    check.ended(2)
    assert "a power cut would lose it" in check.story()
    refused = images.DigestBeforeActivation(world)
    refused.stored(host, Save("map", chunks.to_bytes()), 2)
    refused.noted(host, Note(NoteKind.STORAGE_FAILED, 1), 2)
    refused.ended(3)
    assert refused.verdict is True, "the agent hears of a refused write after the batch"
    check = images.DigestBeforeActivation(world)
    host.parts.flash.sync("slot-b")
    check.stored(host, Save("map", chunks.to_bytes()), 3)
    assert check.verdict is True
    empty = ChunkMap(variant.image.raw, variant.image.size_bytes, variant.chunk_bytes)
    check.stored(host, Save("map", empty.to_bytes()), 4)
    assert "found it gone" in check.story()


def test_a_map_that_was_deleted_may_start_over(world, host):
    check = images.DigestBeforeActivation(world)
    chunks = ChunkMap(b"m" * 32, 100, 256)
    chunks.add(0)
    check.stored(host, Save("map", chunks.to_bytes()), 1)
    check.stored(host, Delete("map"), 2)
    check.stored(host, Save("map", ChunkMap(b"m" * 32, 100, 256).to_bytes()), 3)
    assert check.verdict is True
    check.stored(host, Save("map", b"rubbish"), 4)
    assert not check.held


def test_nobody_writes_to_the_slot_that_runs(world, host):
    check = images.BootableSlot(world)
    check.stored(host, Write("slot-b", 0, b"x"), 1)
    assert check.verdict is True
    check.stored(host, Delete("slot-a"), 2)
    assert "a delete of slot-a" in check.story()


TRIAL = Note(NoteKind.UPDATE_STATE, UpdateState.TRIAL, 1)
COMMITTED = Note(NoteKind.UPDATE_STATE, UpdateState.COMMITTED, 1)
ROLLED_BACK = Note(NoteKind.UPDATE_STATE, UpdateState.ROLLED_BACK, 1)


def on_trial(world, host):
    check = images.BootableSlot(world)
    check.noted(host, TRIAL, 1)
    check.activated(host, Activate("b", b"n" * 32, "fp32"), 1)
    host.slot = "b"
    return check


def test_during_a_trial_the_way_back_is_left_alone_too(world, host):
    check = on_trial(world, host)
    check.stored(host, Write("slot-a", 0, b"x"), 2)
    assert "would go back to" in check.story()


def test_after_a_commit_the_old_slot_may_be_overwritten(world, host):
    check = on_trial(world, host)
    check.noted(host, COMMITTED, 2)
    check.stored(host, Write("slot-a", 0, b"x"), 3)
    assert check.verdict is True


def test_having_gone_back_the_failed_slot_may_be_overwritten(world, host):
    check = on_trial(world, host)
    check.noted(host, ROLLED_BACK, 2)
    check.activated(host, Activate("a", host.manifest, host.variant), 2)
    host.slot = "a"
    check.stored(host, Write("slot-b", 0, b"x"), 3)
    assert check.verdict is True


def test_at_the_end_what_runs_is_whole(world, host):
    check = images.BootableSlot(world)
    check.ended(9)
    assert check.verdict is True
    host.slot = ""
    check.ended(10)
    assert "no slot running" in check.story()


def want(host, generation, manifest):
    return Want(
        device=host.device,
        generation=generation,
        deployment="r1",
        manifest=manifest,
        manifest_bytes=9,
    )


@pytest.mark.parametrize(
    ("state", "reason", "held"),
    [
        (UpdateState.ROLLED_BACK, "runtime:errors", False),
        (UpdateState.FAILED, "validation:nan", False),
        (UpdateState.FAILED, "link", True),
        (UpdateState.ROLLED_BACK, "storage", True),
    ],
)
def test_what_failed_here_is_never_fetched_or_run_again(world, host, state, reason, held):
    bundle = newer(world)
    check = images.NoReflash(world)
    check.heard_want(host, want(host, 1, bundle.digest), 1)
    told = Event(boot_id=1, seq=1, kind="update", state=state, reason=reason, digest=bundle.digest)
    check.said_event(host, told, 2)
    image = bundle.manifest.variants[0].image.raw
    check.asked(host, Get(transfer=1, seq=1, blob=image, base=0, count=1), 3)
    assert check.held is held
    check.activated(host, Activate("b", bundle.digest, "fp32"), 4)
    assert check.failures == (0 if held else 2)


def test_a_report_is_as_good_as_an_event(world, host):
    bundle = newer(world)
    check = images.NoReflash(world)
    check.heard_want(host, want(host, 3, bundle.digest), 1)
    have = SimpleNamespace(generation=3, state=UpdateState.FAILED, reason="validation:latency")
    check.said_have(host, have, 2)
    check.activated(host, Activate("b", bundle.digest, "fp32"), 3)
    assert "which failed here" in check.story()


def test_only_what_fits_is_fetched_and_run(world, host):
    bundle = newer(world)
    variant = bundle.manifest.variants[0]
    check = images.HardwareFit(world)
    check.asked(host, Get(transfer=1, seq=1, blob=variant.image.raw, base=0, count=1), 1)
    check.activated(host, Activate("b", bundle.digest, variant.name), 2)
    assert check.verdict is True
    check.activated(host, Activate("b", bundle.digest, "unheard-of"), 3)
    assert "something unknown" in check.story()
