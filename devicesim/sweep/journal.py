"""The file of results: one JSON line for each task that is done.

Decides how a line gets to the disk (whole, and synced before the next one) and what a torn last line means.
Leaves out what is in it (task.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from devicesim.sweep.task import Result

if TYPE_CHECKING:
    from io import BufferedRandom

JOURNAL_FILE: Final = "results.jsonl"
_DECODER: Final = msgspec.json.Decoder(Result)


class Journal:
    """Appends results; use it as a context manager.

    Args:
        folder: of the sweep. What is in it already is in `done`; a last line that a crash tore is cut off.

    Raises:
        ValueError: a line that is not the last one is no result.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / JOURNAL_FILE
        self.done, good_bytes = _read(path)
        self._file: BufferedRandom = path.open("a+b")
        self._file.truncate(good_bytes)

    def append(self, result: Result) -> None:
        """Keep a result: when this returns it is on the disk."""
        self._file.write(msgspec.json.encode(result) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done[result.key] = result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_journal(folder: Path) -> dict[str, Result]:
    """The results of a sweep by the key of their task, in the order in which they were done."""
    return _read(folder / JOURNAL_FILE)[0]


def _read(path: Path) -> tuple[dict[str, Result], int]:
    """Results, and how many bytes of the file are whole lines."""
    if not path.is_file():
        return {}, 0
    data = path.read_bytes()
    whole, _, torn = data.rpartition(b"\n")
    found: dict[str, Result] = {}
    for number, line in enumerate(whole.split(b"\n") if whole else (), 1):
        try:
            result = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            raise ValueError(
                f"expected a result on line {number} of {path}, found {line[:60]!r} ({error}): "
                "delete the line to have its task done again"
            ) from error
        found[result.key] = result
    return found, len(data) - len(torn)
