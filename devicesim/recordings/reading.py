"""Files of recordings: opened, unpacked, put into order, read line by line.

Decides what a file is (a table or a log, packed or not), in which order several are read, and what is
told about them. Leaves out lines (mosquitto.py, tables.py).

Rules: streaming, one line of at most `LINE_BYTES_MAX` in memory at a time; files are read in the order
of their first time stamps, so that rotated logs may be named in any order; a packed file that is cut
short gives what it has and says so.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from devicesdk.wire.timebase import SECOND
from devicesim.recordings.intervals import Builder, Recording, RecordingError
from devicesim.recordings.mosquitto import Complaint, Log, Spelling
from devicesim.recordings.tables import Table, cells_of_headings, header_of

LINE_BYTES_MAX: Final = 65_536
PEEK_LINES_MAX: Final = 200
PULSE_LINES: Final = 20_000
STDIN: Final = "-"
_MAGIC: Final[tuple[tuple[bytes, Callable[..., IO[bytes]]], ...]] = (
    (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open),
)  # type: ignore[assignment]  # fmt: skip
_BROKEN: Final = (EOFError, OSError, zlib.error, lzma.LZMAError)

Pulse = Callable[[int, int], None]
"""Told now and then: lines read so far, and how much of all files in permille."""


class Findings(msgspec.Struct, kw_only=True):
    """What was made of the files, for people."""

    recording: Recording
    files: list[str]
    lines: int
    about: int
    other: int
    unclear: int
    complaints: list[Complaint]
    takeovers: int = 0
    orphans: int = 0
    setbacks: int = 0
    set_back_ns: int = 0
    broker_starts: int = 0
    cut_short: list[str] = []
    zoneless: list[str] = []


@contextmanager
def opened(file: str, stdin: IO[bytes] | None = None) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file, unpacking it if need be; gives the lines and the raw file behind them.

    Raises:
        RecordingError: it is not there, or is no file.
    """
    if file == STDIN:
        if stdin is None:
            raise RecordingError("expected a file, found standard input, which is not there")
        yield stdin, stdin
        return
    path = Path(file)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise RecordingError(f"expected a log or a table in {file}, found {found}")
    with path.open("rb") as raw:
        magic = raw.read(6)
        raw.seek(0)
        for mark, unpack in _MAGIC:
            if magic.startswith(mark):
                with unpack(raw, "rb") as lines:
                    yield lines, raw
                return
        yield raw, raw


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """Lines as text; a longer one is cut, what is no UTF-8 is replaced."""
    while chunk := stream.readline(LINE_BYTES_MAX):
        text = chunk.decode("utf-8", "replace")
        while chunk and not chunk.endswith(b"\n"):
            chunk = stream.readline(LINE_BYTES_MAX)
        yield text


class _Peeked(msgspec.Struct):
    file: str
    table: bool
    at: int


def _peek(file: str, spelling: Spelling) -> _Peeked:
    """Whether a file is a table, and when it begins."""
    scratch = Log(Builder(), spelling)
    first: tuple[int, str] | None = None
    below = False
    with opened(file) as (stream, _):
        try:
            for number, text in enumerate(lines_of(stream), 1):
                bare = text.strip("\r\n\ufeff ")
                if bare.startswith("#") or not bare:
                    continue
                if header_of(bare) is not None:
                    return _Peeked(file, table=True, at=0)
                if first is not None and not below and cells_of_headings(first[1], bare):
                    raise _no_columns(file, *first)
                below = first is not None
                at = scratch.instant(text[:160])
                if at is not None:
                    return _Peeked(file, table=False, at=at)
                if number > PEEK_LINES_MAX:
                    break
                first = first or (number, bare)
        except _BROKEN as error:
            raise RecordingError(
                f"{file}: expected a file that can be unpacked, found: {error}"
            ) from error
    if first is not None and file.endswith((".csv", ".tsv")) and cells_of_headings(first[1]):
        raise _no_columns(file, *first)
    return _Peeked(file, table=False, at=2**62)


