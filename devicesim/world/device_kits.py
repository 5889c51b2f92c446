"""Validation kits and golden probes on a virtual device.

Decides how long they take on its processor and which kernels compute them. Leaves out what a kit is
(devicesdk/inference/kit.py) and when one runs (the agent). A part of the virtual device (device_host.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost


def run_kit(host: DeviceHost, effect: ask.RunKit, now: int) -> None:
    """The validation kit of an inactive slot, and of the lighter models in its image."""
    model = host.shop.models.get((effect.manifest, effect.variant))
    latency = host.parts.body.processor.latency_ns(model.macs, model.precision)
    kernel = host.parts.kernel_class()
    outcome = model.judge_kit(kernel, latency)
    for name in model.also if outcome.passed else ():
        lighter = host.shop.models.get((effect.manifest, name))
        if outcome.passed and lighter.kit_samples:
            outcome = lighter.judge_kit(kernel, 0)
    answer = hear.KitRan(
        effect.slot, outcome.passed, outcome.reason, outcome.worst_permille, latency // 1000
    )
    host.shop.kernel.at(now + latency * model.kit_samples, _ran, (host, host.boot_id, answer))


def _ran(now: int, argument: tuple[DeviceHost, int, hear.KitRan | hear.ProbeRan]) -> None:
    host, boot_id, answer = argument
    if boot_id == host.boot_id and host.on:
        host.stimulate(answer, now)


def run_probe(host: DeviceHost, effect: ask.RunProbe, now: int) -> None:
    """The kit of what runs, as a golden probe."""
    model = host.shop.models.get((effect.manifest, effect.variant))
    latency = host.parts.body.processor.latency_ns(model.macs, model.precision)
    answer = model.probe(effect.slot, host.parts.kernel_class())
    host.shop.kernel.at(now + latency * model.kit_samples, _ran, (host, host.boot_id, answer))


KITS: Final[dict[type[Any], Callable[[DeviceHost, Any, int], None]]] = {
    ask.RunKit: run_kit,
    ask.RunProbe: run_probe,
}
