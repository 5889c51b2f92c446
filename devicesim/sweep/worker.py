"""``python -m devicesim.sweep.worker FD``: one worker process.

Decides how a worker lives: it reads its setup, then a task, writes the answer, and ends when the other side
has closed. Leaves out the work (bench.py). Ctrl-C is the business of whoever started it.
"""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection

import msgspec

from devicesim.sweep.bench import Bench
from devicesim.sweep.task import Refused, Setup, Task


def main(place: Connection) -> None:
    """Serve until the other side closes."""
    try:
        setup = msgspec.msgpack.decode(place.recv_bytes(), type=Setup)
        tasks = msgspec.msgpack.Decoder(Task)
        bench = begin(setup)
        while True:
            task = tasks.decode(place.recv_bytes())
            answer = bench if isinstance(bench, Refused) else bench.do(task)
            place.send_bytes(msgspec.msgpack.encode(answer))
    except (EOFError, ConnectionError):
        return


def begin(setup: Setup) -> Bench | Refused:
    """Make the bench, or the reason why there cannot be one."""
    try:
        return Bench(setup)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is told to whoever asked for it
        return Refused(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(Connection(int(sys.argv[1])))
