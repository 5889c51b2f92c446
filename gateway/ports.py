"""What the runtime needs of the world outside, as protocols: storage, blobs, observers, counters.

Decides the calls and what each promises. Leaves out every library; adapters (gateway/adapters) keep
these promises, and tests may bring others that do.

Rules: rows are immutable values of `gateway.core.gateway.TABLES`; what `commit` returned for is
there after a crash at any later instant, what it did not return for is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from gateway.core import effects as ask


class StorageError(RuntimeError):
    """The durable state cannot be read or written; says what was found and what to do."""


class BlobError(RuntimeError):
    """A blob is missing or is not what its name says."""


class Storage(Protocol):
    """Tables of rows by key. Used by one thread at a time; its calls may wait for a disk."""

    def put(self, table: str, key: str, row: Any) -> None:
        """Put a row into the open batch; None deletes. The last word on a key counts."""
        ...

    def commit(self) -> int:
        """Make the open batch durable, whole; returns how many rows it had.

        Raises:
            StorageError: it could not be made durable; the batch is still open.
        """
        ...

    def forget(self) -> int:
        """Throw the open batch away, as a crash does; returns how many rows it had."""
        ...

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """All durable rows as (table, key, row), by table and key.

        Raises:
            StorageError: a row cannot be decoded; names its table and key.
        """
        ...

    def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Up to `limit` durable rows of a table whose keys sort after `after`, in order."""
        ...

    def close(self) -> None:
        """Release the files; nothing else may be called afterwards."""
        ...


class Blobs(Protocol):
    """Content by its SHA-256 (32 bytes)."""

    def put(self, data: bytes) -> bytes:
        """Store bytes durably; returns their digest."""
        ...

    def size_bytes(self, digest: bytes) -> int:
        """Size of a blob.

        Raises:
            BlobError: there is none.
        """
        ...

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """The bytes from `offset`, at most `size` of them; verified before the first read.

        Raises:
            BlobError: missing, or its bytes do not hash to its name.
        """
        ...

    def chunk(self, digest: bytes, offset: int, size: int) -> bytes | memoryview:
        """As `read`, for what others will read soon as well.

        Raises:
            BlobError: as `read`.
        """
        ...

    def ready(self, digest: bytes) -> bool:
        """Whether `read` answers without hashing much first."""
        ...

    def verify(self, digest: bytes) -> None:
        """Hash the whole blob if that was not done yet; for another thread than the loop's.

        Raises:
            BlobError: missing, or its bytes do not hash to its name.
        """
        ...

    def close(self) -> None:
        """Close all open files; reading opens them again."""
        ...


class Observer(Protocol):
    """Sees what the core asked for, when the runtime performs it; decides nothing."""

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """A row is about to enter the open batch."""
        ...

    def published(self, effect: ask.Publish, now: int) -> None:
        """A publish is about to be sent; its rows are durable."""
        ...

    def noted(self, effect: ask.Note, now: int) -> None:
        """The core noted something."""
        ...


class Unobserved:
    """The observer that looks at nothing."""

    __slots__ = ()

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """Nothing."""

    def published(self, effect: ask.Publish, now: int) -> None:
        """Nothing."""

    def noted(self, effect: ask.Note, now: int) -> None:
        """Nothing."""


