"""The check of the liveness mode: a healed core gets everything done in time.

Decides what *done* is and who is told to have failed. Leaves out healing and freezing (liveness.py).

Done is, at one look a minute: broker and gateway run; each device of the core is online and known to the
broker, is not in the middle of an update and has no want that is open; each rollout is over, or waits for
somebody who is frozen; and no queue grows: what waits for the core and in the gateway's inbox was at its
lowest in the last five minutes no higher (but for one percent of the core) than in the five before.

Whoever is not done when time is up is told by name, with what its agent waits for and until when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.wire.timebase import format_duration
from devicesim.report.record import CheckKind
from devicesim.scenario.promises import Liveness
from devicesim.world.checks.check import Check, clock_text
from devicesim.world.gateway_host import CLIENT_ID
from devicesim.world.liveness import NAME, core_of
from gateway.core import rows

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.world import World

STRETCH_LOOKS: Final = 5
GROWTH_SHARE_MAX: Final = 0.01
Laggard = tuple["DeviceHost | None", str]
"""Who is not done (None: nobody in particular), and with what."""


class Converges(Check):
    """The core of the liveness mode is online, updated and calm in time.

    Args:
        world: what is watched.
        meter: follows rollouts and updates.
        liveness: what the scenario says.
    """

    name: ClassVar[str] = NAME
    kind: ClassVar[CheckKind] = "eventually"

    def __init__(self, world: World, meter: Meter, liveness: Liveness) -> None:
        super().__init__(world)
        self._meter, self._liveness = meter, liveness
        self._core = core_of(world, liveness)
        self._clients = [CLIENT_ID, *(host.device for host in self._core)]
        self._ids = {host.device for host in self._core}  # membership only
        self._waiting: deque[int] = deque(maxlen=2 * STRETCH_LOOKS)
        self._took_ns = -1

    @property
    def title(self) -> str:
        """The promise."""
        liveness = self._liveness
        return (
            f"{NAME}: {liveness.core} converges within {format_duration(liveness.within_ns)} "
            f"of {clock_text(liveness.at_ns)}"
        )

    def checkpoint(self, now: int) -> None:
        """Is everything done?"""
        since = self._liveness.at_ns
        if self.judged or now <= since:
            return
        self._waiting.append(self._queued())
        if next(self._laggards(now), None) is None:
            self.judged = 1
            self._took_ns = now - since
        elif now - since >= self._liveness.within_ns:
            self.judged = 1
            for host, text in self._laggards(now):
                self.fail(now, text, host)

    # -- what is not done -----------------------------------------------------------------------

    def _laggards(self, now: int) -> Iterator[Laggard]:
        if not self._core:
            yield None, f"expected devices of {self._liveness.core} in the core, found none"
        yield from self._services()
        wants = {
            device: row
            for table, device, row in self.world.gateway.store.rows()
            if table == rows.DESIRED and device in self._ids
        }
        stuck = self._meter.stuck
        for host in self._core:
            open_want = wants.get(host.device)
            waits = open_want is not None and open_want.outcome is rows.Outcome.OPEN
            if not self._is_online(host):
                yield host, f"expected it online, found {_standing(host, now)}"
            elif waits or stuck.is_moving(host):
                yield host, f"expected its update to be over, found {_standing(host, now)}"
        yield from self._rollouts()
        yield from self._growing()

    def _services(self) -> Iterator[Laggard]:
        world = self.world
        if not world.broker.up:
            yield None, "expected the broker up, found it down"
        if not (world.gateway.up and world.gateway.connected):
            where = "not connected to the broker" if world.gateway.up else "down"
            yield None, f"expected the gateway at work, found it {where}"

    def _is_online(self, host: DeviceHost) -> bool:
        return host.on and host.online and self.world.broker.core.outlet(host.device) is not None

    def _rollouts(self) -> Iterator[Laggard]:
        """Rollouts that are not over, though nobody outside of the core holds them up."""
        outside = {
            row.rollout
            for table, device, row in self.world.gateway.store.rows()
            if table == rows.DESIRED
            and device not in self._ids
            and row.outcome is rows.Outcome.OPEN
        }  # membership only
        for name, row in self._meter.updates.rollouts.items():
            if not row.phase.ended and name not in outside:
                wave = f"wave {len(row.waves)}" if row.waves else "no wave"
                why = f" ({row.why})" if row.why else ""
                yield (
                    None,
                    f"expected rollout {name} over, found it {row.phase.name.lower()}{why}, {wave} open",
                )

    def _queued(self) -> int:
        waiting = self.world.broker.core.waiting_for
        return sum(waiting(client) for client in self._clients) + self.world.gateway.on_the_wire()

    def _growing(self) -> Iterator[Laggard]:
        looks = list(self._waiting)
        if len(looks) < 2 * STRETCH_LOOKS:
            yield None, "expected ten minutes of queues, found fewer"
            return
        before, after = min(looks[:STRETCH_LOOKS]), min(looks[STRETCH_LOOKS:])
        if after > before + GROWTH_SHARE_MAX * len(self._core):
            yield None, f"expected queues to stay, found {before} messages waiting, then {after}"

    def story(self) -> str:
        """How long it took, or who was not done."""
        if self.failures or self._took_ns < 0:
            return super().story()
        return f"{len(self._core)} devices, after {format_duration(self._took_ns)}"


def _standing(host: DeviceHost, now: int) -> str:
    """Where a device stands, in words: power, path, what its agent waits for and until when."""
    if host.agent is None:
        return "no power"
    due = host.agent.deadline()
    if due is None:
        timer = "no timer at all"
    else:
        away = format_duration(max(0, due[0] - now) // 10**6 * 10**6)
        timer = f"its next timer ({due[1]}) in {away}"
    path = "black" if host.path.black else "clear"
    return f"a {path} path, {timer}; {host.agent.standing}"
