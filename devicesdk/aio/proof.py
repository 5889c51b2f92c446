"""When an acknowledgement may be believed: books of pings and of what was acknowledged before each.

mosquitto 2.0 writes a PUBACK in the turn of its loop that took the message, and saves what changed at the end
of that turn (`autosave_on_changes true`, `autosave_interval 1`). Between the two a kill -9 loses a message that
was acknowledged: one in a few thousand publishes of one client, measured over twenty kills. A ping that leaves
after the PUBACK came is read in a later turn, so its answer proves that the turn of the PUBACK has ended.

It proves nothing where a PUBACK comes before the turn that saves: from mosquitto's websocket listener, which is
served after the save; from a broker whose disk is full or not its own, for mosquitto counts a save that failed as
done; and from a full queue (`max_queued_messages`), whose drops are acknowledged too. With `autosave_interval` above 1, or by time,
a kill takes back what was changed since the last save, proven or not.

Decides which acknowledgements a PINGRESP proves, and when another ping is wanted. Leaves out the socket. Pings
are answered in their order (MQTT 5, 4.6 orders nothing else, but both directions of TCP do), so each
unanswered ping carries what was acknowledged before it left; those of the keep-alive prove as well.

Rules: at most one ping is wanted at a time, however many acknowledgements wait. What waits is bounded by what
the host has in flight, and is not told if the connection ends: the host says those publishes again.
"""

from __future__ import annotations

Acked = tuple[int, int]
"""Token and reason code."""


class Proof:
    """The acknowledgements of one connection that nothing has proven yet."""

    __slots__ = ("_asked", "_fresh", "waits")

    def __init__(self) -> None:
        self.waits = False
        """Whether the host has a timer after which it makes a ping."""
        self._fresh: list[Acked] = []
        self._asked: list[list[Acked]] = []  # a few at most, and an empty deque has 600 bytes
        """One list for each unanswered ping, empty for most of the keep-alive's."""

    def acked(self, token: int, code: int) -> None:
        """A PUBACK came."""
        self._fresh.append((token, code))

    @property
    def wants_ping(self) -> bool:
        """Whether something waits for a ping, and none is on its way: one at a time gathers the most."""
        return bool(self._fresh) and not self._asked

    def begin_wait(self) -> bool:
        """Whether the host must set a timer now; `waits` from then on, until it says otherwise."""
        if self.waits or not self.wants_ping:
            return False
        self.waits = True
        return True

    def pinged(self) -> None:
        """A ping leaves, whoever wanted it."""
        self._asked.append(self._fresh)
        self._fresh = []

    def answered(self) -> list[Acked]:
        """A PINGRESP came: what it proves, in the order of the PUBACKs."""
        return self._asked.pop(0) if self._asked else []
