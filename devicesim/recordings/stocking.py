"""Recordings and link traces that a scenario names, read from its folder.

Decides where they are looked for and how a missing one is explained. Leaves out what is in them
(reading.py, links.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devicesim.models.link_trace import Trace
from devicesim.recordings.intervals import Recording, RecordingError
from devicesim.recordings.links import read_link
from devicesim.recordings.reading import read_files
from devicesim.scenario.recorded import TRACE

if TYPE_CHECKING:
    from devicesim.scenario.schema import Scenario

TRACE_BYTES_MAX: Final = 16 * 1024 * 1024


def load_recordings(
    scenario: Scenario, bases: Iterable[Path], known: dict[str, Recording] | None = None
) -> dict[str, Recording]:
    """The recordings that groups follow, by path.

    Args:
        scenario: whose groups name them.
        bases: folders from which paths may begin, nearest first.
        known: those that were read before; what is read now is added.

    Raises:
        RecordingError: one is missing, or no recording.
    """
    wanted = dict.fromkeys(group.presence.file for group in scenario.fleet if group.presence)
    folders = tuple(bases)
    known = {} if known is None else known
    for path in wanted:
        if path not in known:
            known[path] = read_files([str(_find(path, folders, "a recording"))]).recording
    return {path: known[path] for path in wanted}


def load_traces(
    scenario: Scenario, bases: Iterable[Path], known: dict[str, Trace] | None = None
) -> dict[str, Trace]:
    """The link traces that groups name, by path.

    Args:
        scenario: whose groups name them.
        bases: folders from which paths may begin, nearest first.
        known: those that were read before; what is read now is added.

    Raises:
        RecordingError: one is missing, or no trace.
    """
    wanted = dict.fromkeys(
        link.removeprefix(TRACE)
        for group in scenario.fleet
        for link in group.links
        if link.startswith(TRACE)
    )
    folders = tuple(bases)
    known = {} if known is None else known
    for path in wanted:
        if path not in known:
            known[path] = load_trace(_find(path, folders, "a link trace"))
    return {path: known[path] for path in wanted}


def load_trace(file: Path, *, rtt_ms: float | None = None, condition: str = "") -> Trace:
    """Read one link trace.

    Raises:
        RecordingError: it is too large, no text, or of no format that we know.
    """
    if file.stat().st_size > TRACE_BYTES_MAX:
        raise RecordingError(f"{file}: expected at most {TRACE_BYTES_MAX} bytes, found more")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(f"{file}: expected text, found {error.reason}") from error
    return read_link(text, rtt_ms=rtt_ms, condition=condition, name=str(file))


def _find(path: str, folders: tuple[Path, ...], what: str) -> Path:
    for base in folders:
        if (base / path).is_file():
            return base / path
    raise RecordingError(
        f"expected {what} in {path}, found no such file from {folders[0]} or the folders after it; "
        "paths are from the scenario's folder"
    )
