"""A rehearsal as a process of its own: started, fed one job, listened to, bounded, ended.

Decides how long it may take, how much memory and output it may have, and what is left of one that breaks a bound. Leaves
out what it does (the simulator's business: this package knows it as a command) and when (gateway/runtime/rehearsals.py).

Rules: no process of ours outlives its time or ours; it runs at a low priority, and of our environment it has `KEPT` alone, because it computes
models of somebody else's and passwords are among the rest; its standard error is kept in its folder, bounded; whatever
it says that is not a verdict is no verdict, and that a plan held it must say with its exit code, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.rehearsals.job import HELD, VERDICT_BYTES_MAX, Job, Step, Verdict, read_step

NICENESS: Final = 10
ERRORS_FILE: Final = "errors.txt"
JOB_FILE: Final = "job.json"
ERRORS_BYTES_MAX: Final = 64 * 1024
"""Of its standard error that are looked at, from the end."""
ERRORS_SHOWN_CHARS: Final = 300
ENDED_S_MAX: Final = 10.0
"""Between its last line and its end."""
FILE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of any file that it writes."""
SIMULATOR: Final = "devicesim"
NEEDED: Final = (SIMULATOR, "simpy", "onnxruntime")
FOLDER: Final = "rehearsals"
KEPT: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONHOME",
     "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
)  # fmt: skip
"""Variables that a process needs to find itself; those of a locale beside them."""
KEPT_BEGIN: Final = ("LC_", "OPENBLAS_", "OMP_", "NVPL_", "KMP_")


class RehearsalError(RuntimeError):
    """There is no verdict; says why."""


class Bounds(msgspec.Struct, frozen=True):
    """Of one process."""

    wall_s: float
    memory_bytes: int


def usual_command() -> tuple[str, ...]:
    """This Python's own simulator; empty where it is not installed."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        return ()
    return sys.executable, "-m", "devicesdk", "rehearse", "--stdin"


class Rehearsing:
    """Runs jobs, one at a time.

    Args:
        command: what to start; it reads a job and writes lines of `Step`.
        blobs: folder of the blob store.
        folder: where jobs leave their files, a folder each.
        bounds: of each process.
    """

    def __init__(self, command: Sequence[str], blobs: Path, folder: Path, bounds: Bounds) -> None:
        self._command, self._bounds = tuple(command), bounds
        self.blobs, self._folder = blobs.absolute(), folder.absolute()

    @property
    def able(self) -> bool:
        """Whether there is anything to start."""
        return bool(self._command)

    def place(self, number: int) -> Path:
        """The folder of a rehearsal."""
        return self._folder / str(number)

    def forget(self, numbers: Callable[[int], bool]) -> None:
        """Remove the folders of rehearsals that nobody keeps."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.name.isdigit() and not numbers(int(path.name)):
                shutil.rmtree(path, ignore_errors=True)

    async def run(self, job: Job, hear: Callable[[Step], None]) -> Verdict:
        """Run one job.

        Args:
            job: what is to be rehearsed.
            hear: told how far it is.

        Raises:
            RehearsalError: it broke a bound, or ended without a verdict.
        """
        place = self.place(job.number)
        text = msgspec.json.encode(job)
        try:
            await asyncio.to_thread(_prepare, place, text)
            process = await self._start(place)
        except OSError as error:
            raise RehearsalError(f"expected {self._command[0]} to start, found: {error}") from error
        try:
            self._bind(process.pid)
            async with asyncio.timeout(self._bounds.wall_s):
                found = await _listen(process, text, hear)
                await asyncio.wait_for(process.wait(), ENDED_S_MAX)
        except TimeoutError:
            raise RehearsalError(
                f"expected a verdict within {self._bounds.wall_s:g} s, found none: the run was ended"
            ) from None
        except (OSError, ValueError) as error:
            raise RehearsalError(f"expected a verdict, found: {error}{_errors(place)}") from error
        finally:
            await _ended(process)
        if found is None:
            raise RehearsalError(
                f"expected a verdict, found that the process ended with {process.returncode}{_errors(place)}"
            )
        if found.outcome == HELD and process.returncode:
            raise RehearsalError(
                f"expected a verdict, found a process that said it held, and then ended with {process.returncode}"
                f"{_errors(place)}"
            )
        return found

    async def _start(self, place: Path) -> asyncio.subprocess.Process:
        with (place / ERRORS_FILE).open("wb") as errors:
            return await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=errors, cwd=place, start_new_session=True, limit=VERDICT_BYTES_MAX + 1,
                env=_environment(),
            )  # fmt: skip

    def _bind(self, pid: int) -> None:
        """Bound a process from outside: it need not agree."""
        memory = self._bounds.memory_bytes
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)


def _environment() -> dict[str, str]:
    """What it needs of ours; with one thread, as virtual time is told to be the same by."""
    mine = {
        name: word
        for name, word in os.environ.items()
        if name in KEPT or name.startswith(KEPT_BEGIN)
    }
    return {**mine, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _prepare(place: Path, text: bytes) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, mode=0o700)
    (place / JOB_FILE).write_bytes(text)


async def _listen(
    process: asyncio.subprocess.Process, text: bytes, hear: Callable[[Step], None]
) -> Verdict | None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text)
        await process.stdin.drain()
        process.stdin.close()
    found: Verdict | None = None
    while line := await process.stdout.readline():
        step = read_step(line)
        hear(step)
        found = step.verdict or found
    return found


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Nothing of it is left: its children are in a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _errors(place: Path) -> str:
    """The end of what it said on standard error."""
    try:
        with (place / ERRORS_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - ERRORS_BYTES_MAX))
            text = file.read(ERRORS_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    words = " ".join(text.split())[-ERRORS_SHOWN_CHARS:]
    return f": {words}" if words else ""
