"""The message ledger: every copy of a message is somewhere, and the books say where.

Decides how copies are counted. A unit is a *copy on a leg*:

========  ======================================  ==============================================
leg       opened                                  closed
========  ======================================  ==============================================
up        a client starts to transmit a message   the broker has it, or a cause ate it
broker    the broker routes a copy to a session   handed over (QoS 0), PUBACKed (QoS 1), or a cause
down      the broker starts to transmit a copy    the client has it, or a cause ate it
retained  a message enters the retained store     only by a cause: REPLACED, EXPIRED, SESSION_LOST
========  ======================================  ==============================================

The rule: on each leg ``opened = delivered + dropped + held``, where *held* is counted in the real
queues (`Ledger.conserved`). A message that vanishes without a cause breaks the sum. A QoS 1 copy is
transmitted again after a reconnect, so one copy on leg ``broker`` may own several on leg ``down``.

Leaves out bytes, latencies and identities: those belong to the trace. Increments are O(1); the
report's tables are summed when somebody asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, Self

import msgspec

Leg = Literal["up", "broker", "down", "retained"]
UP: Final = "up"
BROKER: Final = "broker"
DOWN: Final = "down"
RETAINED: Final = "retained"
LEGS: Final[tuple[Leg, ...]] = (UP, BROKER, DOWN, RETAINED)


class DropCause(StrEnum):
    """Why a copy went no further; each member carries the sentence that the report prints."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        """Make a member whose value is its short name and whose `sentence` explains it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    QUEUE_FULL = (
        "queue_full",
        "The session's queue in the broker was full: the newest copy is dropped, the oldest stay.",
    )
    EXPIRED = "expired", "The message expiry interval passed before delivery could start."
    NO_SUBSCRIBER = "no_subscriber", "Nobody subscribed to the topic when it was published."
    SESSION_EXPIRED = (
        "session_expired",
        "The session ended, after its expiry interval or because it had none, with the copy in it.",
    )
    SESSION_LOST = "session_lost", "The broker came back without its persistent state."
    CLEAN_START = "clean_start", "The client came back with clean start and discarded its session."
    QOS0_OFFLINE = (
        "qos0_offline",
        "A QoS 0 copy met a subscriber that was offline or whose send buffer was full.",
    )
    PACKET_TOO_LARGE = (
        "packet_too_large",
        "The packet exceeded the maximum packet size of the receiving side.",
    )
    NOT_AUTHORIZED = (
        "not_authorized",
        "The broker refused it, as where its access list forbids the topic.",
    )
    MALFORMED = "malformed", "The packet broke a rule of MQTT and ended its connection."
    QUOTA_EXCEEDED = "quota_exceeded", "The retained store was full and the topic new to it."
    CONNECTION_LOST = "connection_lost", "The connection ended while the copy was on the wire."
    LINK_DOWN = "link_down", "The link had no carrier when the copy was to be sent."
    BLACK_HOLE = "black_hole", "The link took the copy and delivered nothing (half-open path)."
    POWER_OFF = "power_off", "The device had no power when the copy reached it."
    GATEWAY_DOWN = "gateway_down", "The gateway process was down when the copy reached it."
    BROKER_DOWN = "broker_down", "The broker was down when the copy reached it."
    TAKEN_OVER = "taken_over", "A newer connection of the same client cut the one it was on."
    REPLACED = "replaced", "A newer retained message, or an empty one, overwrote it."
    ACKED = "acked", "The broker acknowledged the message and then lost it."
    SOURCE_GONE = "source_gone", "The source of downloads did not answer a request for chunks."


class LegCounts:
    """The three tables of one leg; hot paths may hold one and increment its dictionaries."""

    __slots__ = ("delivered", "dropped", "opened")

    def __init__(self) -> None:
        self.opened: defaultdict[str, int] = defaultdict(int)
        self.delivered: defaultdict[str, int] = defaultdict(int)
        self.dropped: defaultdict[tuple[str, DropCause], int] = defaultdict(int)

    def held(self) -> int:
        """Count the copies that were opened and neither delivered nor dropped."""
        opened, delivered = sum(self.opened.values()), sum(self.delivered.values())
        return opened - delivered - sum(self.dropped.values())


