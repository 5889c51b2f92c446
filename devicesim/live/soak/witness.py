"""Sees everything that is said and heard in a soak, and writes it into the books.

Decides which moment of the world or of a connection is which entry, and where a latency begins and ends.
Leaves out what becomes of the entries (books.py) and percentiles (sketch.py).

Rules: all instants are real ones of one clock; a kill or a flag is timed for devices that were connected
when it was first said; a reconnect is timed from when it was possible (path clear, broker back).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.agent.notes import NoteKind
from devicesdk.aio.port import NOBODY, REFUSED_FROM
from devicesdk.wire import topics
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.timebase import NEVER, SECOND
from devicesdk.wire.topics import Topics
from devicesim.live.soak.books import STATE, Books, Ends, Ident
from devicesim.live.soak.identity import identity
from devicesim.scenario.faults import BrokerRestart
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.live.gateway import LiveGateway
    from devicesim.world.broker.packets import Message
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

Took = Callable[[str, int], None]
"""Takes the name of a latency (`devicesim.report.soak_record.METRICS`) and one sample, ns."""
SPREADS_MAX: Final = 64
"""Kills and flags that are still timed; older ones reach nobody who was connected."""
ACKS_MAX: Final = 200_000
"""Acknowledged publishes that are remembered of a broker that saves by time; past it the oldest count as saved."""
UNSAVED_NS_MAX: Final = 60 * SECOND
"""So old they count as saved, too: a broker that has not saved for so long cannot (a full disk), and what a kill
costs then is worth a story."""
SAVE_NS_MAX: Final = SECOND
"""Between the moment that a save shows and the time of its file."""
_DROPS: Final[dict[str, str]] = {
    NoteKind.WINDOW_DROPPED: topics.TEL,
    NoteKind.EVENT_DROPPED: topics.EV,
}


class _Generation(msgspec.Struct, frozen=True, gc=False):
    generation: int = msgspec.field(name="g", default=0)


class Said(msgspec.Struct, frozen=True):
    """A publish of the gateway's that waits for its PUBACK."""

    kind: str
    ident: Ident
    devices: Iterable[int]


