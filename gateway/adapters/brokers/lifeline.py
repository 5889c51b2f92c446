"""Starts a broker that ends when whoever started it does, even by ``kill -9``: ``python lifeline.py PROGRAM [ARGUMENT]``.

Decides how the end is noticed: standard input is a pipe whose other end the gateway holds open and never writes to; the
kernel closes it with the gateway. A second process waits for that and asks the broker to end (SIGTERM: it saves its
sessions), kills it when it does not within `STOP_S_MAX`, and goes. Leaves out everything that a broker does.

Not ``PR_SET_PDEATHSIG``: that is sent when the *thread* that started a process ends, and no other system has it.

Rules: this process becomes the broker, so that its id, its exit code and its command line are the broker's; who waits is
the broker's child and signals only its parent, so that a stranger with the number of a broker that has ended is left
alone; nothing is imported that makes this slow or large.
"""

from __future__ import annotations

import os
import signal
import sys
import time

STOP_S_MAX = 20.0
POLL_S = 0.05
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""By Python, for itself; whom it becomes would inherit that."""


def main(command: list[str]) -> None:
    """Become the broker, and leave somebody to wait for the end of the pipe."""
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    broker = os.getpid()
    if os.fork() == 0:
        try:
            _wait(line, broker)
        finally:
            os._exit(0)
    os.close(line)
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - without a shell is what is meant


def _wait(line: int, broker: int) -> None:
    while os.read(line, 4096):
        pass
    if os.getppid() != broker:
        return  # it has ended already
    os.kill(broker, signal.SIGCONT)  # one that is frozen could not hear the other
    os.kill(broker, signal.SIGTERM)
    for _ in range(int(STOP_S_MAX / POLL_S)):
        if os.getppid() != broker:
            return
        time.sleep(POLL_S)  # noqa: TID251 - a process of its own, and a process has no event to wait for
    if os.getppid() == broker:
        os.kill(broker, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
