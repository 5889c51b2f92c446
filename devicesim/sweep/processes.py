"""Workers that are processes of this machine.

Decides how one is started, spoken to and ended. Leaves out who gets which task (engines.py) and what the
worker does (worker.py).

Rules: a worker is a fresh interpreter, never a fork: ONNX Runtime and its threads do not survive one, and a
script without a main guard is not run again. Each has a socket pair of its own; when ours closes, it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import msgspec

from devicesim.sweep.engines import Hand, HandLost
from devicesim.sweep.task import Answer, Setup, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

_DECODER = msgspec.msgpack.Decoder(Answer)


class ProcessHand:
    """One worker process."""

    def __init__(self, setup: bytes, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "devicesim.sweep.worker", str(number)],
                pass_fds=(number,), env=dict(environment),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self.connection = Connection(ours.detach())
        self._send(setup)

    def give(self, task: Task) -> None:
        """Begin a task.

        Raises:
            HandLost: it died.
        """
        if not self._send(msgspec.msgpack.encode(task)):
            raise HandLost(self._obituary())

    def _send(self, data: bytes) -> bool:
        try:
            self.connection.send_bytes(data)
        except OSError:
            return False
        return True

    def answer(self) -> Answer:
        """What it says.

        Raises:
            HandLost: it died.
        """
        try:
            data = self.connection.recv_bytes()
        except (EOFError, OSError):
            raise HandLost(self._obituary()) from None
        answer: Answer = _DECODER.decode(data)
        return answer

    def _obituary(self) -> str:
        code = self.process.wait()
        if code < 0:
            memory = ", as the system does when memory runs out" if code == -9 else ""
            return f"was ended by signal {-code}{memory}"
        return f"ended with exit code {code}"

    def dismiss(self) -> None:
        """End it."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


class ProcessCrew:
    """Starts worker processes.

    Args:
        setup: what all tasks share.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = msgspec.msgpack.encode(setup)
        self._environment = environment()

    def hire(self) -> ProcessHand:
        """Start one; it warms up while others work."""
        return ProcessHand(self._setup, self._environment)

    def ready(self, hands: list[Hand], wait_s: float) -> list[Hand]:
        """Those that have something to say, or have died."""
        places: dict[Any, Hand] = {
            hand.connection: hand for hand in hands if isinstance(hand, ProcessHand)
        }
        heard = wait(list(places), wait_s)
        return [hand for place, hand in places.items() if place in heard]

    def close(self) -> None:
        """Nothing beside the workers."""


def environment() -> dict[str, str]:
    """What a worker is born with: our own way to find modules, one thread for matrices."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
