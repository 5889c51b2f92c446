"""Everything the gateway core can ask for.

The twin of stimuli.py. A host makes all `Persist` rows of a batch durable in one commit *before* it
performs the batch's outward effects, and acknowledges the inbound message after the commit.

Rules: what must not be lost (a `want`, flag snapshot or kill list) is a row of the durable outbox
and a `Publish` with a token in the same batch (or in a later one, when too many are unacknowledged or
the broker is away); the row goes when the token comes back, and `BrokerUp` publishes what is left
again.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all effects."""


class Persist(Effect, frozen=True, gc=False):
    """Put a row (an immutable msgspec Struct of `gateway.core.gateway.TABLES`), or delete it when None."""

    table: str
    key: str
    row: Any


class Publish(Effect, frozen=True, gc=False):
    """Publish; `token` (> 0) asks for a `PubAcked` and means QoS 1, 0 means QoS 0."""

    topic: str
    kind: str
    payload: bytes
    token: int
    retain: bool
    expiry_ns: int = 0
    """Message expiry interval; 0 means none."""


class SendRound(Effect, frozen=True, gc=False):
    """Read these chunks of a blob and publish one data frame each, in order, QoS 0; the last frame
    carries the count. Answered by nothing: the device asks for what is missing."""

    device: str
    transfer: int
    seq: int
    blob: bytes
    chunk_bytes: int
    indices: tuple[int, ...]


class KeepBlob(Effect, frozen=True, gc=False):
    """Put bytes that the core made or was given into the blob store, under their SHA-256, before the
    effects that follow. Asked for again after a restart."""

    data: bytes


class Note(Effect, frozen=True, gc=False):
    """Say what was decided, for logs, traces and stories. Never decides anything."""

    kind: str
    """One of `gateway.core.notes`."""
    subject: str = ""
    a: int = 0
    b: int = 0


class Infer(Effect, frozen=True, gc=False):
    """Run frames through a model; answered by one `Inferred`, unless this process ends first."""

    job: int
    image: bytes
    """SHA-256 of the model's file in the blob store."""
    frames: int
    pixels: bytes
    """The input of all frames plus 128, a byte a value."""


AnyEffect = Persist | Publish | SendRound | KeepBlob | Note | Infer
