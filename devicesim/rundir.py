"""The folder of one run: what is kept so that it can be read, replayed and held against another.

Decides the files of ``runs/<scenario>-<seed>[-n]/``: ``manifest.json`` (seed, digests of scenario and
code, versions, processor), ``trace.bin`` (zlib over native int64 rows), ``trace.json`` (vocabulary,
devices, checkpoints), ``record.json``, ``devices.csv`` (a row a device), ``scenario.json`` (every value,
defaults included), ``report.html``, ``junit.xml``; and while the run goes on, ``running.json``. Leaves out
their content.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from devicesim.world.trace import ROW_INTS, Trace
from devicesim.world.world import World

RUNS_MAX: Final = 10_000
RUNNING_FILE: Final = "running.json"
"""What it takes to repeat a run that has not ended; gone when it has."""
PACKAGES: Final = ("fleetdrill", "numpy", "onnxruntime", "simpy", "msgpack", "datasketches")
_HERE: Final = Path(__file__).parent


def new_folder(base: Path, name: str) -> Path:
    """Make ``base/name``, or ``base/name-2`` and so on when it exists.

    Raises:
        FileExistsError: too many runs of that name; says what to delete.
    """
    for number in range(1, RUNS_MAX):
        folder = base / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(
        f"expected fewer than {RUNS_MAX} runs named {name} in {base}: delete some"
    )


class TraceFile:
    """Takes the blocks of a trace and compresses them as they come.

    Args:
        path: where to; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = path.open("wb") if path is not None else None
        self._packer = zlib.compressobj(1)

    def __call__(self, block: bytes) -> None:
        """Take one block."""
        if self._file is not None:
            self._file.write(self._packer.compress(block))

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.write(self._packer.flush())
            self._file.close()


def announce(folder: Path, **said: Any) -> None:
    """Say in a run's folder that it goes on, and what it takes to repeat it."""
    (folder / RUNNING_FILE).write_text(json.dumps({**said, "pid": os.getpid()}, indent=1))


def write_trace_index(folder: Path, world: World, trace: Trace, digest: str) -> None:
    """Write what one needs to read the rows."""
    index = {
        "digest": digest,
        "rows": trace.rows_flushed,
        "kinds": trace.vocabulary.names,
        "devices": [host.device for host in world.hosts],
        "groups": [host.parts.group for host in world.hosts],
        "checkpoints": trace.checkpoints,
    }
    (folder / "trace.json").write_text(json.dumps(index))


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a run's trace.

    Raises:
        FileNotFoundError: the folder is not that of a run; says how to make one.
    """
    path = folder / "trace.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a run in {folder}, found no trace.json; make one with `fleetdrill run SCENARIO`"
        )
    index: dict[str, Any] = json.loads(path.read_text())
    return index


def read_rows(folder: Path) -> Iterator[NDArray[np.int64]]:
    """The rows of a run's trace, a block at a time, shape (n, 5): instant, actor, kind, a, b."""
    unpacker = zlib.decompressobj()
    rest = b""
    with (folder / "trace.bin").open("rb") as file:
        while packed := file.read(1 << 20):
            data = rest + unpacker.decompress(packed)
            whole = len(data) - len(data) % (8 * ROW_INTS)
            rest = data[whole:]
            yield np.frombuffer(data[:whole], dtype=np.int64).reshape(-1, ROW_INTS)


def machine() -> dict[str, str]:
    """What the run ran on: enough to know whether another run can be compared bit for bit."""
    cpu = platform.processor() or platform.machine()
    flags = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), cpu)
        words = next(
            (line.partition(":")[2].split() for line in lines if line.startswith("flags")), []
        )
        wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "fma", "sse4_2")
        flags = " ".join(flag for flag in wanted if flag in words)
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": cpu,
        "cpu_flags": flags,
    }


def versions() -> dict[str, str]:
    """Versions of what computes, and the digest of the program's own code."""
    return {**{name: version(name) for name in PACKAGES}, "code": code_digest()}


def code_digest() -> str:
    """Digest of the program's own source files: two runs with the same one ran the same code."""
    hasher = sha256()
    for package in ("gateway", "devicesdk", "devicesim"):
        for path in sorted((_HERE.parent / package).rglob("*.py")):
            hasher.update(str(path.relative_to(_HERE.parent)).encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()[:16]
