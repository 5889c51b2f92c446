"""How long the gateway waits before it connects again.

Decides the delay: decorrelated jitter (Brooker 2015, "Exponential Backoff And Jitter"), each uniform
in [base, min(cap, 3 x last)], forgotten after a connection that was stable. Leaves out timers.

The device agent has its own: that one is configured and drawn from the device's persisted luck, this
one is three lines, and the gateway does not know the agent.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from devicesdk.wire.timebase import MINUTE, SECOND

BASE_NS: Final = SECOND
CAP_NS: Final = 15 * SECOND
"""Short: a gateway is one client and no herd, and while it is away no kill reaches anybody."""
STABLE_NS: Final = MINUTE


class Backoff:
    """The delays of one connection.

    Args:
        seed: entropy as a value; gateways that share a seed wait alike.
        name: what connection this is; those of one gateway wait differently.
        base_ns: the shortest delay.
        cap_ns: the longest.
    """

    __slots__ = ("_base_ns", "_cap_ns", "_draws", "_key", "_last_ns")

    def __init__(self, seed: int, name: str, base_ns: int = BASE_NS, cap_ns: int = CAP_NS) -> None:
        self._key = f"{seed}\0{name}\0".encode()
        self._draws = 0
        self._base_ns, self._cap_ns = base_ns, max(base_ns, cap_ns)
        self._last_ns = base_ns

    def next(self) -> int:
        """Delay in ns before the next attempt; grows until a connection was stable."""
        self._draws += 1
        ceiling, base = min(self._cap_ns, 3 * self._last_ns), self._base_ns
        word = blake2b(self._key + b"%d" % self._draws, digest_size=8).digest()
        self._last_ns = base + int.from_bytes(word) * (ceiling - base + 1) // 2**64
        return self._last_ns

    def ended(self, lasted_ns: int) -> None:
        """A connection ended after so long: forget the growth if it was stable."""
        if lasted_ns >= STABLE_NS:
            self._last_ns = self._base_ns
