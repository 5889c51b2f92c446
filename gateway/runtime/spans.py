"""Within which span something is done, handed on from a request to the turn that makes it durable.

Decides how. Leaves out what spans say (tracing.py).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

import msgspec

from gateway.ports import Span

CURRENT: Final[ContextVar[Span | None]] = ContextVar("fleetdrill_span", default=None)
"""None: nobody is told, or nothing is around."""


class Asked(msgspec.Struct, frozen=True):
    """A verb in a turn, and which of its effects are its own."""

    span: Span | None
    first: int
    past: int
