"""How often somebody may ask: token buckets, one integer each.

Decides when the next request of a name is let in. Leaves out clocks (`now_ns` comes in), names and answers.

The generic cell rate algorithm (ITU-T I.371): a bucket of `burst` tokens that refills at `per_s` is the instant at
which it would be full again; a request moves it on by one interval, and is refused where that would be further than
`burst` intervals away.

Rules: at most `NAMES_MAX` buckets; full, the one that was asked longest ago goes, which at worst lets somebody in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from devicesdk.wire.timebase import SECOND

NAMES_MAX: Final = 2_048
ASKER: Final = "asker"
"""In ``scope["state"]`` from when somebody is known; their own bucket counts from there on."""


class TooOftenError(RuntimeError):
    """Refused, for so long (nanoseconds)."""

    def __init__(self, message: str, wait_ns: int) -> None:
        super().__init__(message)
        self.wait_ns = wait_ns


class Limiter:
    """Buckets by name.

    Args:
        per_s: requests a second in the long run.
        burst: requests at once.
    """

    __slots__ = ("_full_ns", "_interval_ns", "_room_ns")

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_ns = max(1, round(SECOND / per_s))
        self._room_ns = self._interval_ns * burst
        self._full_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_ns)

    def wait_ns(self, name: str, now_ns: int) -> int:
        """How long until a request is let in, nanoseconds; takes none."""
        full = max(self._full_ns.get(name, now_ns), now_ns)
        return max(0, full + self._interval_ns - self._room_ns - now_ns)

    def take(self, name: str, now_ns: int) -> int:
        """Let one request in: 0; or how long until one is let in, nanoseconds."""
        full, names = max(self._full_ns.get(name, now_ns), now_ns), self._full_ns
        wait_ns = full + self._interval_ns - self._room_ns - now_ns
        if wait_ns > 0:
            return wait_ns
        names[name] = full + self._interval_ns
        names.move_to_end(name)
        if len(names) > NAMES_MAX:
            names.popitem(last=False)
        return 0
