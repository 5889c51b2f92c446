"""What the makers of a fleet tell its gateway before the first device is switched on.

Decides what is registered: the release that the factory shipped, each device with its labels, and that they run it
already. Leaves out everything that an operator decides later.

Rule: what the gateway knows is left as it is, labels that somebody has changed too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from devicesim.world.device_host import DeviceHost
from devicesim.world.world import World
from gateway.runtime import verbs
from gateway.runtime.knock import knock

FACTORY: Final = "factory"
LABELS: Final = ("group", "region", "hardware", "power")
PAGE: Final = 1000


def register(state: Path, world: World) -> None:
    """Tell the gateway of a state folder about a fleet; its factory's blobs are in its store.

    Raises:
        VerbError: the gateway refuses something.
        NoGatewayError: none runs there.
    """
    known = {one["name"] for one in knock(state, verbs.ListBundles(limit=PAGE))["bundles"]}
    shipped = ""
    for bundle in world.bundles.values():
        shipped = bundle.name
        if shipped not in known:
            knock(state, verbs.PublishBundle(digest=bundle.digest.hex()))
    devices = {one["id"] for one in knock(state, verbs.ListDevices(limit=PAGE))["devices"]}
    for host in world.hosts:
        if host.device not in devices:
            knock(state, verbs.EnrollDevice(device=host.device, labels=labels_of(host)))
    if all(one["id"] != FACTORY for one in knock(state, verbs.ListRollouts())):
        knock(state, verbs.CreateRollout(id=FACTORY, bundle=shipped, initial=True))


def labels_of(host: DeviceHost) -> dict[str, str]:
    """A device's labels in the registry."""
    return {name: host.parts.registered[name] for name in LABELS}
