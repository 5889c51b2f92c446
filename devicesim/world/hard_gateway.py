"""A virtual gateway host that is awkward wherever its contract lets it be: made only under `buggify`.

Decides what the places ``gateway.*`` do when they act. Leaves out when they act (buggify.py) and everything
that a gateway host is (gateway_host.py).

Rules: a message is acknowledged after the commit of what it led to, or comes again; a crash is a crash, and the
process is started again as by a supervisor.
"""

from __future__ import annotations

from typing import Any

from devicesdk.wire.hardship import Hardship
from devicesdk.wire.timebase import SECOND
from devicesim.world import host_sites
from devicesim.world.broker.packets import Message
from devicesim.world.gateway_host import BATCH_MESSAGES_MAX, GatewayHost
from gateway.core import effects as ask

RESTART_NS = 2 * SECOND
LATE_NS_MAX = 2 * SECOND
COMMIT_NS_MAX = SECOND
ACKS_NS_MAX = SECOND


class HardGateway(GatewayHost):
    """The gateway of a world under `buggify`."""

    __slots__ = ("_fell", "_late", "hardship")

    def __init__(self, hardship: Hardship, *parts: Any) -> None:
        super().__init__(*parts)
        self.hardship = hardship
        self._fell = -1
        """Which crash was ours."""
        self._late = False

    # -- life -------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """A supervisor may have been quicker."""
        if not self.up:
            super().start(now)

    def _falls(self, now: int) -> None:
        self.crash(now)
        self._fell = self.crashes
        self._kernel.at(now + RESTART_NS, self._rises, self.crashes)

    def _rises(self, now: int, crashes: int) -> None:
        if crashes == self.crashes == self._fell:
            self.start(now)

    def crash(self, now: int, effect: int = 0) -> None:
        """A fault that comes while the process is down keeps it down."""
        self._fell = -1
        super().crash(now, effect)

    # -- messages ---------------------------------------------------------------------------------

    def _take(self, now: int) -> None:
        hardship = self.hardship
        if not self._late and hardship.fires(host_sites.COMMIT_LATE):
            self._late = True
            self._inbox_alarm.arm(now + 1 + hardship.below(host_sites.COMMIT_LATE, COMMIT_NS_MAX))
            return
        self._late = False
        single = hardship.fires(host_sites.BATCH_OF_ONE)
        self.batch_max = 1 if single else BATCH_MESSAGES_MAX
        super()._take(now)

    def _hear_message(self, message: Message, now: int) -> None:
        super()._hear_message(message, now)
        if message.qos and self._alive() and self.hardship.fires(host_sites.TOLD_TWICE):
            super()._hear_message(message, now)
        if message.qos and self._alive() and self.hardship.fires(host_sites.CRASH_BEFORE_ACK):
            self._falls(now)

    # -- the core ---------------------------------------------------------------------------------

    def _deadline_comes(self, now: int) -> None:
        hardship = self.hardship
        if hardship.fires(host_sites.DEADLINE_LATE):
            late_ns = 1 + hardship.below(host_sites.DEADLINE_LATE, LATE_NS_MAX)
            self._kernel.at(now + late_ns, self._late_deadline, self.crashes)
        else:
            super()._deadline_comes(now)

    def _late_deadline(self, now: int, crashes: int) -> None:
        if crashes == self.crashes:
            super()._deadline_comes(now)

    def _acknowledged(self, now: int, hurry: object) -> None:
        hardship = self.hardship
        if hurry is None and hardship.fires(host_sites.ACKS_LATE):
            late_ns = 1 + hardship.below(host_sites.ACKS_LATE, ACKS_NS_MAX)
            self._kernel.at(now + late_ns, self._acknowledged, True)
        else:
            super()._acknowledged(now, hurry)

    def _send_round(self, effect: ask.SendRound, now: int) -> None:
        super()._send_round(effect, now)
        if self.hardship.fires(host_sites.CHUNKS_TWICE):
            super()._send_round(effect, now)


HardGateway.table = {**GatewayHost.table, ask.SendRound: HardGateway._send_round}  # noqa: SLF001 - the table of this very class
