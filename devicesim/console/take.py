"""One take of a run: the same world again, up to any instant that comes.

Decides how a world is built to be looked at, what is counted beside it, and when it is over. Leaves out when it runs and who
looks (player.py).

Rules: a take is the run: the same scenario, seed, watchers and order, so at its end its trace has the run's digest. What is
counted here changes nothing in it. It only goes forwards: whoever wants an earlier instant makes a new take.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import MS
from devicesdk.wire.topics import TEL, UPLINK_KINDS, Topics
from devicesim.console.memory import Eyes, Memory
from devicesim.console.past import Past
from devicesim.console.runs import Run
from devicesim.console.tape import Tape
from devicesim.entropy import Entropy
from devicesim.scenario.schema import Scenario
from devicesim.world.assemble import assemble
from devicesim.world.broker.packets import Message
from devicesim.world.buggify import buggify_of
from devicesim.world.drill import Drill
from devicesim.world.gateway_host import GatewayHost
from devicesim.world.hard_gateway import HardGateway
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DOWN, UP, Ledger
from devicesim.world.store import BlobStore
from devicesim.world.trace import Trace
from devicesim.world.virtual_stage import VirtualStage
from devicesim.world.watch import Watch
from gateway.core import effects as ask
from gateway.core.gateway import Gateway
from gateway.ports import Counters

BATCH_EVENTS: Final = 256
"""Between two looks, some ten milliseconds of work."""


class CountedBlobs(BlobStore):
    """A store that knows how much was read of it."""

    __slots__ = ("read_bytes", "rounds")

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes = self.rounds = 0

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """Read a piece of a blob, as `BlobStore.read`."""
        found = super().read(digest, offset, size)
        self.read_bytes += len(found)
        return found


class _SeenGateway(GatewayHost):
    __slots__ = ("memory",)
    memory: Memory

    def _hear_message(self, message: Message, now: int) -> None:
        super()._hear_message(message, now)
        _remember(self.memory, message, now, self.topics)


class _SeenHardGateway(HardGateway):
    __slots__ = ("memory",)
    memory: Memory

    def _hear_message(self, message: Message, now: int) -> None:
        super()._hear_message(message, now)
        _remember(self.memory, message, now, self.topics)


def _remember(memory: Memory, message: Message, now: int, topics: Topics) -> None:
    if message.kind != TEL:
        return
    with suppress(BadTopic):
        memory.told(topics.parse(message.topic)[1], message.payload, now)


def _counted(kind: type[GatewayHost]) -> dict[type[Any], Callable[[Any, Any, int], None]]:
    """What performs the effects of a host, with rounds counted."""
    send = kind.table[ask.SendRound]

    def counted(host: Any, effect: Any, now: int) -> None:
        host.blobs.rounds += 1
        send(host, effect, now)

    return {**kind.table, ask.SendRound: counted}


_SeenGateway.table = _counted(GatewayHost)
_SeenHardGateway.table = _counted(HardGateway)


class SeenStage(VirtualStage):
    """The virtual stage, with a gateway whose chunks are counted and whose telemetry is remembered."""

    def __init__(self, scenario: Scenario, seed: int, memory: Memory) -> None:
        self._memory = memory
        self._hardship = buggify_of(scenario, Entropy(seed))
        super().__init__(self._hardship)

    def gateway(
        self, kernel: Kernel, trace: Trace, ledger: Ledger, watch: Watch, topics: Topics,
        make: Callable[[], Gateway], clock_start_ms: int,
    ) -> GatewayHost:  # fmt: skip
        """Make the virtual gateway host."""
        assert self._broker is not None
        parts = (kernel, trace, ledger, self._broker, watch, topics, make, clock_start_ms)
        made: _SeenGateway | _SeenHardGateway
        if self._hardship is None:
            made = _SeenGateway(*parts)
        else:
            made = _SeenHardGateway(self._hardship.hand("gateway"), *parts)
        made.blobs, made.memory = CountedBlobs(), self._memory
        return made


class Take:
    """A world that is the run's, at its first instant when it is made.

    Args:
        run: which.
        tape: takes its trace, from the beginning.
        past: told of the fleet now and then.
        memory: told of devices and rollouts.
    """

    def __init__(self, run: Run, tape: Tape, past: Past, memory: Memory) -> None:
        tape.clear()
        memory.begin()
        stage = SeenStage(run.scenario, run.seed, memory)
        self.world = assemble(run.scenario, run.stock, seed=run.seed, sink=tape, stage=stage)
        self.drill = Drill(self.world)
        self.world.watch.add(Eyes(memory))
        self.end_ns = self.world.open(run.end_ns, None)
        self.start_ms = run.start_ms
        self.digest = ""
        """Of the trace, once it is over."""
        self.tape, self._past = tape, past
        gateway = self.world.gateway
        assert isinstance(gateway, GatewayHost)
        assert isinstance(gateway.blobs, CountedBlobs)
        self.gateway, self._blobs = gateway, gateway.blobs
        self.counters = Counters(starts=1)

    @property
    def now(self) -> int:
        """The instant that was reached, ns."""
        return self.world.now

    @property
    def wall_ms(self) -> int:
        """The same, UTC."""
        return self.start_ms + self.world.now // MS

    def run(self, until: int, pulse: Callable[[int], None]) -> None:
        """Go on up to and including an instant; `pulse(now)` is called often, and may raise to stop between two events."""
        world = self.world

        def breathe(now: int) -> None:
            world.breathe(now)
            pulse(now)

        while world.now < until:
            leg = min(until, self._past.due(world.now))
            world.kernel.run(leg, breathe, BATCH_EVENTS)
            self._past.look(self.gateway.core, world.now, self.wall_ms)

    def close(self) -> str:
        """The run is over: everybody judges; returns the digest of its trace."""
        self.digest = self.world.close(self.end_ns)
        return self.digest

    def count(self) -> None:
        """Bring the counters up to date."""
        counters, gateway = self.counters, self.gateway
        counters.commits = gateway.store.commits
        counters.connected_now = int(gateway.up and gateway.connected)
        counters.starts = 1 + gateway.crashes
        counters.rounds, counters.bytes_out = self._blobs.rounds, self._blobs.read_bytes
        ledger = self.world.ledger
        heard, said = ledger.leg(DOWN).delivered, ledger.leg(UP).delivered
        counters.messages_in = {kind: n for kind, n in heard.items() if kind in UPLINK_KINDS}
        counters.messages_out = {kind: n for kind, n in said.items() if kind not in UPLINK_KINDS}
        counters.inbox_max = gateway.inbox_peak
