"""Frames that a virtual device takes and does not run at once: kept, asked of the gateway, run later.

The twin of `devicesdk.host.taken`. Decides what is kept (a burst's description: its pictures are drawn
when somebody looks), what running it later costs the body, and when it is over. Leaves out which frames
and when (devicesdk/agent/elsewhere.py). Made for a device when it first keeps anything: one that never does
pays nothing.

Rules: frames show what was there when they were taken; frames that the gateway ran cost the device their
sending and nothing else, and count as frames of that device all the same; what is kept goes with the power.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.inference.reduce import packed
from devicesdk.wire.timebase import NEVER
from devicesim.world.device_parts import Shot
from devicesim.world.senses import AnySpec, pictures

if TYPE_CHECKING:
    from devicesim.models.crossing import BurstCost
    from devicesim.world.device_host import DeviceHost


class Kept(msgspec.Struct, frozen=True, gc=False):
    """Frames of one burst."""

    spec: AnySpec
    frames: int
    side: int


class Rows(msgspec.Struct, frozen=True, gc=False):
    """`devicesdk.agent.stimuli.Readings` of frames that the gateway ran."""

    made: list[list[int]]

    def rows(self) -> list[list[int]]:
        """One row a frame."""
        return self.made


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Kept frames that are being run."""

    burst: int
    shot: Shot
    frames: int
    started_at: int
    cost: BurstCost


class Elsewhere:
    """What one device keeps, in this boot."""

    __slots__ = ("_alarm", "_host", "_kept", "_reading", "_spec", "_started_at", "_taking")

    def __init__(self, host: DeviceHost) -> None:
        self._host = host
        self._alarm = host.shop.kernel.alarm(self._over)
        self._kept: dict[int, Kept] = {}
        self._taking: ask.TakeFrames | None = None
        self._spec: AnySpec | None = None
        self._started_at = 0
        self._reading: Reading | None = None

    def take(self, effect: ask.TakeFrames, now: int) -> None:
        """Begin to take frames."""
        self._taking, self._started_at = effect, now
        self._spec = self._host.parts.gauge.burst(now, effect.frames, effect.period_ns)
        self._alarm.arm(now + effect.frames * effect.period_ns)

    def run(self, effect: ask.RunTaken, now: int) -> None:
        """Run kept frames, as fast as it goes."""
        host, parts = self._host, self._host.parts
        kept = self._kept.pop(effect.burst)
        model = host.shop.models.get((host.manifest, effect.mode.variant or host.variant))
        shot = model.submit(parts.kernel_class(), kept.spec, kept.side)
        if kept.frames < kept.spec.frames:
            shot.handle.cut(kept.frames)
        paid = kept.frames * parts.stands_for
        cost = parts.body.run_burst(now, paid, 0, model.macs, model.precision)
        self._reading = Reading(effect.burst, shot, kept.frames, now, cost)
        self._alarm.arm(max(cost.end_ns, now + 1))

    def answer(self, effect: ask.ReadAnswer, now: int) -> None:
        """Make rows of kept frames and the gateway's outputs."""
        host = self._host
        kept = self._kept.pop(effect.burst)
        model = host.shop.models.get((host.manifest, host.variant))
        pixels = pictures(kept.spec, kept.frames, kept.side)
        rows = model.pool.answered(model.digest, pixels, effect.outputs)
        host.executed(kept.frames, now)
        self._tell(effect.burst, kept.frames, Rows(rows), 0, now)

    def drop(self, burst: int) -> None:
        """Forget what was kept of a burst."""
        self._kept.pop(burst, None)

    def cut(self, burst: int, now: int) -> None:
        """End what is under way, if it is this burst."""
        taking, reading = self._taking, self._reading
        if taking is not None and taking.burst == burst:
            passed = (now - self._started_at) // max(1, taking.period_ns) + 1
            self._taken(min(taking.frames, passed), now)
        elif reading is not None and reading.burst == burst:
            self._host.parts.body.cut_burst(now)
            each = max(1, (reading.cost.end_ns - reading.started_at) // reading.frames)
            self._read(min(reading.frames, (now - reading.started_at) // each), now)

    def lost(self) -> None:
        """Power goes: what is kept was never run, and what runs is not looked at any more."""
        self._alarm.arm(NEVER)
        if self._reading is not None:
            self._reading.shot.handle.cancel()

    def _over(self, now: int) -> None:
        if self._taking is not None:
            self._taken(self._taking.frames, now)
        elif self._reading is not None:
            self._read(self._reading.frames, now)

    def _taken(self, frames: int, now: int) -> None:
        effect, spec, host = self._taking, self._spec, self._host
        assert effect is not None
        assert spec is not None
        self._taking = None
        self._alarm.arm(NEVER)
        self._kept[effect.burst] = Kept(spec, frames, effect.side)
        sent = b""
        if effect.send:
            sent = packed(pictures(spec, frames, effect.side))
        host.parts.body.advance(now)
        host.stimulate(hear.FramesTaken(effect.burst, frames, sent, host.conditions()), now)

    def _read(self, frames: int, now: int) -> None:
        reading, host = self._reading, self._host
        assert reading is not None
        self._reading = None
        self._alarm.arm(NEVER)
        host.executed(frames, now)
        rows = reading.shot.first(frames)
        self._tell(reading.burst, frames, rows, reading.cost.latency_ns // 1000, now)

    def _tell(
        self, burst: int, frames: int, rows: hear.Readings, latency_us: int, now: int
    ) -> None:
        host = self._host
        host.parts.body.advance(now)
        found = host.conditions()
        throttled = frames if found.throttled else 0
        host.stimulate(hear.FramesRan(burst, frames, rows, latency_us, throttled, found), now)


def _of(host: DeviceHost) -> Elsewhere:
    if host.elsewhere is None:
        host.elsewhere = Elsewhere(host)
    return host.elsewhere


def _take(host: DeviceHost, effect: ask.TakeFrames, now: int) -> None:
    _of(host).take(effect, now)


def _run(host: DeviceHost, effect: ask.RunTaken, now: int) -> None:
    _of(host).run(effect, now)


def _answer(host: DeviceHost, effect: ask.ReadAnswer, now: int) -> None:
    _of(host).answer(effect, now)


def _drop(host: DeviceHost, effect: ask.DropTaken, now: int) -> None:  # noqa: ARG001 - all effects are called alike
    _of(host).drop(effect.burst)


ELSEWHERE: Final[dict[type[Any], Callable[[DeviceHost, Any, int], None]]] = {
    ask.TakeFrames: _take,
    ask.RunTaken: _run,
    ask.ReadAnswer: _answer,
    ask.DropTaken: _drop,
}
"""How a virtual device performs these effects."""
