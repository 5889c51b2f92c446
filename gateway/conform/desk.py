"""The chunk server of the harness: correct, except where it plays a trick.

Decides what each chunk request gets: a round, a WAIT, a NACK, silence, or a round in which something
is wrong; and judges the requests. Leaves out when answers leave (stage.py) and what is wanted of the
device (chapters.py). Requests are read and checked by the gateway's own functions.

Rules: at most `ROUND_CHUNKS` chunks a round, so that a small image takes many; a trick that needs more
chunks than a request asks for waits for the next one; the books hold what was sent intact on a
connection that lived, nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from hashlib import sha256
from typing import Final

from devicesdk.wire import codec, limits, topics
from devicesdk.wire.codec import Frame
from devicesdk.wire.errors import BadMessage, Nack, Wait
from devicesdk.wire.messages import Control, ControlVerb, Get
from devicesdk.wire.timebase import MS, format_duration
from gateway.conform.ledger import Ledger
from gateway.conform.parcels import Blob, Parcel
from gateway.core.transfers import request

ROUND_CHUNKS: Final = 4
WAIT_MS: Final = 700
EARLY_NS: Final = 50 * MS
"""Clocks and networks: so much too early is not early."""
IN_FLIGHT_NS: Final = 150 * MS
"""A request that comes so soon after an answer may have been under way."""
PATIENCE_NS_MIN: Final = 700 * MS
TRANSIENT_NS_MIN: Final = 500 * MS
STRAGGLER_NS: Final = 1_500 * MS
"""So long after it was overtaken a want may still cause requests: the news has to travel."""
REQUESTS_MAX: Final = 2


class Trick(Enum):
    """What is done to one request; the value is how many chunks it needs."""

    FAIR = 0, "fair"
    WAIT = 0, "wait"
    UNSURE = 0, "transient nack"
    GONE = 0, "terminal nack"
    SILENT = 0, "silent"
    BENT = 1, "bent"
    LOSSY = 2, "lossy"
    TWICE = 1, "twice"
    SHUFFLED = 3, "shuffled"
    STRAY = 2, "stray"

    @property
    def chunks(self) -> int:
        """How many chunks a request must ask for."""
        return self.value[0]


class Shelf:
    """One blob, and the books of who got what of it."""

    __slots__ = ("bent", "blob", "rank", "sent", "strays", "tricks", "wrong_always")

    def __init__(self, blob: Blob, rank: int) -> None:
        self.blob = blob
        self.rank = rank
        """0 manifest, 1 hash list, 2 image; -1 metadata of a role."""
        self.sent: dict[int, int] = {}
        """Chunks sent intact, and when."""
        self.strays: set[int] = set()
        self.bent: set[int] = set()
        self.tricks: deque[Trick] = deque()
        self.wrong_always: frozenset[int] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether all of it was sent intact."""
        return len(self.sent) == self.blob.chunks


class Asked:
    """A request that was taken."""

    __slots__ = ("at", "chunks", "get", "shelf")

    def __init__(self, get: Get, shelf: Shelf, chunks: tuple[int, ...], at: int) -> None:
        self.get, self.shelf, self.chunks, self.at = get, shelf, chunks, at


Answer = tuple[str, bytes]
"""Topic kind and payload."""


