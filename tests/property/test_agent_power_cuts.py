"""Power goes at *every* effect of an update, in each way that unsynced writes can tear.

Whatever the place: what runs is whole and verified (the rig checks each `Activate` and `RunKit` against
the bytes on the disk), the device ends on the new bundle, and at most 64 KiB are fetched again.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.wire import limits
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit.agent_bundles import Bundle, want_of
from tests_kit.agent_rig import PowerCut, Rig

OLD, NEW = Bundle(1), Bundle(2)
HUGE = Bundle(5, size=5 * limits.CHUNK_BYTES_MAX, chunk_bytes=limits.CHUNK_BYTES_MAX)
"""In the largest chunks that are legal: each is a checkpoint, and what a cut may cost."""
TEARS = ("none", "half", "all", "late")
CONFIG = AgentConfig(window_ns=MINUTE)
SMALL_STEPS = AgentConfig(window_ns=MINUTE, checkpoint_bytes=8_192)
FINE = Bundle(3, size=70_000, chunk_bytes=256)
"""Its hash list is larger than a checkpoint of `SMALL_STEPS`, so it goes through a file too."""


def _rig(bundle=NEW, factory=OLD, config=CONFIG):
    rig = Rig(bundle, factory=factory, config=config)
    rig.publish("want", want_of(bundle))
    return rig


def _effects_of_an_update(bundle, factory, config):
    rig = _rig(bundle, factory, config)
    rig.boot()
    rig.run(lambda: rig.committed(bundle))
    rig.run_for(2 * SECOND)
    return rig.effects


def _cut_at(place, tear, bundle, factory, config):
    rig = _rig(bundle, factory, config)
    rig.fuse = place
    try:
        rig.boot()
    except PowerCut:
        rig.cut_power(tear)
    rig.run(lambda: rig.committed(bundle), tear=tear)
    return rig


def _fetched_again_bytes(rig):
    sizes = {name[:8]: (len(blob), chunk) for name, (blob, chunk) in rig.gateway.blobs.items()}
    total = 0
    for (digest8, index), times in rig.chunks.items():
        size, chunk_bytes = sizes[digest8]
        total += (times - 1) * min(chunk_bytes, size - index * chunk_bytes)
    return total


@pytest.mark.parametrize("tear", TEARS)
@pytest.mark.parametrize(
    ("bundle", "factory", "config", "again_bytes_max"),
    [
        (NEW, OLD, CONFIG, limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX),
        (NEW, None, CONFIG, limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX),
        (FINE, OLD, SMALL_STEPS, 16_384),
        (HUGE, OLD, CONFIG, limits.CHUNK_BYTES_MAX),
    ],
    ids=["update", "first-install", "small-steps", "largest-chunks"],
)
def test_a_cut_at_every_effect(bundle, factory, config, again_bytes_max, tear):
    effects = _effects_of_an_update(bundle, factory, config)
    assert effects > 50, "the update does nothing"
    step = 1 if effects < 200 else 5
    for place in range(0, effects, step):
        rig = _cut_at(place, tear, bundle, factory, config)
        again = _fetched_again_bytes(rig)
        assert again <= again_bytes_max, (
            f"power cut after effect {place} of {effects} (tear: {tear}): expected at most "
            f"{again_bytes_max} bytes fetched again, found {again}"
        )
        image = rig.disk.read(f"slot-{rig.reported().slot}")
        assert sha256(image or b"").digest() == rig.images[bundle.digest]


LISTED = Bundle(4, size=8_192 * 256, chunk_bytes=256)
"""Its hash list has 256 KiB: four checkpoints."""


def _reading_the_list():
    """A device with a verified image in each slot, which is told to take `LISTED`."""
    rig = Rig(NEW, LISTED, factory=OLD, config=CONFIG)
    rig.publish("want", want_of(NEW))
    rig.boot()
    rig.run(lambda: rig.committed(NEW))
    rig.run_for(2 * SECOND)
    rig.publish("want", want_of(LISTED, 2))
    image = sha256(LISTED.image).digest()
    return rig, lambda: any(get.blob == image for get in rig.gateway.gets)


@pytest.mark.parametrize("tear", ["none", "all"])
def test_a_cut_in_a_large_hash_list_costs_one_checkpoint_where_the_other_slot_holds_an_image(tear):
    """Found by a reader: a boot took the map of what was fetched so far for a left-over of the image in that slot,
    and 300 KB were fetched again."""
    rig, all_listed = _reading_the_list()
    before = rig.effects
    rig.run(all_listed)
    effects = rig.effects - before
    assert effects > 16, "the list came in one piece"
    for place in range(effects):
        rig, all_listed = _reading_the_list()
        rig.fuse = place
        rig.run(all_listed, tear=tear)
        again = _fetched_again_bytes(rig)
        assert again <= limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX, (
            f"power cut after effect {place} of {effects} (tear: {tear}): {again} bytes again"
        )


@pytest.mark.parametrize("tear", TEARS)
def test_a_cut_at_every_effect_of_a_bad_update_ends_on_the_old_bundle(tear):
    def finished(rig):
        return bool(rig.haves) and rig.reported().state.failed and rig.reported().generation == 1

    whole = _rig()
    whole.error_in = {NEW.digest}
    whole.boot()
    whole.run(lambda: finished(whole))
    for place in range(whole.effects):
        rig = _rig()
        rig.error_in = {NEW.digest}
        rig.fuse = place
        try:
            rig.boot()
        except PowerCut:
            rig.cut_power(tear)
        rig.run(lambda rig=rig: finished(rig), tear=tear)
        rig.publish("want", want_of(NEW, 2))
        rig.run(lambda rig=rig: rig.reported().generation == 2, tear=tear)
        have = rig.reported()
        assert (have.running, have.trial) == (OLD.digest, False)
        assert (have.state, have.reason) == (UpdateState.REJECTED, "quarantined"), (
            f"power cut after effect {place}: the bad digest was forgotten"
        )
        tries = sum(manifest == NEW.digest for _, manifest in rig.runs)
        assert tries <= 2, f"power cut after effect {place}: a bad bundle was tried {tries} times"
