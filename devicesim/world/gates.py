"""What stands between one device and a new connection: resolver, portal, certificate, the broker's door.

Decides what becomes of an attempt to connect while such faults lie over the path. Leaves out cuts
(path.py) and when a fault begins and ends.

Rules: a path without such faults has no `Gates` at all; connections that are open are never looked at.
The order is that of an attempt: name, portal, TLS, the broker's flow control, its book of subscribers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from devicesim.entropy import Stream
    from devicesim.world.path import Path

UNRESOLVED: Final = "name not resolved"
BAD_CERTIFICATE: Final = "bad certificate"
BUSY: Final = "server busy"
REFUSED: Final = "not_authorized"


class Certificate(msgspec.Struct, frozen=True):
    """The certificate that a broker shows, and the clock that a device judges it by, Unix ms."""

    not_before_ms: int
    not_after_ms: int
    wall_ms: Callable[[int], int]

    def valid(self, now: int) -> bool:
        """Whether the handshake succeeds (RFC 5280, 4.1.2.5: both bounds are inclusive)."""
        return self.not_before_ms <= self.wall_ms(now) <= self.not_after_ms


class Gates:
    """The faults that lie over one device's attempts to connect; each is a stack."""

    __slots__ = (
        "certificates", "flows", "let_in", "nameless", "nameless_seen", "portals", "refusals",
    )  # fmt: skip

    def __init__(self) -> None:
        self.nameless = 0
        self.nameless_seen = False
        """Whether the device has asked for the name in vain."""
        self.portals = 0
        self.certificates: list[Certificate] = []
        self.flows: list[float] = []
        """Shares of attempts that flow controls let in."""
        self.let_in: Stream | None = None
        """The device's luck with them."""
        self.refusals = 0

    @property
    def open(self) -> bool:
        """Whether no fault is left."""
        return not (
            self.nameless or self.portals or self.certificates or self.flows or self.refusals
        )

    def stops(self, path: Path, now: int) -> tuple[int, str] | None:
        """What the device finds out by itself: when, from now, and why; None: the CONNECT is sent."""
        if self.nameless:
            self.nameless_seen = True
            return path.rtt_ns(now), UNRESOLVED
        if not self.portals:
            for certificate in self.certificates:
                if not certificate.valid(now):
                    return path.handshake_ns(now), BAD_CERTIFICATE
        return None

    def busy(self) -> bool:
        """Whether this attempt is turned away by a flow control."""
        luck = self.let_in
        if not self.flows or luck is None:
            return False
        return not luck.chance(min(self.flows))


def change(path: Path, now: int, step: Callable[[Gates], None]) -> None:
    """Change what lies over a path; when nothing is left, its gates are gone."""
    gates = path.gates
    if gates is None:
        gates = path.gates = Gates()
    step(gates)
    if gates.open:
        path.gates = None
        if not path.is_open:
            path.cleared_at = now  # from here on it can be back