class LedgerRow(msgspec.Struct, frozen=True):
    """One line of the report: a kind of message on one leg, counts in copies."""

    leg: Leg
    kind: str
    opened: int
    delivered: int
    dropped: dict[DropCause, int]

    @property
    def held(self) -> int:
        """Copies still on the leg."""
        return self.opened - self.delivered - sum(self.dropped.values())


class Ledger:
    """The books of one world: four legs, one count per kind and cause."""

    __slots__ = ("_legs",)

    def __init__(self) -> None:
        self._legs: dict[str, LegCounts] = {leg: LegCounts() for leg in LEGS}

    def leg(self, leg: Leg) -> LegCounts:
        """Hand out one leg's tables, for paths too hot for a method call per copy."""
        return self._legs[leg]

    def opened(self, leg: Leg, kind: str, n: int = 1) -> None:
        """Count `n` copies that entered the leg."""
        self._legs[leg].opened[kind] += n

    def delivered(self, leg: Leg, kind: str, n: int = 1) -> None:
        """Count `n` copies that reached the leg's far end."""
        self._legs[leg].delivered[kind] += n

    def dropped(self, leg: Leg, kind: str, cause: DropCause, n: int = 1) -> None:
        """Count `n` copies that a cause took off the leg."""
        self._legs[leg].dropped[kind, cause] += n

    def held(self, leg: Leg) -> int:
        """Count the copies that the books say are still on the leg."""
        return self._legs[leg].held()

    def drops(self, leg: Leg) -> dict[DropCause, int]:
        """Sum the leg's drops by cause, in the order in which `DropCause` lists them."""
        dropped = self._legs[leg].dropped
        found = dict.fromkeys(DropCause, 0)
        for (_, cause), n in dropped.items():
            found[cause] += n
        return {cause: n for cause, n in found.items() if n}

    def rows(self) -> list[LedgerRow]:
        """Make the report's table, sorted by leg (as in `LEGS`), then kind."""
        return [_row(leg, self._legs[leg], kind) for leg in LEGS for kind in self._kinds(leg)]

    def conserved(self, held_by_leg: Mapping[Leg, int]) -> str | None:
        """Compare the books with the copies counted in the real queues.

        Args:
            held_by_leg: copies found on each leg; a leg that is left out is not compared, but its
                books must still balance.

        Returns:
            None when every copy is accounted for, else the story of the first leg that is not.
        """
        for row in self.rows():
            if row.held < 0:
                return _overdrawn(row)
        for leg, found in held_by_leg.items():
            expected = self.held(leg)
            if found != expected:
                return self._mismatch(leg, expected, found)
        return None

    def _kinds(self, leg: Leg) -> list[str]:
        counts = self._legs[leg]
        kinds = dict.fromkeys([*counts.opened, *counts.delivered, *(k for k, _ in counts.dropped)])
        return sorted(kinds)

    def _mismatch(self, leg: Leg, expected: int, found: int) -> str:
        counts = self._legs[leg]
        verdict = "vanished without a cause" if found < expected else "appeared from nowhere"
        return (
            f"leg {leg}: expected {expected} copies held "
            f"({sum(counts.opened.values())} opened - {sum(counts.delivered.values())} delivered "
            f"- {sum(counts.dropped.values())} dropped), found {found} in the real queues: "
            f"{abs(found - expected)} {verdict}. Look for a path on this leg that moves a message "
            f"without telling the ledger. Drops so far: {_spell(self.drops(leg))}"
        )


def _row(leg: Leg, counts: LegCounts, kind: str) -> LedgerRow:
    causes = {c: counts.dropped.get((kind, c), 0) for c in DropCause}
    return LedgerRow(
        leg=leg,
        kind=kind,
        opened=counts.opened.get(kind, 0),
        delivered=counts.delivered.get(kind, 0),
        dropped={cause: n for cause, n in causes.items() if n},
    )


def _overdrawn(row: LedgerRow) -> str:
    return (
        f"leg {row.leg}, kind {row.kind!r}: expected at most the {row.opened} copies opened, found "
        f"{row.delivered} delivered and drops of {_spell(row.dropped)}: {-row.held} counted twice "
        f"or never opened. Look for a copy that is closed on two paths"
    )


def _spell(drops: Mapping[DropCause, int]) -> str:
    return ", ".join(f"{n} {cause.value}" for cause, n in drops.items()) or "none"