def _no_columns(file: str, line: int, text: str) -> RecordingError:
    return RecordingError(
        f"{file}:{line}: expected columns device,up,down or device,time,state, found {text[:120]}"
    )


def read_files(
    files: list[str],
    spelling: Spelling | None = None,
    *,
    stdin: IO[bytes] | None = None,
    pulse: Pulse | None = None,
) -> Findings:
    """Read logs or tables into one recording.

    Args:
        files: paths; ``-`` alone is `stdin`, a log.
        spelling: what logs do not say themselves.
        stdin: standard input.
        pulse: told how far it is.

    Raises:
        RecordingError: nothing to use in them; or a file is no log and no table.
    """
    spelling = spelling or Spelling()
    if STDIN in files:
        if len(files) > 1:
            raise RecordingError("expected standard input (-) alone, found other files as well")
        peeked = [_Peeked(STDIN, table=False, at=0)]
    else:
        peeked = sorted((_peek(file, spelling) for file in files), key=lambda each: each.at)
    if len({each.table for each in peeked}) > 1:
        raise RecordingError("expected either logs or tables, found both: import them one by one")
    builder = Builder()
    reader = Table(builder, spelling.utc_offset_ns) if peeked[0].table else Log(builder, spelling)
    sizes = [0 if e.file == STDIN else Path(e.file).stat().st_size for e in peeked]
    cut_short: list[str] = []
    done = 0
    for each, size in zip(peeked, sizes, strict=True):
        _read_one(each.file, reader, stdin, _share(pulse, done, sum(sizes)), cut_short)
        done += size
    return _findings(builder, reader, [each.file for each in peeked], cut_short)


def _share(pulse: Pulse | None, done: int, total: int) -> Pulse:
    def tell(lines: int, at: int) -> None:
        if pulse is not None:
            pulse(lines, 1000 * (done + at) // total if total else 0)

    return tell


def _read_one(
    file: str, reader: Log | Table, stdin: IO[bytes] | None, tell: Pulse, cut_short: list[str]
) -> None:
    if isinstance(reader, Table):
        reader.begins_anew()
    with opened(file, stdin) as (stream, raw):
        try:
            for number, text in enumerate(lines_of(stream), 1):
                reader.line(text, file, number)
                if number % PULSE_LINES == 0:
                    tell(reader.lines, 0 if file == STDIN else raw.tell())
        except _BROKEN:
            cut_short.append(file)


def _findings(
    builder: Builder, reader: Log | Table, files: list[str], cut_short: list[str]
) -> Findings:
    names = ", ".join(Path(file).name if file != STDIN else "standard input" for file in files)
    start: int | None = None
    end: int | None = None
    if isinstance(reader, Table):
        start, end, names = reader.start, reader.end, reader.source or names
    elif builder.first >= 0:  # a log counts whole seconds
        start, end = builder.first // SECOND * SECOND, -(-builder.last // SECOND) * SECOND
    try:
        recording = builder.finish(names, start=start, end=end)
    except RecordingError as error:
        if isinstance(reader, Table):
            told = "".join(f"; {c.file}:{c.line}: {c.why}" for c in reader.complaints[:1])
            raise RecordingError(f"{error} in {reader.lines} lines of {names}{told}") from error
        example = "".join(f"; {c.file}:{c.line} says {c.text!r}" for c in reader.complaints[:1])
        raise RecordingError(
            f"{error} in {reader.lines} lines of {names}; a mosquitto must log notices "
            f"(connection_messages true){example}"
        ) from error
    return Findings(
        recording=recording, files=files, lines=reader.lines, about=reader.about, other=reader.other,
        unclear=reader.unclear, complaints=reader.complaints, takeovers=builder.takeovers,
        orphans=builder.orphans, setbacks=builder.setbacks, set_back_ns=builder.set_back_ns,
        broker_starts=builder.broker_starts, cut_short=cut_short,
        zoneless=reader.zoneless if isinstance(reader, Table) else [],
    )  # fmt: skip
