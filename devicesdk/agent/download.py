"""Fetching one blob in chunks, until it is here or cannot be had.

Decides what to ask for and when, what of the answers to believe, and when to give up. Leaves out
which blob is wanted and what it is good for (update.py), the path's measurements (pace.py) and the
books of what was asked (rounds.py).

Rules: a chunk is written only after its hash was right (a blob without a hash list is small, stays in
RAM and is believed as a whole or not at all); frames of no open request, of another transfer, twice
the same or out of range are counted, dropped, and *never cause a request*; WAIT never counts against
anything; every wait has a timer. The chunk map follows the data: `Sync`, then `Save` of the map, at
least every `checkpoint_bytes`, so that a power cut costs at most that much. The map names the blob,
so it serves any later deployment of the same bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from devicesdk.agent.effects import Delete, Publish, Save, Sync, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.pace import Pace
from devicesdk.agent.rounds import Round, Rounds
from devicesdk.agent.shared import Shared
from devicesdk.agent.sites import CHECKPOINT_OFTEN, REQUESTS_REVERSED, WINDOW_OF_ONE
from devicesdk.bundle.chunks import ChunkMap, HashList
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.codec import Frame
from devicesdk.wire.errors import BadManifest, Nack
from devicesdk.wire.messages import Control, ControlVerb, Get
from devicesdk.wire.timebase import HOUR, MINUTE, MS, NEVER, SECOND

MAP_FILE: Final = "map"
EMPTY_ROUNDS_UNTIL_LOOK: Final = 5
EMPTY_ROUNDS_MAX: Final = 32
CHUNK_FAILURES_MAX: Final = 3
SAME_NACK_MAX: Final = 3
LOOK_NS_MIN: Final = 30 * SECOND
LOOK_NS_MAX: Final = 5 * MINUTE
WAIT_NS_MIN: Final = 10 * MS
WAIT_NS_MAX: Final = HOUR

DONE: Final = ""
"""`Download.ended` of a blob that is here; other values are reasons why it never will be."""
LINK: Final = "link"
INTEGRITY: Final = "integrity"


class Source(msgspec.Struct, frozen=True):
    """A blob to fetch, and where it goes."""

    blob: bytes
    """SHA-256, 32 bytes."""
    size_bytes: int
    chunk_bytes: int
    file: str
    hashes: HashList | None
    """None: the blob is small, is kept in RAM, and is verified as a whole."""
    volatile: bool = False
    """Kept in RAM alone, however large: it leaves file and map of what was fetched before as they are."""


class Download:
    """The one transfer that an agent has at a time."""

    __slots__ = (
        "_buffer",
        "_checkpoint_bytes",
        "_chunk_failures",
        "_durable",
        "_empty",
        "_held",
        "_here",
        "_kept",
        "_last_end",
        "_nacks",
        "_pace",
        "_patience_ns",
        "_pause_until",
        "_rounds",
        "_shared",
        "_transfer",
        "_transfers",
        "_unsaved_bytes",
        "_whole_failures",
        "dropped",
        "ended",
        "nack",
        "source",
    )

    def __init__(self, shared: Shared, saved_map: bytes | None) -> None:
        self._shared = shared
        self._pace = Pace()
        self._rounds = Rounds()
        self.source: Source | None = None
        self._here: ChunkMap | None = None
        """What is here of the blob in hand."""
        self._kept: ChunkMap | None = None
        """What is in a file of the blob that was last written to one: survives `stop`, other blobs
        fetched into RAM and, as far as it was saved, a boot."""
        self.ended: str | None = None
        self.nack: Nack | None = None
        """The refusal that ended the transfer, if one did."""
        self.dropped = 0
        """Frames and verbs of this transfer that were of no use."""
        self._transfers = self._transfer = 0
        self._buffer: bytearray | None = None
        self._durable = self._held = False
        self._patience_ns = self._pause_until = self._last_end = 0
        self._unsaved_bytes = self._empty = self._whole_failures = 0
        self._checkpoint_bytes = shared.config.checkpoint_bytes
        self._chunk_failures: dict[int, int] = {}
        self._nacks: dict[Nack, int] = {}
        if saved_map is not None:
            try:
                self._kept = ChunkMap.from_bytes(saved_map)
            except BadManifest:
                shared.note(NoteKind.MAP_LOST)

    @property
    def at(self) -> int:
        """When something here is due."""
        if self.source is None:
            return NEVER
        pause = self._pause_until
        return min(self._rounds.at, pause) if pause else self._rounds.at

    @property
    def bytes_done(self) -> int:
        """How much of the blob in hand is here."""
        return 0 if self._here is None else self._here.bytes_done

    def kept_bytes(self, blob: bytes) -> int:
        """How much of a blob its file holds, from whatever transfer of it."""
        kept = self._kept
        return kept.bytes_done if kept is not None and kept.blob == blob else 0

    @property
    def kept_whole(self) -> bool:
        """Whether the map in hand says that a whole blob is in its file."""
        return self._kept is not None and self._kept.complete

    def take(self) -> bytes:
        """The blob that was fetched into RAM."""
        assert self._buffer is not None, "this blob is in a file already"
        return bytes(self._buffer)

    def keep(self) -> bytes:
        """Put the blob that was fetched into RAM into its file as a whole, and return it."""
        assert self.source is not None, "no blob was fetched"
        data = self.take()
        self._shared.out.append(Save(self.source.file, data))
        return data

    # -- beginning and ending -----------------------------------------------------------------------

    def begin(self, source: Source, stored: bytes | None, now: int) -> None:
        """Fetch a blob, from where an earlier transfer of it stopped if the map says so.

        Args:
            source: what to fetch.
            stored: for a blob kept in RAM, what its file holds now.
            now: instant.
        """
        self._checkpoint()  # of what was fetched until now, if nobody stopped it
        self._transfers += 1
        self._transfer = (self._shared.boot_id & 0xFFFF) << 16 | self._transfers & 0xFFFF
        self.source, self.ended, self.nack = source, None, None
        self.dropped = self._empty = self._whole_failures = self._unsaved_bytes = 0
        self._pause_until, self._held = 0, False
        self._chunk_failures.clear()
        self._nacks.clear()
        self._rounds = Rounds()
        config, hardship = self._shared.config, self._shared.hardship
        alone = hardship.fires(WINDOW_OF_ONE)
        self._pace.begin(source.chunk_bytes, 1 if alone else config.round_bytes_max)
        often = hardship.fires(CHECKPOINT_OFTEN)
        self._checkpoint_bytes = source.chunk_bytes if often else config.checkpoint_bytes
        large = source.size_bytes > config.checkpoint_bytes
        self._durable = not source.volatile and (large or source.hashes is not None)
        here = self._here = self._lay_out(source, stored)
        self._shared.note(NoteKind.FETCH_BEGUN, here.chunks, here.count)
        if here.complete:
            self._all_here(now)
        else:
            self._ask(now)

    def _lay_out(self, source: Source, stored: bytes | None) -> ChunkMap:
        """Bring buffer, map and files into the shape of the blob."""
        fresh = ChunkMap(source.blob, source.size_bytes, source.chunk_bytes)
        self._buffer = bytearray(source.size_bytes) if source.hashes is None else None
        if not self._durable:
            return fresh
        old = self._kept
        reusable = (
            old is not None
            and old.count > 0
            and (old.blob, old.size_bytes, old.chunk_bytes)
            == (source.blob, source.size_bytes, source.chunk_bytes)
        )
        if self._buffer is not None and reusable:
            reusable = stored is not None and len(stored) <= source.size_bytes
            if stored is not None and reusable:
                self._buffer[: len(stored)] = stored
        if reusable and old is not None:
            return old
        self._start_over(source, fresh)
        return fresh

    def _start_over(self, source: Source, fresh: ChunkMap) -> None:
        """The map first: one that named chunks of a file that is gone would be believed."""
        self._kept = fresh
        self._unsaved_bytes = 0
        self._shared.out.append(Save(MAP_FILE, fresh.to_bytes()))
        self._shared.out.append(Delete(source.file))

    def stop(self) -> None:
        """Fetch nothing any more; the map stays, for a later transfer of the same blob."""
        self._checkpoint()
        self.source = self._here = self._buffer = None
        self._rounds.close_all()
        self._pause_until = 0

    def forget_map(self) -> None:
        """The blob is installed, or what the map says is not true any more."""
        self._unsaved_bytes = 0
        if self._kept is not None:
            self._kept = None
            self._shared.out.append(Delete(MAP_FILE))

    def hold(self) -> None:
        """Ask for nothing more; use what is on its way."""
        if self.source is not None and not self._held:
            self._held = True
            self._rounds.set_aside()

    def go_on(self, now: int) -> None:
        """Ask again after `hold`."""
        if self._held:
            self._held = False
            self._ask(now)

    def online(self, now: int) -> None:
        """Publishing makes sense again."""
        self._ask(now)

    def offline(self) -> None:
        """The connection is gone, and all answers that were on it. Nobody's fault, and no attempt."""
        self._rounds.close_all()

    # -- what comes -----------------------------------------------------------------------------------

    def frame(self, payload: bytes, now: int) -> None:
        """A data frame.

        Raises:
            BadMessage: not a data frame.
        """
        frame, chunk = codec.decode_frame(payload)
        source, here = self.source, self._here
        if (
            source is None
            or here is None
            or self.ended is not None
            or frame.transfer != self._transfer
            or frame.digest8 != source.blob[:8]
        ):
            self._drop()
            return
        one, is_open = self._rounds.find(frame.seq)
        if one is None or not one.takes(frame.chunk):
            self._drop()
            return
        if self._take(source, here, frame.chunk, chunk, now) and is_open:
            self._went_on(one, frame, len(chunk), now)

    def control(self, control: Control, now: int) -> None:
        """WAIT or NACK."""
        if self.source is None or control.transfer != self._transfer or self.ended is not None:
            self._drop()
            return
        one, is_open = self._rounds.find(control.seq)
        if one is None or not is_open:
            self._drop()
            return
        self._rounds.close(control.seq)
        if control.verb is ControlVerb.WAIT:
            self._wait(control.retry_after_ms, now)
        else:
            self._refused(control.code or Nack.INTERNAL_ERROR, now)

    def due(self, now: int) -> None:
        """A pause is over, or requests were not answered in time."""
        if self.source is None or self.ended is not None:
            return
        if self._pause_until and now >= self._pause_until:
            self._pause_until = 0
            self._ask(now)
        if now >= self._rounds.at:
            self._lost(self._rounds.expire(now), now)

    # -- chunks ---------------------------------------------------------------------------------------

    def _take(
        self, source: Source, here: ChunkMap, index: int, chunk: memoryview, now: int
    ) -> bool:
        """Use a chunk that was asked for; False when that ended the transfer."""
        good = len(chunk) == here.bytes_of(index)
        if good and source.hashes is not None:
            good = self._shared.digests.match(source.hashes[index], chunk)
        if not good:
            return self._bad_chunk(index)
        if not here.add(index):  # a late frame was quicker than the one that was asked for again
            self._drop()
            return True
        self._empty = 0
        if self._nacks:
            self._nacks.clear()
        self._store(source, index * source.chunk_bytes, chunk)
        return self._all_here(now) if here.complete else True

    def _store(self, source: Source, offset: int, chunk: memoryview) -> None:
        if self._buffer is not None:
            self._buffer[offset : offset + len(chunk)] = chunk
        if not self._durable:
            return
        self._shared.out.append(Write(source.file, offset, chunk))
        self._unsaved_bytes += len(chunk)
        if self._unsaved_bytes + source.chunk_bytes > self._checkpoint_bytes:
            self._checkpoint()

    def _checkpoint(self) -> None:
        source, kept = self.source, self._kept
        if self._unsaved_bytes and source is not None and kept is not None:
            self._unsaved_bytes = 0
            self._shared.out.append(Sync(source.file))
            self._shared.out.append(Save(MAP_FILE, kept.to_bytes()))

    def _bad_chunk(self, index: int) -> bool:
        failures = self._chunk_failures.get(index, 0) + 1
        self._chunk_failures[index] = failures
        self._shared.note(NoteKind.CHUNK_BAD, index, failures)
        if failures < CHUNK_FAILURES_MAX:
            return True
        self._end(INTEGRITY)
        return False

    def _all_here(self, now: int) -> bool:
        """Believe the whole, or fetch it again; False when the transfer ended."""
        source, here = self.source, self._here
        assert source is not None, "a blob that nobody asked for is complete"
        assert here is not None, "a blob without a map is complete"
        if self._buffer is None or sha256(self._buffer).digest() == source.blob:
            self._checkpoint()
            self._shared.note(NoteKind.FETCH_DONE, here.chunks, self.dropped)
            self._end(DONE)
            return False
        self._whole_failures += 1
        self._shared.note(NoteKind.IMAGE_BAD, self._whole_failures)
        if self._whole_failures >= CHUNK_FAILURES_MAX:
            self._end(INTEGRITY)
            return False
        self._fetch_again(source, now)
        return True

    def _fetch_again(self, source: Source, now: int) -> None:
        fresh = self._here = ChunkMap(source.blob, source.size_bytes, source.chunk_bytes)
        if self._durable:
            self._start_over(source, fresh)
        self._rounds.close_all()
        self._ask(now)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self._rounds.close_all()
        self._pause_until = 0

    def _drop(self) -> None:
        self.dropped += 1

    # -- requests -------------------------------------------------------------------------------------

    def _went_on(self, one: Round, frame: Frame, size: int, now: int) -> None:
        """An open request shows life, and may be over with this frame."""
        one.got += 1
        one.bytes += size
        if one.got == 1 and one.asked_alone:
            self._pace.answered(now - one.sent_at)
        rounds = self._rounds
        if frame.last or not one.wanted:
            rounds.close(one.seq)
            took = now - max(one.sent_at, self._last_end)
            self._last_end = now
            clean = one.got == frame.round_count or not one.wanted
            self._pace.round_over(one.bytes, took, clean=clean)
            self._measure_patience()
        deadline = now + self._patience_ns
        if one.deadline != deadline:  # of a batch the first frame has said so
            rounds.alive(one.seq, deadline)
        if len(rounds) < self._shared.config.rounds_outstanding_max:
            self._ask(now)

    def _ask(self, now: int) -> None:
        """Send requests until as many are outstanding as may be."""
        source, here = self.source, self._here
        if source is None or here is None or self.ended is not None or self._held:
            return
        if not self._shared.online or self._pause_until > now:
            return
        span_max = min(
            max(1, limits.ROUND_BYTES_MAX // source.chunk_bytes), limits.ROUND_CHUNKS_MAX
        )
        out, first = self._shared.out, len(self._shared.out)
        while len(self._rounds) < self._shared.config.rounds_outstanding_max:
            picked = self._rounds.pick(here, self._pace.chunks, span_max)
            if picked is None:
                break
            one = self._rounds.open(*picked, now)
            self._measure_patience()
            self._rounds.alive(one.seq, now + self._patience_ns)
            self._request(source, one)
        if len(out) > first + 1 and self._shared.hardship.fires(REQUESTS_REVERSED):
            out[first:] = out[: first - 1 if first else None : -1]

    def _measure_patience(self) -> None:
        """Draw anew what a sign of life may take: when something was asked or learnt, not each frame."""
        assert self.source is not None, "no transfer to be patient with"
        self._patience_ns = self._pace.patience_ns(self.source.chunk_bytes, self._shared.dice)

    def _request(self, source: Source, one: Round) -> None:
        bits, span = one.wanted, one.wanted.bit_length()
        whole = bits == (1 << span) - 1
        get = Get(
            transfer=self._transfer,
            seq=one.seq,
            blob=source.blob,
            base=one.base,
            count=span,
            bitmap=b"" if whole else bits.to_bytes((span + 7) // 8, "little"),
            credit=bits.bit_count() * source.chunk_bytes,
            rtt_ms=self._pace.rtt_ms,
        )
        # QoS 0: a request that is lost is late, and its own timer sees to that. An acknowledgement
        # would say nothing more, and a request kept for an absent gateway would be answered stale.
        self._shared.out.append(Publish(topics.GET, codec.encode(get), 0, retain=False))

    def _lost(self, expired: list[Round], now: int) -> None:
        self._pace.timed_out()
        if not any(one.got for one in expired):
            self._empty += 1
        self._shared.note(NoteKind.ROUND_LOST, self._empty)
        if self._empty >= EMPTY_ROUNDS_MAX:
            self._end(LINK)
        elif self._empty and self._empty % EMPTY_ROUNDS_UNTIL_LOOK == 0:
            self._look_at_the_link(now)
        else:
            self._ask(now)

    def _look_at_the_link(self, now: int) -> None:
        longest = min(
            LOOK_NS_MIN << (self._empty // EMPTY_ROUNDS_UNTIL_LOOK - 1),
            LOOK_NS_MAX,
        )
        pause = self._shared.dice.between(longest // 2, longest)
        self._shared.note(NoteKind.LINK_LOOK, pause // MS, self._empty)
        self._pause_until = now + pause

    def _wait(self, retry_after_ms: int, now: int) -> None:
        pause = min(max(retry_after_ms * MS, WAIT_NS_MIN), WAIT_NS_MAX)
        self._shared.note(NoteKind.TOLD_TO_WAIT, pause // MS)
        # Only ever later: those who were told the same come back apart, and none before its time.
        pause += self._shared.dice.below(pause // 8)
        self._pause_until = max(self._pause_until, now + pause)

    def _refused(self, code: Nack, now: int) -> None:
        times = self._nacks[code] = self._nacks.get(code, 0) + 1
        self._shared.note(NoteKind.REFUSED, times, int(code.terminal))
        if code.terminal or times >= SAME_NACK_MAX:
            self.nack = code
            self._end(f"nack:{code}")
            return
        pause = self._shared.dice.between(SECOND << times - 1, SECOND << times)
        self._pause_until = max(self._pause_until, now + pause)

    def validate(self) -> None:
        """Check bounds and that a transfer under way waits for something.

        Raises:
            AssertionError: too many requests, or none, no pause and no reason to rest.
        """
        outstanding = len(self._rounds)
        most = self._shared.config.rounds_outstanding_max
        assert outstanding <= most, f"{outstanding} requests outstanding, at most {most} may be"
        if self.source is None or self.ended is not None or self._held or not self._shared.online:
            assert not outstanding, "requests outstanding while nothing may be asked for"
            return
        assert outstanding or self._pause_until, "the transfer waits for nothing: it would hang"