class Counters(msgspec.Struct):
    """What the runtime counted since it was made; plain integers that others may read at any time.

    Those that end in ``_now`` go up and down, all others only up.
    """

    messages_in: dict[str, int] = {}
    """By kind; ``?`` for topics that are not ours."""
    messages_out: dict[str, int] = {}
    """Publishes by kind; data frames under ``dat``."""
    bytes_in: int = 0
    """Payload bytes."""
    bytes_out: int = 0
    publishes_refused: int = 0
    """PUBACKs with an error."""
    turns: int = 0
    """Batches handled."""
    commits: int = 0
    rows: int = 0
    commit_us_sum: int = 0
    """Real microseconds that commits took, the wait for the storage thread included."""
    commit_us_max: int = 0
    rounds: int = 0
    """Rounds of chunks sent."""
    rounds_dropped: int = 0
    """Rounds not sent: too many waited, waited too long, or the blob could not be read."""
    rounds_waiting_now: int = 0
    connects: int = 0
    """Successful connects of both connections."""
    disconnects: int = 0
    connect_failures: int = 0
    inbox_now: int = 0
    inbox_max: int = 0
    """The longest the inbox has been."""
    inbox_dropped: int = 0
    """QoS 0 messages that found the inbox full."""
    outbox_rows_now: int = 0
    """Retained payloads that the broker has not taken yet."""
    unacked_in_now: int = 0
    """Messages received and not acknowledged to the broker yet."""
    unacked_out_now: int = 0
    """Publishes that the broker has not acknowledged yet."""
    connected_now: int = 0
    """1 while both connections are up and subscribed."""
    starts: int = 0


class AlarmTally(msgspec.Struct):
    """Alarms in numbers, as of the last look; values are replaced whole, so another thread may read them."""

    open_now: dict[tuple[str, str, str], int] = {}
    """By kind, severity and state."""
    deliveries_waiting_now: int = 0
    deliveries_dropped: int = 0
    """Since the process began."""


class TraceTally(msgspec.Struct):
    """Spans in numbers; plain integers that others may read at any time. Each is written by one thread."""

    accepted: int = 0
    """Into the queue."""
    taken: int = 0
    """Out of the queue, to be sent."""
    exported: int = 0
    """Taken by the collector."""
    dropped: int = 0
    """The queue was full, or the gateway was ending."""
    failed: int = 0
    """Not taken by the collector, and not sent again."""

    @property
    def waiting_now(self) -> int:
        """In the queue."""
        return self.accepted - self.taken


Told = dict[str, str | int]
"""What a span says: names of `gateway.runtime.tracing`, numbers and short words. Never a token, a payload or a label."""


class Span(Protocol):
    """Something that takes time, in a trace."""

    @property
    def recording(self) -> bool:
        """Whether its trace is one of the sample."""
        ...

    def tell(self, told: Told) -> None:
        """Say more of it; nothing happens when it has ended."""
        ...

    def end(self, *, failed: bool = False) -> None:
        """It is over."""
        ...


class Tracing(Protocol):
    """Where what is done is told as spans. Nothing of it waits for the world outside but `close`."""

    on: bool
    """Whether anybody listens; nothing else is asked where not."""
    tally: TraceTally

    def begin(
        self,
        name: str,
        told: Told,
        *,
        parent: Span | None = None,
        caller: str = "",
        took_us: int = 0,
    ) -> Span:
        """Begin a span.

        Args:
            name: a few words of a closed set.
            told: what it says.
            parent: within what it happens; None: nothing.
            caller: a ``traceparent`` of W3C Trace Context; empty or malformed: none.
            took_us: how long ago it began, microseconds.
        """
        ...

    def close(self) -> None:
        """Send what waits, bounded in time; blocks."""
        ...


class Unspanned:
    """The span of `Untraced`."""

    __slots__ = ()
    recording = False

    def tell(self, told: Told) -> None:
        """Nothing."""

    def end(self, *, failed: bool = False) -> None:
        """Nothing."""


class Untraced:
    """The tracing that tells nobody."""

    def __init__(self) -> None:
        self.on = False
        self.tally = TraceTally()

    def begin(
        self,
        name: str,  # noqa: ARG002 - as the protocol has it
        told: Told,  # noqa: ARG002
        *,
        parent: Span | None = None,  # noqa: ARG002
        caller: str = "",  # noqa: ARG002
        took_us: int = 0,  # noqa: ARG002
    ) -> Span:
        """A span that says nothing."""
        return Unspanned()

    def close(self) -> None:
        """Nothing."""
