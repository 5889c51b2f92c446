"""How fast the broker takes new connections, and when it stops answering.

Decides the instant at which a CONNECT that arrives now will have been worked off: one server with a
fixed service time behind a bounded backlog (D/1/K in queueing terms). A SYN beyond the backlog is
dropped without a word, as a kernel does when the accept queue overflows, and the client finds out
by its own timeout. Leaves out what a CONNECT then leads to.
"""

from __future__ import annotations

from devicesdk.wire.timebase import SECOND


class Admission:
    """The accept queue of one broker.

    Args:
        rate_per_s: CONNECTs per second, or None for no limit.
        backlog_max: connections that may wait, the one in service included.
    """

    __slots__ = ("_free_at_ns", "_horizon_ns", "_service_ns", "dropped_syns")

    def __init__(self, rate_per_s: float | None, backlog_max: int) -> None:
        self.change_rate(rate_per_s, backlog_max)
        self._free_at_ns = 0
        self.dropped_syns = 0

    def change_rate(self, rate_per_s: float | None, backlog_max: int) -> None:
        """Serve at another rate from now on; those who wait keep the instant they were given."""
        self._service_ns = 0 if rate_per_s is None else max(1, round(SECOND / rate_per_s))
        self._horizon_ns = self._service_ns * backlog_max

    def admit(self, now: int) -> int | None:
        """Queue a connection: the instant it is served, or None when its SYN is dropped."""
        done = max(self._free_at_ns, now) + self._service_ns
        if done - now > self._horizon_ns:
            self.dropped_syns += 1
            return None
        self._free_at_ns = done
        return done

    def waiting(self, now: int) -> int:
        """Count the connections that are queued or in service."""
        if not self._service_ns:
            return 0
        return -(-max(0, self._free_at_ns - now) // self._service_ns)

    def reset(self) -> None:
        """Forget the backlog: its connections died with the process."""
        self._free_at_ns = 0
