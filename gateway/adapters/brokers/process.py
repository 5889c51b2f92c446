"""The child process of a broker: started, watched until it listens, ended.

Decides how long we wait, where its output goes, how many files it may open, and what happens to one
that an earlier, killed run of ours left behind. Leaves out its configuration.

Rules: no process of ours outlives `stop`, `kill`, or ourselves (lifeline.py); every wait has a timeout; whatever went wrong,
the error shows the end of the broker's own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 20.0
"""Saving hundreds of megabytes of sessions takes seconds on a slow disk."""
KILLED_S_MAX: Final = 60.0
"""Nothing keeps a process that was killed, but it needs a processor to end."""
GONE_S_MAX: Final = 5.0
"""A broker of an earlier run that is ending has no command line any more, and still its port."""
POLL_S: Final = 0.02
FILES_WANTED: Final = 65_536
"""One per connection. With 1,024 a broker lets further clients hang without a word."""
LIFELINE: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("lifeline.py")))
"""Starts what ends when we do, however that may be."""
LOG_TAIL_LINES: Final = 12
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""A log larger than this when the process starts is begun anew; one older copy is kept."""

_log: Final = logging.getLogger(__name__)


class BrokerError(RuntimeError):
    """A broker did not start, did not listen, or was not found."""


def ready_folder(folder: Path) -> Path:
    """Make `folder`, for us alone, and return its absolute path: a broker runs inside it."""
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now; another process may still take it first."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


class BrokerProcess:
    """One broker as a child process.

    Args:
        command: program and arguments.
        folder: its working directory; ``broker.log`` and ``broker.pid`` go there.
        host: address on which it will listen.
        port: port on which it will listen.
        lifeline: it ends by itself when its standard input does; otherwise somebody is left to see to that.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        folder: Path,
        host: str,
        port: int,
        *,
        lifeline: bool = False,
    ) -> None:
        self.command, self.folder, self.host, self.port = command, folder, host, port
        self.log = folder / "broker.log"
        self._pid_file = folder / "broker.pid"
        self._lifeline = lifeline
        self._lock: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child is not None and self.alive else None

    async def start(self) -> None:
        """Start it and return when it listens.

        Raises:
            BrokerError: it ended, or did not listen within `START_S_MAX`; shows the end of its log. Or
                the folder or the port are in use.
        """
        self._hold_folder()
        await self._end_leftover()
        if listens(self.host, self.port):
            self._release_folder()
            raise BrokerError(
                f"expected port {self.port} of {self.host} to be free for the broker, found that "
                f"somebody listens there: name another port, or 0 for a free one"
            )
        child = self._child = self._spawn()
        raise_file_limit(child.pid)
        self._pid_file.write_text(str(child.pid))
        await self._until_listening(child)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), wait, and kill it if it does not within `STOP_S_MAX`."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGCONT)  # one that is frozen could not hear the other
            child.terminate()
            try:
                await _until(lambda: child.poll() is not None, STOP_S_MAX)
            except TimeoutError:
                _log.warning("broker %d did not end in %s s: killed", child.pid, STOP_S_MAX)
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        child, self._child = self._child, None
        self._release_folder()
        if child is None:
            return
        child.kill()
        child.wait(KILLED_S_MAX)
        if child.stdin:
            child.stdin.close()
        self._pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """SIGSTOP, when it runs."""
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT, when it runs."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)

    def tail(self, lines_max: int = LOG_TAIL_LINES) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines_max:])
        return ""

    async def _until_listening(self, child: subprocess.Popen[bytes]) -> None:
        try:
            await _until(
                lambda: child.poll() is not None or listens(self.host, self.port), START_S_MAX
            )
        except TimeoutError:
            found = f"that it did not within {START_S_MAX} s"
        except asyncio.CancelledError:
            self.kill()
            raise
        else:
            if child.poll() is None:
                return
            found = f"that it ended with code {child.returncode}"
        self.kill()
        raise BrokerError(
            f"expected {self.command[0]} to listen on {self.host}:{self.port}, found {found}; "
            f"the end of {self.log}:\n{self.tail()}"
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._rotate_log()
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command if self._lifeline else (*LIFELINE, *self.command),
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop it in our own time
            )

    def _hold_folder(self) -> None:
        """Take the folder for ourselves; the kernel lets go of it when we end, however that may be."""
        if self._lock is not None:
            return
        lock = (self.folder / "broker.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise BrokerError(
                f"expected {self.folder} for our broker alone, found that another running process "
                f"keeps one there: end it, or name another folder"
            ) from None
        self._lock = lock

    def _release_folder(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))

    async def _end_leftover(self) -> None:
        """End the broker of an earlier run in this folder that was killed before it could."""
        pid = leftover(self._pid_file, self.command)
        if pid is None:
            if self._pid_file.exists():
                with contextlib.suppress(TimeoutError):
                    await _until(self._left, GONE_S_MAX)
            return
        _log.warning("ending broker %d, which an earlier run left in %s", pid, self.folder)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
            try:
                await _until(self._left, STOP_S_MAX)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(
                    TimeoutError
                ):  # the port will say so, if it is still taken
                    await _until(self._left, KILLED_S_MAX)

    def _left(self) -> bool:
        # A process that ends loses its command line a moment before its sockets.
        gone = leftover(self._pid_file, self.command) is None
        return gone and not listens(self.host, self.port)


def leftover(pid_file: Path, command: tuple[str, ...]) -> int | None:
    """The process id in `pid_file` if that process still is `command`, not a stranger with its number."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        if [word.decode(errors="replace") for word in words] == list(command):
            return pid
    return None


async def _until(done: Callable[[], bool], s_max: float) -> None:
    async with asyncio.timeout(s_max):
        while not done():  # noqa: ASYNC110 - a process and a port have no event to wait for
            await asyncio.sleep(POLL_S)


def raise_file_limit(pid: int, wanted: int = FILES_WANTED) -> int:
    """Raise how many files a process may open towards `wanted`, at most its hard limit.

    Returns:
        The limit that is now in force.
    """
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < best:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (best, hard))
        return best
    return soft
