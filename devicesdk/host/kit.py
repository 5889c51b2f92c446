"""What a host on a real device is made of.

Decides nothing but what a file that cannot be read counts as. Leaves out who makes the parts
(devicesdk/host/__main__.py) and what is done with them (host.py, workshop.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from devicesdk.agent.agent import Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.aio.clock import Clock
from devicesdk.aio.port import Listener, MqttPort
from devicesdk.bundle.trust import Verifier
from devicesdk.host.models import Models
from devicesdk.host.sensors import Sensors
from devicesdk.host.storage import Storage, StorageRefused

if TYPE_CHECKING:
    from devicesdk.bundle.trusted_set import Anchor

_log = logging.getLogger("fleetdrill.device")


class Kit(msgspec.Struct, frozen=True):
    """What a host is made of."""

    config: AgentConfig
    identity: Identity
    verifier: Verifier
    seed: int
    """This device's luck."""
    storage: Storage
    models: Models
    sensors: Sensors
    clock: Clock
    make_port: Callable[[Listener], MqttPort]
    anchor: Anchor | None = None
    """The TUF root it is enrolled with; None: it goes by `verifier` alone."""
    notice: Path | None = None
    """Where programs on this device read its flags; None: in its own folder."""

    def remembered(self, file: str) -> bytes | None:
        """A file's content; None: there is none; empty: it could not be read, which is not the same."""
        try:
            return self.storage.read(file)
        except StorageRefused as error:
            _log.error("storage=%s", error)
            return b""
