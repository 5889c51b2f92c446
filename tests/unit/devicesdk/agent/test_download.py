"""One blob in chunks: what is asked, believed, written, and when it is given up."""

from __future__ import annotations

from hashlib import sha256

import pytest

from devicesdk.agent.download import (
    INTEGRITY,
    Source,
)
from devicesdk.agent.effects import Delete, Save, Sync, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import ControlVerb, Get
from devicesdk.wire.timebase import MS, NEVER
from tests_kit.agent_bundles import pattern
from tests_kit.transfers import CHUNK, IMAGE, LARGE, SMALL, Transfer, indices


def test_a_blob_is_fetched_in_growing_rounds_two_at_a_time():
    t = Transfer().begin()
    first = t.asked()
    assert [indices(get) for get in first] == [[0, 1], [2, 3]]
    assert [get.credit for get in first] == [2 * CHUNK, 2 * CHUNK]
    t.answer(first[:1])
    assert [indices(get) for get in t.asked()] == [[4, 5, 6, 7]]
    t.answer(first[1:])
    assert [len(indices(get)) for get in t.asked()] == [8]


def test_every_byte_is_written_once_and_the_map_follows_the_data():
    t = Transfer().begin()
    t.finish()
    assert t.download.ended == ""
    effects = t.wrote(Write, Sync, Save, Delete)
    image = bytearray(len(IMAGE))
    for effect in effects:
        if isinstance(effect, Write):
            image[effect.offset : effect.offset + len(effect.data)] = effect.data
    assert bytes(image) == IMAGE
    assert sum(len(e.data) for e in effects if isinstance(e, Write)) == len(IMAGE)
    unsaved, unsynced = 0, 0
    for effect in effects:
        if isinstance(effect, Write):
            unsaved += len(effect.data)
            unsynced += 1
            assert unsaved <= 4 * CHUNK, "more than a checkpoint may be lost"
        elif isinstance(effect, Sync):
            unsynced = 0
        elif isinstance(effect, Save):
            assert unsynced == 0, "the map was saved before the data was durable"
            unsaved = 0
    assert unsaved == 0
    last = [effect for effect in effects if isinstance(effect, Save)][-1]
    assert ChunkMap.from_bytes(last.data).complete


def test_a_fresh_transfer_begins_with_an_empty_map_and_no_file():
    t = Transfer().begin()
    save, delete = t.wrote(Save, Delete)
    assert (save.file, ChunkMap.from_bytes(save.data).count) == ("map", 0)
    assert delete.file == "slot-b"


def test_a_saved_map_of_the_same_blob_is_resumed():
    here = ChunkMap(sha256(IMAGE).digest(), len(IMAGE), CHUNK)
    for index in (0, 1, 2, 5):
        here.add(index)
    t = Transfer(saved_map=here.to_bytes()).begin()
    assert not t.wrote(Delete), "the file was dropped under a map that is true"
    assert [indices(get) for get in t.asked()] == [[3, 4], [6, 7]]
    assert t.download.bytes_done == 4 * CHUNK
    t.finish()
    assert t.download.ended == ""


@pytest.mark.parametrize("blob", [b"x" * 32, sha256(IMAGE).digest()])
def test_a_map_of_another_shape_is_not_believed(blob):
    other = ChunkMap(blob, len(IMAGE), CHUNK * 2)
    other.add(0)
    t = Transfer(saved_map=other.to_bytes()).begin()
    assert t.wrote(Delete)
    assert t.download.bytes_done == 0


def test_a_damaged_map_is_noted_and_forgotten():
    t = Transfer(saved_map=b"damaged").begin()
    assert NoteKind.MAP_LOST in [e.kind for e in t.shared.out if hasattr(e, "kind")]
    assert t.download.bytes_done == 0


def test_a_complete_map_ends_the_transfer_at_once():
    here = ChunkMap(sha256(IMAGE).digest(), len(IMAGE), CHUNK)
    for index in range(here.chunks):
        here.add(index)
    t = Transfer(saved_map=here.to_bytes()).begin()
    assert t.download.ended == ""
    assert not t.asked()


