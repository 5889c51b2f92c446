"""What can be wrong with what a peer said, and who is to blame.

Decides the names of the errors and of the NACK codes. Leaves out what is done about them: machines
catch `ProtocolError`, count it, answer where the protocol has an answer, and go on.
"""

from __future__ import annotations

import enum


class ProtocolError(ValueError):
    """The peer (or the broker between) sent something that the protocol does not allow."""


class BadTopic(ProtocolError):
    """A topic or a name that goes into one is not ours."""


class BadMessage(ProtocolError):
    """A payload is too large, not MessagePack, or lacks or misspells a field."""


class BadSignature(ProtocolError):
    """A signature does not verify, or its key is not trusted for this role."""


class BadManifest(ProtocolError):
    """A manifest, hash list or chunk does not say or hash to what it must."""


class Nack(enum.StrEnum):
    """Why a chunk request was refused; `terminal` codes end the transfer, others may be retried."""

    INVALID_REQUEST = "InvalidRequest"
    UNAUTHORIZED = "Unauthorized"
    RESOURCE_NOT_FOUND = "ResourceNotFound"
    OFFSET_OUT_OF_BOUNDS = "OffsetOutOfBounds"
    BLOCK_COUNT_LIMIT_EXCEEDED = "BlockCountLimitExceeded"
    VERSION_MISMATCH = "VersionMismatch"
    GONE = "Gone"
    SUPERSEDED = "Superseded"
    QUARANTINED = "Quarantined"
    INTERNAL_ERROR = "InternalError"

    @property
    def terminal(self) -> bool:
        """Whether asking again is pointless."""
        return self not in (Nack.UNAUTHORIZED, Nack.INTERNAL_ERROR)


class Wait(enum.StrEnum):
    """Why the gateway says WAIT; waiting is not failing and never counts as an attempt."""

    BUSY = "busy"
    BUDGET = "budget"
    WINDOW = "window"
    PAUSED = "paused"
