"""What a service tells systemd: ready, alive, stopping.

Decides nothing. The protocol is a datagram to the socket named in the environment (sd_notify(3)); without
one, nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket


class Supervisor:
    """The supervisor that started this process, if any did."""

    __slots__ = ("_address",)

    def __init__(self) -> None:
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    def say(self, state: str) -> None:
        """Send ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet,
        ):
            outlet.setblocking(False)
            outlet.sendto(state.encode(), self._address)