def test_stopping_saves_what_is_here_and_the_next_transfer_goes_on():
    t = Transfer().begin()
    t.answer(t.asked()[:1])
    t.wrote()
    t.download.stop()
    sync, save = t.wrote(Sync, Save)
    assert (sync.file, ChunkMap.from_bytes(save.data).count) == ("slot-b", 2)
    t.download.validate()
    assert t.download.at == NEVER
    t.asked()
    t.begin()
    assert [indices(get) for get in t.asked()] == [[2, 3], [4, 5]]


def test_transfers_have_numbers_of_their_own():
    t = Transfer().begin()
    old = t.asked()
    t.download.stop()
    t.begin()
    new = t.asked()
    assert old[0].transfer != new[0].transfer
    before = t.download.bytes_done
    t.answer(old)
    assert t.download.bytes_done == before, "a frame of a transfer that is over was used"
    assert t.download.dropped == 4
    assert not t.asked(), "a stale frame caused a request"


def test_a_duplicate_is_dropped_and_causes_nothing():
    t = Transfer().begin()
    get = t.asked()[0]
    frame = t.frames(get)[0]
    t.take(frame)
    t.wrote()
    for _ in range(5):
        t.take(frame)
    assert (t.asked(), t.wrote(), t.download.dropped) == ([], [], 5)


def test_the_last_frame_twice_ends_one_round():
    t = Transfer().begin()
    get = t.asked()[0]
    frames = t.frames(get)
    t.take(frames[0])
    t.take(frames[1])
    assert len(t.asked()) == 1
    t.take(frames[1])
    assert not t.asked(), "a duplicate of the last frame caused another request"


def test_frames_of_no_request_or_out_of_range_are_dropped():
    t = Transfer().begin()
    get = t.asked()[0]
    for index, seq in ((0, 99), (9, get.seq), (10_000, get.seq), (2, get.seq)):
        frame = codec.Frame(get.transfer, seq, get.blob[:8], index, 0)
        t.take(codec.encode_frame(frame, b"x" * CHUNK))
    wrong = codec.Frame(get.transfer, get.seq, bytes(8), 0, 0)
    t.take(codec.encode_frame(wrong, b"x" * CHUNK))
    assert (t.download.dropped, t.asked(), t.download.bytes_done) == (5, [], 0)


def test_what_is_no_frame_raises():
    with pytest.raises(BadMessage):
        Transfer().begin().download.frame(b"short", 0)


def test_frames_without_a_transfer_are_dropped():
    t = Transfer().begin()
    frame = t.frames(t.asked()[0])[0]
    idle = Transfer()
    idle.take(frame)
    assert idle.download.dropped == 1
    idle.say(ControlVerb.WAIT, Get(transfer=1, seq=1, blob=bytes(32), base=0, count=1))
    assert idle.download.dropped == 2
    idle.download.due(0)


def test_lost_chunks_of_a_round_are_asked_for_by_bitmap():
    t = Transfer().begin()
    t.answer(t.asked())
    first, second = t.asked()
    frames = t.frames(first)
    for frame in (frames[0], frames[-1]):
        t.take(frame)
    again = t.asked()[0]
    assert indices(again)[: len(frames) - 2] == indices(first)[1:-1]
    assert not set(indices(again)) & set(indices(second)), "asked for twice at once"
    span = indices(again)[-1] - again.base + 1
    assert (span == len(indices(again))) == (not again.bitmap)


def test_a_lost_round_is_asked_for_again_by_its_own_timer_with_a_smaller_window():
    t = Transfer().begin()
    t.answer(t.asked())
    before = t.asked()
    t.due()
    again = t.asked()
    assert sum(len(indices(get)) for get in before) > sum(len(indices(get)) for get in again)
    assert indices(again[0])[0] == indices(before[0])[0]
    t.answer(again)
    assert t.asked()


def test_the_frames_of_a_late_round_are_used_but_cause_nothing():
    t = Transfer().begin()
    old = t.asked()
    t.due()
    new = t.asked()
    t.answer(old[:1])
    assert not t.asked(), "a late frame caused a request"
    done = t.download.bytes_done
    assert done == 2 * CHUNK
    t.answer(new)
    assert t.download.bytes_done > done or t.download.dropped