class Desk:
    """Serves one device.

    Args:
        ledger: where verdicts go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.shelves: dict[bytes, Shelf] = {}
        self._public: dict[bytes, Shelf] = {}
        self._former: dict[bytes, int] = {}
        self._open: list[Asked] = []
        self._silent: list[Asked] = []
        self._last_get = b""
        self._numbers: dict[int, int] = {}
        self._refused: dict[bytes, tuple[str, int]] = {}
        self._short_at: int | None = None
        self.requests = 0

    # -- what may be had ---------------------------------------------------------------------

    def offer(self, parcel: Parcel, now: int) -> tuple[Shelf, Shelf, Shelf]:
        """From now on this is to be had, and what was is not."""
        for digest in self.shelves:
            self._former[digest] = now
        self.shelves = {}
        self.disconnected()
        for rank, blob in enumerate(parcel.blobs):
            self.shelves[blob.digest] = Shelf(blob, rank)
            self._former.pop(blob.digest, None)
        manifest, hashes, image = self.shelves.values()
        return manifest, hashes, image

    def public(self, blobs: Iterable[Blob]) -> None:
        """To be had without a want, from now on: metadata of roles."""
        for blob in blobs:
            self._public.setdefault(blob.digest, Shelf(blob, -1))

    def served(self, data: bytes) -> bool:
        """Whether all of a public blob was sent."""
        shelf = self._public.get(sha256(data).digest())
        return shelf is not None and shelf.complete

    def nothing(self, now: int) -> None:
        """From now on nothing is to be had."""
        for digest in self.shelves:
            self._former[digest] = now
        self.shelves = {}
        self.disconnected()

    def disconnected(self) -> None:
        """The device's connection is gone, or its want: no request is waited for any more."""
        self._open.clear()
        self._silent.clear()
        self._short_at = None

    # -- taking a request --------------------------------------------------------------------

    def take(self, payload: bytes, now: int) -> Asked | Answer | None:
        """Judge a request; an answer at once where it cannot be served, None for a repeated one."""
        if payload == self._last_get:
            return None
        self._last_get = payload
        self.requests += 1
        try:
            get = request.decode_get(payload)
        except BadMessage as error:
            self._ledger.broken("G1", str(error), payload)
            return _nack(0, 0, Nack.INVALID_REQUEST)
        self._number(get, payload)
        self._pace(get, payload, now)
        shelf = self.shelves.get(get.blob) or self._public.get(get.blob)
        if shelf is None:
            return self._not_here(get, payload, now)
        return self._read(get, shelf, payload, now)

    def _number(self, get: Get, payload: bytes) -> None:
        last = self._numbers.get(get.transfer, -1)
        story = f"transfer {get.transfer} asked with number {get.seq} after {last}"
        self._ledger.settle("G5", story, payload, ok=get.seq > last)
        self._numbers[get.transfer] = get.seq

    def _pace(self, get: Get, payload: bytes, now: int) -> None:
        """Whether the device keeps to what it was told, and how soon it follows a short round."""
        told = self._refused.get(get.blob)
        if told is not None:
            rule, at = told
            least = WAIT_MS * MS if rule == "G6" else TRANSIENT_NS_MIN
            gap = now - at
            if gap > IN_FLIGHT_NS:
                del self._refused[get.blob]
                story = (
                    f"asked again {format_duration(gap)} later, expected {format_duration(least)}"
                )
                self._ledger.settle(rule, story, payload, ok=gap >= least - EARLY_NS)
        if self._short_at is not None:
            gap = now - self._short_at
            story = f"the next request came {format_duration(gap)} after a short round"
            self._ledger.settle("G11", story, payload, ok=gap < PATIENCE_NS_MIN)
            self._short_at = None

    def _not_here(self, get: Get, payload: bytes, now: int) -> Answer:
        overtaken = self._former.get(get.blob)
        if overtaken is None:
            self._ledger.broken("G2", "asked for a blob that nobody named", payload)
            return _nack(get.transfer, get.seq, Nack.RESOURCE_NOT_FOUND)
        late = now - overtaken
        if late > STRAGGLER_NS:
            story = f"still asked {format_duration(late)} after the want was over or overtaken"
            self._ledger.broken("W8", story, payload)
        return _nack(get.transfer, get.seq, Nack.SUPERSEDED)

    def _read(self, get: Get, shelf: Shelf, payload: bytes, now: int) -> Asked | Answer:
        blob = shelf.blob
        size = len(blob.data)
        found = request.wanted(get, request.Blob(size, blob.chunk_bytes, blob.chunks))
        if isinstance(found, Nack):
            self._ledger.broken("G1", f"the request deserves {found}", payload)
            return _nack(get.transfer, get.seq, found)
        self._ledger.kept("G1", "G2")
        self._order(shelf, payload)
        self._wanted_again(shelf, found, payload, now)
        asked = Asked(get, shelf, found, now)
        self._open = [one for one in self._open if now - one.at < PATIENCE_NS_MIN]
        self._open.append(asked)
        story = f"{len(self._open)} requests were outstanding"
        self._ledger.settle("G3", story, payload, ok=len(self._open) <= REQUESTS_MAX)
        return asked

    def _order(self, shelf: Shelf, payload: bytes) -> None:
        early = [s for s in self.shelves.values() if s.rank < shelf.rank and not s.complete]
        names = ("the manifest", "the hash list", "the image")
        story = f"asked for {names[shelf.rank]} before the blobs that name it were there"
        self._ledger.settle("G18", story, payload, ok=not early)

    def _wanted_again(
        self, shelf: Shelf, chunks: tuple[int, ...], payload: bytes, now: int
    ) -> None:
        again = [n for n in chunks if n in shelf.sent]
        if again:
            ago = format_duration(now - shelf.sent[again[0]])
            story = f"chunk {again[0]} was asked for again {ago} after it was sent intact"
            self._ledger.broken("G4", story, payload)
        else:
            self._ledger.kept("G4")
        if shelf.strays.intersection(chunks):
            shelf.strays.difference_update(chunks)
            self._ledger.kept("G13")
        if shelf.bent.intersection(chunks):
            self._ledger.kept("G14" if shelf.rank == 2 else "G15")
        for one in [s for s in self._silent if s.shelf is shelf and set(s.chunks) & set(chunks)]:
            self._silent.remove(one)
            self._ledger.kept("G9")
            gap = format_duration(now - one.at)
            story = f"a request was given up after {gap}"
            self._ledger.settle("G10", story, payload, ok=now - one.at >= PATIENCE_NS_MIN)

    # -- answering ---------------------------------------------------------------------------

    def answer(self, asked: Asked, now: int) -> list[Answer]:
        """What the request gets: data frames or a verb; nothing where the trick is silence."""
        if asked.get.blob not in self.shelves and asked.get.blob not in self._public:
            return [_nack(asked.get.transfer, asked.get.seq, Nack.SUPERSEDED)]
        get, shelf = asked.get, asked.shelf
        chunks = asked.chunks[: min(ROUND_CHUNKS, max(1, get.credit // shelf.blob.chunk_bytes))]
        trick = self._next_trick(shelf, len(chunks))
        if trick is Trick.SILENT:
            self._silent.append(asked)
            return []
        if asked in self._open:
            self._open.remove(asked)
        if trick in (Trick.WAIT, Trick.UNSURE, Trick.GONE):
            return [self._verb(get, trick, now)]
        if len(chunks) < len(asked.chunks) and trick is Trick.FAIR and not self._refused:
            self._short_at = now
        return self._round(asked, chunks, trick, now)

    def _next_trick(self, shelf: Shelf, chunks: int) -> Trick:
        if not shelf.tricks or shelf.tricks[0].chunks > chunks:
            return Trick.FAIR
        return shelf.tricks.popleft()

    def _verb(self, get: Get, trick: Trick, now: int) -> Answer:
        if trick is Trick.GONE:
            return _nack(get.transfer, get.seq, Nack.GONE)
        if trick is Trick.UNSURE:
            self._refused[get.blob] = ("G7", now)
            return _nack(get.transfer, get.seq, Nack.INTERNAL_ERROR)
        self._refused[get.blob] = ("G6", now)
        wait = Control(
            verb=ControlVerb.WAIT,
            transfer=get.transfer,
            seq=get.seq,
            retry_after_ms=WAIT_MS,
            why=Wait.BUSY,
        )
        return topics.CTL, codec.encode(wait)

    def _round(self, asked: Asked, chunks: tuple[int, ...], trick: Trick, now: int) -> list[Answer]:
        shelf, sent, out = asked.shelf, list(chunks), []
        if trick is Trick.STRAY:
            out = self._stray_frames(asked, sent.pop())
        if trick is Trick.LOSSY:
            del sent[0]
        if trick is Trick.SHUFFLED:
            sent[:-1] = reversed(sent[:-1])
        bent = {sent[0]} if trick is Trick.BENT else set()
        bent |= shelf.wrong_always
        for chunk in sent:
            last = len(chunks) if chunk == sent[-1] and trick is not Trick.STRAY else 0
            last = len(sent) if trick is Trick.STRAY and chunk == sent[-1] else last
            payload = _frame(asked.get, shelf.blob, chunk, last, bent=chunk in bent)
            out += [payload, payload] if trick is Trick.TWICE else [payload]
            self._book(shelf, chunk, now, bent=chunk in bent)
        return [(topics.DAT, payload) for payload in out]

    def _book(self, shelf: Shelf, chunk: int, now: int, *, bent: bool) -> None:
        if not bent:
            shelf.sent[chunk] = now
            return
        shelf.bent.add(chunk)
        if shelf.rank < 2:
            # Verified as a whole: nothing of it was of use.
            shelf.bent.update(shelf.sent)
            shelf.sent.clear()

    def _stray_frames(self, asked: Asked, chunk: int) -> list[bytes]:
        """Good bytes under wrong names: whoever looks only at the chunk's number takes them."""
        get, shelf = asked.get, asked.shelf
        data = _chunk(shelf.blob, chunk)
        shelf.strays.add(chunk)
        names = (
            Frame(get.transfer ^ 0x55, get.seq, get.blob[:8], chunk, 0),
            Frame(get.transfer, get.seq + 1_000, get.blob[:8], chunk, 0),
            Frame(get.transfer, get.seq, bytes(8), chunk, 0),
            Frame(get.transfer, get.seq, get.blob[:8], shelf.blob.chunks + 7, 0),
        )
        return [codec.encode_frame(name, data) for name in names]


def _chunk(blob: Blob, chunk: int) -> bytes:
    return blob.data[chunk * blob.chunk_bytes : (chunk + 1) * blob.chunk_bytes]


def _frame(get: Get, blob: Blob, chunk: int, last: int, *, bent: bool) -> bytes:
    data = _chunk(blob, chunk)
    if bent:
        data = bytes([data[0] ^ 1]) + data[1:]
    return codec.encode_frame(Frame(get.transfer, get.seq, get.blob[:8], chunk, last), data)


def _nack(transfer: int, seq: int, code: Nack) -> Answer:
    refusal = Control(verb=ControlVerb.NACK, transfer=transfer, seq=seq, code=code)
    return topics.CTL, codec.encode(refusal)


assert limits.ROUNDS_OUTSTANDING_MAX == REQUESTS_MAX
