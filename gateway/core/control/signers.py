"""The online signers of the roles: who makes snapshots and timestamps.

Decides the two calls that the control machine needs, so that `tuf` is imported only where there are roles.
Leaves out where the keys lie.
"""

from __future__ import annotations

from typing import Protocol


class RoleSigners(Protocol):
    """Makes signed snapshots and timestamps; instants are UTC, ms."""

    def snapshot(self, version: int, targets: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed snapshot that names these targets."""
        ...

    def timestamp(self, version: int, snapshot: bytes, issued_ms: int, expires_ms: int) -> bytes:
        """A signed timestamp that names this snapshot."""
        ...