def test_a_last_frame_whose_chunk_came_late_still_ends_its_round():
    t = Transfer().begin()
    old = t.asked()
    t.due()
    new = t.asked()
    t.answer(old[:1])
    t.answer(new[:1])
    assert t.download.dropped == len(indices(new[0]))
    assert t.asked(), "the round is over and nothing was asked for"


def test_a_round_behind_another_is_not_late_while_that_one_comes():
    t = Transfer().begin()
    first, second = t.asked()
    deadline = t.download.at
    frames = t.frames(first)
    t.now = deadline - MS
    t.take(frames[0])
    assert t.download.at > deadline
    t.answer([second])
    assert t.download.ended is None


def test_a_small_blob_stays_in_ram_and_is_believed_as_a_whole():
    t = Transfer(blob=SMALL, hashed=False).begin()
    t.finish()
    assert not t.wrote(Write, Save)
    assert t.download.keep() == SMALL
    assert [(e.file, e.data) for e in t.wrote(Save)] == [("meta", SMALL)]


def test_a_small_blob_that_is_wrong_as_a_whole_is_fetched_three_times():
    t = Transfer(blob=SMALL, hashed=False).begin()
    t.gateway.blobs[t.source.blob] = (pattern(6, len(SMALL)), CHUNK)
    t.finish()
    assert t.download.ended == INTEGRITY
    assert sum(0 in indices(get) for get in t.gateway.gets) == 3


def test_a_blob_in_ram_does_not_disturb_the_map_of_an_image():
    t = Transfer().begin()
    t.answer(t.asked())
    t.download.stop()
    image, blob = t.source, SMALL
    t.gateway.blobs[sha256(blob).digest()] = (blob, CHUNK)
    t.source = Source(sha256(blob).digest(), len(blob), CHUNK, "meta", None)
    t.asked()
    t.begin()
    t.finish()
    t.download.stop()
    t.source = image
    t.begin()
    assert indices(t.asked()[0])[0] == 4


def _large(saved_map=None):
    return Transfer(saved_map=saved_map, blob=LARGE, hashed=False)


def test_a_large_blob_without_hashes_is_resumed_from_its_file():
    t = _large().begin()
    t.answer(t.asked())
    t.answer(t.asked()[:1])
    t.download.stop()
    effects = t.wrote(Write, Save)
    stored = bytearray()
    for effect in effects:
        if isinstance(effect, Write):
            stored.extend(bytes(max(0, effect.offset + len(effect.data) - len(stored))))
            stored[effect.offset : effect.offset + len(effect.data)] = effect.data
    saved = [effect for effect in effects if isinstance(effect, Save)][-1].data
    count = ChunkMap.from_bytes(saved).count
    assert count > 4
    again = _large(saved).begin(bytes(stored))
    assert again.download.bytes_done == count * CHUNK
    again.finish()
    assert again.download.keep() == LARGE


@pytest.mark.parametrize("stored", [None, LARGE + b"more"])
def test_a_map_whose_file_is_gone_is_not_believed(stored):
    here = ChunkMap(sha256(LARGE).digest(), len(LARGE), CHUNK)
    here.add(0)
    t = _large(here.to_bytes()).begin(stored)
    assert t.download.bytes_done == 0
    t.finish()
    assert t.download.keep() == LARGE


def test_a_large_blob_that_is_wrong_starts_over_in_its_file_too():
    t = _large().begin()
    t.gateway.blobs[t.source.blob] = (pattern(8, len(LARGE)), CHUNK)
    t.finish()
    assert t.download.ended == INTEGRITY
    assert len(t.wrote(Delete)) == 3


def test_forgetting_the_map_deletes_it_once():
    t = Transfer().begin()
    t.wrote()
    t.download.forget_map()
    t.download.forget_map()
    assert [effect.file for effect in t.wrote(Delete)] == ["map"]


def test_validate_finds_a_transfer_that_would_hang():
    t = Transfer().begin()
    t.download._rounds.close_all()
    with pytest.raises(AssertionError, match="it would hang"):
        t.download.validate()
    t = Transfer().begin()
    t.shared.online = False
    with pytest.raises(AssertionError, match="while nothing may be asked for"):
        t.download.validate()
