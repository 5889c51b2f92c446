"""A burst of frames on a virtual device: captured one by one, looked at when it is over.

Decides which frames had been captured when a burst ends early, and what the burst cost the body. Leaves
out what the frames show (models/datastream.py) and how results are computed (world/inference.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicesdk.agent import effects as ask
from devicesdk.wire.timebase import NEVER
from devicesim.world.device_parts import Model, Parts, Shot

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost


def _all_of_them(
    parts: Parts, effect: ask.RunModel, macs: float, precision: str
) -> tuple[int, int]:
    """The frames that a burst stands for, and their period; a device that cannot keep up skips some."""
    span = effect.frames * effect.period_ns
    latency = max(1, parts.body.processor.latency_ns(macs, precision))
    frames = max(effect.frames, min(effect.frames * parts.stands_for, span // latency))
    return frames, span // frames


class Burst:
    """Frames being captured and inferred, results not looked at before they are due."""

    __slots__ = (
        "_handle",
        "_host",
        "_shadow",
        "cost",
        "effect",
        "latency_us",
        "memory_mib",
        "shadow_latency_us",
        "started_at",
    )

    def __init__(self, host: DeviceHost, effect: ask.RunModel, now: int) -> None:
        shop, parts = host.shop, host.parts
        self._host, self.effect, self.started_at = host, effect, now
        mode = effect.mode
        manifest, variant = host.manifest, host.variant
        if effect.slot != host.slot:
            manifest, variant = host.holds(effect.slot)
        model = shop.models.get((manifest, mode.variant or variant))
        spec = parts.gauge.burst(now, effect.frames, effect.period_ns)
        self.memory_mib = model.memory_mib
        self._handle = model.submit(parts.kernel_class(), spec, mode.side)
        self._shadow: Shot | None = None
        self.shadow_latency_us = 0
        macs: float = model.macs
        if effect.shadow:
            beside = shop.models.get(host.holds(effect.shadow))
            self._shadow = beside.submit(parts.kernel_class(), spec)
            macs += self._cost_of(beside, model.precision)
        frames, period_ns = effect.frames, effect.period_ns
        if parts.stands_for != 1:
            frames, period_ns = _all_of_them(parts, effect, macs, model.precision)
        self.cost = parts.body.run_burst(now, frames, period_ns, macs, model.precision)
        self.latency_us = self.cost.latency_ns // 1000 - self.shadow_latency_us
        host.burst_alarm.arm(now + effect.frames * effect.period_ns)

    def _cost_of(self, beside: Model, precision: str) -> float:
        """Operations of the other precision that take as long as a frame of what runs beside."""
        processor = self._host.parts.body.processor
        latency_ns = processor.latency_ns(beside.macs, beside.precision)
        self.shadow_latency_us = latency_ns // 1000
        return beside.macs * latency_ns / processor.latency_ns(beside.macs, precision)

    def captured(self, now: int) -> int:
        """Frames captured by `now`: the first at the start, then one each period."""
        return min(self.effect.frames, (now - self.started_at) // max(1, self.effect.period_ns) + 1)

    def finish(self, now: int) -> int:
        """End it; returns how many frames ran."""
        alarm = self._host.burst_alarm
        if alarm.at != NEVER:
            alarm.arm(NEVER)
        effect = self.effect
        if now - self.started_at >= effect.frames * effect.period_ns > 0:
            return effect.frames
        ran = self.captured(now)
        if ran < effect.frames:
            self._host.parts.body.cut_burst(now)
        return ran

    def readings(self, ran: int) -> Shot:
        """The results of the first `ran` frames, computed when looked at."""
        return self._handle.first(ran)

    def shadowed(self, ran: int) -> Shot | None:
        """The same of what ran beside; None where nothing did."""
        return None if self._shadow is None else self._shadow.first(ran)

    def discard(self) -> None:
        """Nobody will look."""
        self._handle.discard()
        if self._shadow is not None:
            self._shadow.discard()