class Witness(Watcher):
    """Watches one soak.

    Args:
        clock: real nanoseconds since the soak began.
        took: takes latencies.
        speed: scenario seconds per real one.
    """

    def __init__(self, clock: Callable[[], int], took: Took, speed: float) -> None:
        self._clock, self._took, self._speed = clock, took, speed
        self._topics = Topics()
        self.books = Books([])
        self.ends = Ends(None, [], [])
        self.online = self.online_min = 0
        self.strange = 0
        """Payloads that are none of ours."""
        self.forgets = False
        """Whether the broker loses its memory whenever it is killed."""
        self.saves_every(None, lambda: -NEVER)
        self._have: msgspec.msgpack.Decoder[_Generation] = msgspec.msgpack.Decoder(_Generation)
        self._tokens: list[dict[int, tuple[str, Ident]]] = []
        self._numbers: dict[str, int] = {}
        self._segments: dict[str, list[int]] = {}
        self._spreads: dict[tuple[str, int], int] = {}
        self._wants: dict[int, tuple[int, int]] = {}
        self._lost_at: list[int | None] = []
        self._back_at = -1
        self._was_up = True
        self._connects = -1
        self._zero = 0

    def bind(self, world: World, books: Books) -> None:
        """Take a world that was assembled on the tapped stage; before it runs."""
        hosts = world.hosts
        self._world, self._numbers = world, world.numbers
        self.books = books
        self.ends = Ends(None, [None] * len(hosts), [host.boot_id for host in hosts])
        self._tokens = [{} for _ in hosts]
        self._lost_at = [None] * len(hosts)
        for host in hosts:
            self._segments.setdefault(host.parts.config.segment, []).append(host.index)
        self._restarts = {
            action.key: action for action in world.scenario.timeline
            if isinstance(action, BrokerRestart)
        }  # fmt: skip
        world.watch.add(self)

    def saves_every(self, changes: int | None, saved_at: Callable[[], int]) -> None:
        """How the broker saves: what it has not saved is among what was acknowledged last.

        Args:
            changes: between two saves; at 1 a kill explains no loss of what was proven. None: it saves by time.
            saved_at: the real instant of its last save; asked when it is killed, if it saves by time.
        """
        kept = ACKS_MAX if changes is None else changes if changes > 1 else 0
        self._acks: deque[tuple[int, Said]] = deque(maxlen=kept)
        self._saved_at = saved_at if changes is None else lambda: -NEVER
        self._saved_until = -NEVER

    def begin(self, scenario_now: int) -> None:
        """The world starts to run: its instant `scenario_now` is the real one of this moment."""
        self._zero = self._clock() - round(scenario_now / self._speed)

    def real(self, scenario_ns: int) -> int:
        """The real instant of a scenario's instant."""
        return self._zero + round(scenario_ns / self._speed)

    def look(self, gateway: LiveGateway) -> None:
        """See what has no moment of its own: the gateway's connection, the broker's return."""
        now = self._clock()
        connects = gateway.runtime.counters.connects
        if not gateway.connected:
            self.ends.gateway_since = None
        elif self.ends.gateway_since is None or connects != self._connects:
            self.ends.gateway_since = now
        self._connects = connects
        up = self._world.broker.up
        if up and not self._was_up:
            self._back_at = now
            if self.forgets or self.ends.forgot_at >= 0:
                self._forgot(now)
        self._was_up = up

    # -- the device's end -----------------------------------------------------------------------

    def booted(self, host: DeviceHost, now: int) -> None:
        """Another life."""
        del now
        self.ends.boots[host.index] = host.boot_id

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Gone without a word; a boot is not a reconnect."""
        del now
        self._offline(host.index)
        self._lost_at[host.index] = None

    def connected(self, host: DeviceHost, now: int) -> None:
        """Back; how long was that possible?"""
        del now
        index, at = host.index, self._clock()
        self.ends.device_since[index] = at
        self.online += 1
        lost_at, self._lost_at[index] = self._lost_at[index], None
        if lost_at is not None:
            possible = max(lost_at, self._back_at, self.real(host.path.cleared_at))
            self._took("reconnect", max(0, at - possible))

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Away, and wants back."""
        del now, reason
        self._offline(host.index)
        self._lost_at[host.index] = self._clock()

    def _offline(self, index: int) -> None:
        if self.ends.device_since[index] is not None:
            self.ends.device_since[index] = None
            self.online -= 1
            self.online_min = min(self.online_min, self.online)
        self._tokens[index].clear()

    def published(self, host: DeviceHost, effect: ask.Publish, now: int) -> None:
        """A device says something."""
        del now
        kind, index = effect.kind, host.index
        ident = identity(kind, effect.payload)
        self.books.said(index, kind, ident, self._clock(), qos=int(effect.token > 0))
        if effect.token:
            self._tokens[index][effect.token] = kind, ident

    def device_answered(self, device: str, token: int, code: int) -> None:
        """The broker has it; or refuses it, or has nobody to give it to, and the device will say it again."""
        index = self._numbers[device]
        said = self._tokens[index].pop(token, None)
        if said is not None and code >= REFUSED_FROM:
            self.books.refused(index, *said, code, self._clock())
        elif said is not None and (code != NOBODY or said[0] in STATE):
            self._doubt(Said(*said, (index,)))
            self.books.acked(index, *said, self._clock())

    def received(self, host: DeviceHost, message: Message, now: int) -> None:
        """A device hears something."""
        del now
        ident = self._identity(message.kind, bytes(message.payload))
        if ident is not None:
            self.books.heard(
                host.index, message.kind, ident, self._clock(), retained=message.retain
            )

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A kill is obeyed, flags are taken, something was dropped for want of room."""
        del now
        if effect.kind == NoteKind.KILL_OBEYED:
            self._obeyed("kill", topics.KILL, effect.a, host)
        elif effect.kind == NoteKind.FLAGS_TAKEN:
            self._obeyed("flag", host.parts.config.segment, effect.a, host)
        elif effect.kind in _DROPS:
            self.books.dropped(host.index, _DROPS[effect.kind])

    def _obeyed(self, metric: str, what: str, number: int, host: DeviceHost) -> None:
        said_at = self._spreads.get((what, number))
        since = self.ends.device_since[host.index]
        if said_at is not None and since is not None and since <= said_at:
            self._took(metric, self._clock() - said_at)

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """The broker is killed: does it remember?"""
        del devices, now
        action = self._restarts.get(verb)
        if action is None:
            return
        if phase == "begin":
            self._saved_until = self._saved_at() - SAVE_NS_MAX
        # mosquitto acknowledges before it saves. Looked at twice: what is acknowledged while the process is being
        # killed counts, too.
        newest = [
            (index, said.kind, said.ident)
            for at, said in self._acks if at >= self._saved_until
            for index in said.devices
        ]  # fmt: skip
        self.books.killed(newest, self._clock(), self.ends)
        if phase == "begin":
            self._was_up = False
            if action.lose_sessions or self.forgets:
                self._forgot(self._clock())

    def _doubt(self, said: Said) -> None:
        """The broker has it, and may not have saved it yet."""
        now, acks = self._clock(), self._acks
        acks.append((now, said))
        while acks and acks[0][0] < now - UNSAVED_NS_MAX:
            acks.popleft()

    def _forgot(self, now: int) -> None:
        self.ends.forgot_at = now

    # -- the gateway's end ----------------------------------------------------------------------

    def gateway_said(self, topic: str, payload: bytes, qos: int, expiry_s: int) -> Said | None:
        """The gateway hands a message to a connection."""
        kind, name = self._topics.parse(topic)
        ident, now = identity(kind, payload), self._clock()
        devices = self._audience(kind, name)
        for index in devices:
            self.books.said(index, kind, ident, now, qos=qos, expiry_ns=expiry_s * SECOND)
        if kind == topics.WANT and devices:
            self._wants.setdefault(devices[0], (ident[0], now))
        elif kind in (topics.KILL, topics.FLAGS):
            self._spreads.setdefault((name or kind, ident[0]), now)
            if len(self._spreads) > SPREADS_MAX:
                del self._spreads[next(iter(self._spreads))]
        return Said(kind, ident, devices) if qos else None

    def _audience(self, kind: str, name: str) -> list[int]:
        if kind in (topics.KILL, topics.TIMESTAMP):
            return list(range(len(self._tokens)))
        if kind == topics.FLAGS:
            return self._segments.get(name, [])
        index = self._numbers.get(name)
        return [] if index is None else [index]

    def gateway_answered(self, said: object, code: int) -> None:
        """The broker has it, for all who are meant; or has it for none of them."""
        assert isinstance(said, Said)
        now, books = self._clock(), self.books
        if code >= REFUSED_FROM:
            for index in said.devices:
                books.refused(index, said.kind, said.ident, code, now)
            return
        self._doubt(said)
        for index in said.devices:
            books.acked(index, said.kind, said.ident, now)

    def gateway_heard(self, kind: str, device: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        """The gateway's core has handled a message."""
        index = self._numbers.get(device)
        ident = self._identity(kind, payload)
        if index is None or ident is None:
            return
        books = self.books
        if kind == topics.LINK and ident[2] and ident not in books.channel(index, kind).open:
            books.will()
            return
        took = books.heard(index, kind, ident, self._clock(), retained=retained)
        if kind == topics.TEL and took is not None:
            self._took("telemetry", took)
        elif kind == topics.HAVE and index in self._wants:
            self._reported(index, payload)

    def _reported(self, index: int, payload: bytes) -> None:
        generation, said_at = self._wants[index]
        if self._have.decode(payload).generation >= generation:
            del self._wants[index]
            self._took("want", self._clock() - said_at)

    def _identity(self, kind: str, payload: bytes) -> Ident | None:
        try:
            return identity(kind, payload)
        except (msgspec.DecodeError, ProtocolError, KeyError):
            self.strange += 1
            return None
