"""What the world needs of a broker, a gateway and a path, whoever they are.

Decides the seam between virtual and real time: a `Stage` makes the three, everything else of the world
(devices, physics, faults, checks, reports) is the same. Leaves out who they are: `VirtualStage` sets
up the in-memory ones; `devicesim.live` sets up a real broker, the asyncio runtime and sockets.

Rules: calls never wait; what takes time is told later, with the instant at which it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.ledger import Leg

if TYPE_CHECKING:
    from devicesdk.wire.topics import Topics
    from devicesim.scenario.schema import Scenario
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.device_parts import Parts, Workshop
    from devicesim.world.kernel import Kernel
    from devicesim.world.ledger import Ledger
    from devicesim.world.path import Path
    from devicesim.world.trace import Trace
    from devicesim.world.watch import Watch
    from gateway.core.gateway import Gateway
    from gateway.core.stimuli import AnyStimulus


class BrokerView(Protocol):
    """What can be seen of a broker; a real one shows less than the one in memory."""

    @property
    def queue_peak(self) -> int:
        """The longest queue of a session so far, in copies."""
        ...

    @property
    def limits(self) -> BrokerLimits:
        """The bounds that it was set up with."""
        ...

    def outlet(self, client_id: str) -> object | None:
        """The live connection of a client, as far as it is known; None when there is none."""
        ...

    def most_in_flight(self) -> int:
        """The most copies that are in flight to one client now."""
        ...

    def waiting_for(self, client_id: str) -> int:
        """Copies in flight to a client, or queued for it."""
        ...

    def held_copies(self) -> dict[Leg, int]:
        """Copies in its queues and its retained store, by leg."""
        ...

    def set_queue_max(self, messages: int) -> None:
        """Let sessions wait for so many copies from now on."""
        ...

    def eat(self, eats: Callable[[str], bool] | None) -> None:
        """Acknowledge messages and lose them: asked with the publisher; None ends it."""
        ...

    def set_accept_rate(self, rate_per_s: float | None) -> float | None:
        """Accept this many connections a second from now on; returns what was before."""
        ...


class BrokerPlace(Protocol):
    """A broker that faults can stop."""

    up: bool
    restarts: int

    @property
    def core(self) -> BrokerView:
        """What can be seen of it."""
        ...

    def stop(self, now: int, *, lose_sessions: bool) -> None:
        """Kill it; `start` brings it back."""
        ...

    def start(self) -> None:
        """Listen again."""
        ...

    def intrude(self, now: int, client_id: str) -> Callable[[int], None]:
        """A second client connects under this id; returns what ends it."""
        ...


class BlobPlace(Protocol):
    """Where what devices fetch is put."""

    def add(self, data: bytes) -> bytes:
        """Store bytes under their SHA-256, which is returned."""
        ...


class RowPlace(Protocol):
    """The gateway's durable rows."""

    def rows(self) -> Iterable[tuple[str, str, Any]]:
        """All durable rows as (table, key, row)."""
        ...


class GatewayPlace(Protocol):
    """A gateway that the operator talks to and that faults can stop."""

    crashes: int
    inbox_peak: int
    commit_ns: int

    @property
    def up(self) -> bool:
        """Whether the process runs."""
        ...

    @property
    def connected(self) -> bool:
        """Whether it is connected to the broker."""
        ...

    @property
    def core(self) -> Gateway:
        """The machine itself; of a stopped gateway, the last one."""
        ...

    @property
    def store(self) -> RowPlace:
        """Its rows."""
        ...

    @property
    def blobs(self) -> BlobPlace:
        """Its blobs."""
        ...

    def start(self, now: int) -> None:
        """Start the process."""
        ...

    def crash(self, now: int, effect: int = 0) -> None:
        """Kill the process: at once, or at the so manieth effect that it performs from now on."""
        ...

    def stop(self, now: int) -> None:
        """End the process in good order."""
        ...

    def keep_down(self, now: int) -> None:
        """Once the process has ended nobody starts it, until `let_up` was called as often."""
        ...

    def let_up(self, now: int) -> None:
        """One reason less to be down; with the last one gone it starts, if it has ended."""
        ...

    def fill_store(self, now: int, *, full: bool) -> None:
        """Let commits fail, or succeed again."""
        ...

    def lose_roots(self, keep: int) -> None:
        """Lose all roots but the newest from the store of a process that has ended."""
        ...

    def refuse_rows(self, now: int) -> None:
        """An older version starts, finds rows of a newer one, and ends."""
        ...

    def stimulate(self, stimulus: AnyStimulus, now: int) -> None:
        """What the operator asks for."""
        ...

    def on_the_wire(self) -> int:
        """Messages delivered to its machine and not handled yet."""
        ...

    def tamper(self, change: Callable[[str, bytes], bytes] | None) -> None:
        """Change chunks on their way: called with (device, chunk); None ends it."""
        ...

    def silence(self, is_silent: Callable[[str], bool] | None) -> None:
        """Leave requests for chunks without an answer: asked with the device; None ends it."""
        ...


class Stage(Protocol):
    """Makes the broker, the gateway and each device's path."""

    @property
    def cannot(self) -> Mapping[str, str]:
        """Verbs of the timeline that cannot be done here, with the reason; they are skipped."""
        ...

    @property
    def unseen(self) -> Mapping[str, str]:
        """Always-checks that cannot be judged from here, with the reason."""
        ...

    @property
    def tolerance_ns(self) -> int:
        """What is added to every duration that something is judged by: nothing in virtual time; in real
        time the machine's own lateness, multiplied by the speed."""
        ...

    def broker(self, kernel: Kernel, ledger: Ledger, scenario: Scenario) -> BrokerPlace:
        """Make the broker; called first."""
        ...

    def gateway(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        topics: Topics,
        make: Callable[[], Gateway],
        clock_start_ms: int,
    ) -> GatewayPlace:
        """Make the gateway; called second."""
        ...

    def path(self, shop: Workshop, parts: Parts, host: DeviceHost) -> Path:
        """Make the way of one device to the broker."""
        ...
