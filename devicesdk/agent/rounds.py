"""The chunk requests under way: what was asked for, what came, what is late.

Decides which chunks the next request names and when one is over. Leaves out the bytes (download.py)
and the timing rules (pace.py).

Rules: a chunk is asked for by one outstanding request at a time; a request that timed out is
remembered for a while, so that its late frames are still used where their chunk is missing (and send
nothing); frames of a request that was never made, or is forgotten, are stale. Requests are answered
in their order: a sign of life of one renews the patience with those asked after it, not before it.
"""

from __future__ import annotations

from typing import Final

from devicesdk.bundle.chunks import ChunkMap
from devicesdk.wire.timebase import NEVER

LATE_ROUNDS_MAX: Final = 8
LOOK_CHUNKS: Final = 4096
"""Looked at in one go for the next chunk to ask for."""


class Round:
    """One request."""

    __slots__ = ("asked_alone", "base", "bytes", "deadline", "got", "sent_at", "seq", "wanted")

    def __init__(self, seq: int, base: int, wanted: int, now: int, *, asked_alone: bool) -> None:
        self.seq = seq
        self.base = base
        self.wanted = wanted
        """Bits of the chunks from `base` that have not come yet."""
        self.sent_at = now
        self.deadline = NEVER
        self.got = 0
        """Frames that came, duplicates included."""
        self.bytes = 0
        self.asked_alone = asked_alone

    def takes(self, chunk: int) -> bool:
        """Strike a chunk off; False when it was not asked for here, or came already."""
        offset = chunk - self.base
        if offset < 0 or not self.wanted >> offset & 1:
            return False
        self.wanted ^= 1 << offset
        return True


class Rounds:
    """The outstanding requests of one transfer."""

    __slots__ = ("_late", "_open", "at", "seq")

    def __init__(self) -> None:
        self._open: list[Round] = []
        self._late: list[Round] = []
        self.at = NEVER
        """When the first of them has waited too long."""
        self.seq = 0

    def __len__(self) -> int:
        return len(self._open)

    def find(self, seq: int) -> tuple[Round | None, bool]:
        """The request with this number, and whether it is still waited for."""
        for one in self._open:
            if one.seq == seq:
                return one, True
        for one in self._late:
            if one.seq == seq:
                return one, False
        return None, False

    def pick(self, here: ChunkMap, chunks_max: int, span_max: int) -> tuple[int, int] | None:
        """The next chunks to ask for, as (base, bits from base), or None when all are on their way.

        The lowest missing chunk that nobody was asked for, and up to `chunks_max` in all within
        `span_max` from it.
        """
        base, free = here.first_missing, 0
        while base < here.chunks:
            free = here.missing(base, LOOK_CHUNKS) & ~self._asked(base, LOOK_CHUNKS)
            if free:
                break
            base += LOOK_CHUNKS
        if not free:
            return None
        base += _lowest(free)
        free = here.missing(base, span_max) & ~self._asked(base, span_max)
        return base, _lowest_bits(free, chunks_max)

    def open(self, base: int, bits: int, now: int) -> Round:
        """A request is being sent."""
        self.seq += 1
        one = Round(self.seq, base, bits, now, asked_alone=not self._open)
        self._open.append(one)
        return one

    def alive(self, seq: int, deadline: int) -> None:
        """A frame of request `seq` came: it and those behind it may take until `deadline`."""
        at = NEVER
        for one in self._open:
            if one.seq >= seq:
                one.deadline = deadline
            at = min(at, one.deadline)
        self.at = at

    def close(self, seq: int) -> None:
        """The request is over; what it did not bring may be asked for again."""
        self._open = [one for one in self._open if one.seq != seq]
        self._set_timer()

    def close_all(self) -> None:
        """Nothing is waited for any more, and nothing late is expected."""
        self._open.clear()
        self._late.clear()
        self.at = NEVER

    def expire(self, now: int) -> list[Round]:
        """Close the requests whose time is over and return them; their late frames are still used."""
        expired = [one for one in self._open if one.deadline <= now]
        if expired:
            self._open = [one for one in self._open if one.deadline > now]
            self._late = (self._late + expired)[-LATE_ROUNDS_MAX:]
        self._set_timer()
        return expired

    def set_aside(self) -> None:
        """Send nothing more, but use what is on its way."""
        self._late = (self._late + self._open)[-LATE_ROUNDS_MAX:]
        self._open = []
        self.at = NEVER

    def _asked(self, base: int, span: int) -> int:
        """Bits of the chunks from `base` that somebody was asked for, `span` of them and perhaps more."""
        bits = 0
        for one in self._open:
            offset = one.base - base
            if offset < 0:
                bits |= one.wanted >> -offset
            elif offset < span:
                bits |= one.wanted << offset
        return bits

    def _set_timer(self) -> None:
        self.at = min([one.deadline for one in self._open], default=NEVER)


def _lowest(bits: int) -> int:
    """The place of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def _lowest_bits(bits: int, count: int) -> int:
    """Its lowest `count` set bits."""
    if bits.bit_count() <= count:
        return bits
    left, kept = bits, 0
    for _ in range(count):
        low = left & -left
        left ^= low
        kept |= low
    return kept
