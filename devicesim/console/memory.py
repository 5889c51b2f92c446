"""What a gateway remembers of devices and rollouts for people (gateway/runtime/chronicle.py), in the time of a run.

Decides nothing: it is told of the same rows and messages as a gateway's own, with the instants of the run, and forgets all of it
when a take begins.
"""

from __future__ import annotations

from devicesdk.wire.timebase import MS
from devicesim.world.watch import Watcher
from gateway.core import effects as ask
from gateway.runtime.chronicle import Chronicle


class Memory(Chronicle):
    """A chronicle of one take after the other.

    Args:
        start_ms: UTC at the run's first instant.
    """

    def __init__(self, start_ms: int) -> None:
        self._start_ms = self._at_ms = start_ms
        super().__init__(lambda: self._at_ms)

    def begin(self) -> None:
        """A take begins."""
        self._at_ms = self._start_ms
        self._devices.clear()
        self._rollouts.clear()

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """A row is about to become durable."""
        self._at_ms = self._start_ms + now // MS
        super().persisted(effect, now)

    def told(self, device: str, payload: bytes, now: int) -> None:
        """A telemetry message came."""
        self._at_ms = self._start_ms + now // MS
        self.heard(device, payload)


class Eyes(Watcher):
    """Shows a memory what the simulated gateway keeps.

    Args:
        memory: remembers it.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """A row is made durable."""
        self._memory.persisted(effect, now)
