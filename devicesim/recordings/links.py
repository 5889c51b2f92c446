"""Recorded links in the formats that people share, as a `Trace` that a link plays.

Decides what each format means. Leaves out playing it (`devicesim.models.link_trace`) and files
(stocking.py).

    Mahimahi    one integer a line: the millisecond in which one packet of 1,500 bytes could leave. Repeats
                at its end. (traces/README of the package mahimahi-traces, Winstein et al., NSDI 2013;
                Netravali et al., "Mahimahi", USENIX ATC 2015; mm-link(1).)
    t mbit      two columns: seconds, Mbit/s. (The simulation format of Pensieve, Mao et al., SIGCOMM 2017,
                and of the PiTree data set, transys.io/pitree-dataset.)
    Akamai      columns of latency (ms), throughput (kbit/s), gap (s) and loss (%), one row each 70 ms; or
                the arrays of ``cellular_emulation.sh`` itself (github.com/akamai/cell-emulation-util).
                A loss comes once in each gap: it is spread over it.
    CSV         any header with a time and a bandwidth, and perhaps an uplink, a round trip and a loss.

Rules: a rate holds until the next row; a stall shorter than `STALL_NS_MAX` is spread over the rows around
it, a longer one is an outage; a format that says no round trip gets `RTT_MS`; no uplink means as down.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Final

from devicesdk.wire.timebase import MS, SECOND
from devicesim.models.link_trace import Trace
from devicesim.recordings.intervals import RecordingError

PACKET_BITS: Final = 1_500 * 8
BIN_MS: Final = 100
STALL_NS_MAX: Final = 2 * SECOND
RTT_MS: Final = 50.0
AKAMAI_STEP_S: Final = 0.07
ROWS_MAX: Final = 2_000_000
MBIT: Final = 1e6
RATE_BPS_MAX: Final = 1e12
LENGTH_S_MAX: Final = 366 * 86_400

Row = tuple[float, float, float | None, float | None, float]
"""Seconds, bit/s down, bit/s up, round trip (ms), loss (share)."""

_TIMES: Final = {"time": 1.0, "t": 1.0, "seconds": 1.0, "time_s": 1.0, "timestamp": 1.0, "s": 1.0, "time_ms": 1e-3, "ms": 1e-3, "timestamp_ms": 1e-3}  # fmt: skip
_DOWNS: Final = {
    "bandwidth": MBIT, "throughput": MBIT, "rate": MBIT, "mbit": MBIT, "mbps": MBIT, "mbit_s": MBIT, "bandwidth_mbps": MBIT,
    "throughput_mbps": MBIT, "down_mbit_s": MBIT, "kbit": 1e3, "kbps": 1e3, "kbit_s": 1e3, "bandwidth_kbps": 1e3,
    "throughput_kbps": 1e3, "down_kbit_s": 1e3, "download": MBIT, "dl_bitrate": 1e3, "bps": 1.0, "bit_s": 1.0, "bandwidth_bps": 1.0,
    "down_bit_s": 1.0, "thru": 1e3,
}  # fmt: skip
_UPS: Final = {
    "up_mbit_s": MBIT,
    "upload": MBIT,
    "up_kbit_s": 1e3,
    "ul_bitrate": 1e3,
    "up_bit_s": 1.0,
}
_RTTS: Final = {"rtt": 1.0, "rtt_ms": 1.0, "latency": 1.0, "latency_ms": 1.0, "lat": 1.0, "ping": 1.0, "delay_ms": 1.0, "rtt_s": 1e3}  # fmt: skip
_LOSSES: Final = {"loss": 1.0, "loss_share": 1.0, "loss_percent": 0.01, "loss_pct": 0.01}
_GAPS: Final = {"gap": 1.0, "gap_s": 1.0}
_ARRAY: Final = re.compile(r"\b(lat|thru|gap|loss)_array=\(([^()]*)\)")
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
_BRANCH: Final = re.compile(r'\[\s*"\$([12])"\s*==\s*"(\w+)"\s*\]')


def read_link(
    text: str, *, rtt_ms: float | None = None, condition: str = "", name: str = ""
) -> Trace:
    """Read a recorded link of any of the formats.

    Args:
        text: the whole file.
        rtt_ms: round trip where the format says none.
        condition: of Akamai's script: ``experience_based/good`` and the like.
        name: of the file, for messages.

    Raises:
        RecordingError: none of the formats, or nothing in it; says which line.
    """
    try:
        rows, end = _rows(text, condition)
        return _trace(rows, end, RTT_MS if rtt_ms is None else rtt_ms)
    except (ValueError, OverflowError, csv.Error) as error:
        raise RecordingError(f"{name or 'trace'}: {error}") from error


def _rows(text: str, condition: str) -> tuple[list[Row], float]:
    """Rows of any format, and where the last of them ends, in seconds."""
    if "_array=(" in text:
        return _script(text, condition)
    rest = _lines(text.lstrip("\ufeff"))
    head = next(rest, None)
    if head is None:
        raise RecordingError("expected a recorded link, found an empty file")
    first = head[1]
    lines = chain([head], rest)
    if re.fullmatch(r"\d{1,15}", first, re.ASCII):
        return _mahimahi(lines)
    numbers = re.split(r"[,;\t ]+", first)
    if all(re.fullmatch(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", part) for part in numbers):
        return _two_columns(lines)
    return _table(head, rest)


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """All lines without what surrounds them, one at a time."""
    return ((number, found[0].strip()) for number, found in enumerate(_LINE.finditer(text), 1))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, `ROWS_MAX` at most."""
    count = 0
    for number, line in _numbered(text):
        if line and not line.startswith("#"):
            count += 1
            if count > ROWS_MAX:
                raise RecordingError(f"expected at most {ROWS_MAX} lines, found more")
            yield number, line


def _mahimahi(lines: Iterable[tuple[int, str]]) -> tuple[list[Row], float]:
    counts: dict[int, int] = {}
    last = 0
    for number, line in lines:
        if not re.fullmatch(r"\d{1,15}", line, re.ASCII):
            raise RecordingError(f"line {number}: expected a millisecond, found {line[:40]!r}")
        at = int(line)
        if at < last:
            raise RecordingError(
                f"line {number}: expected milliseconds that rise, found {at} after {last}"
            )
        last = at
        # an opportunity at its end: the millisecond 100 belongs to the first tenth of a second
        counts[max(0, at - 1) // BIN_MS] = counts.get(max(0, at - 1) // BIN_MS, 0) + 1
    if last / 1000 > LENGTH_S_MAX:
        raise RecordingError(f"expected a trace of at most a year, found {last} ms")
    bins = max(1, -(-last // BIN_MS))
    if bins > ROWS_MAX:
        raise RecordingError(f"expected at most {ROWS_MAX * BIN_MS} ms, found {last}")
    end = max(1, last) / 1000
    rows: list[Row] = []
    for each in range(bins):
        lasts = min((each + 1) * BIN_MS / 1000, end) - each * BIN_MS / 1000
        rows.append(
            (each * BIN_MS / 1000, counts.get(each, 0) * PACKET_BITS / lasts, None, None, 0.0)
        )
    return rows, end


def _two_columns(lines: Iterable[tuple[int, str]]) -> tuple[list[Row], float]:
    rows: list[Row] = []
    for number, line in lines:
        parts = re.split(r"[,;\t ]+", line)
        if len(parts) != 2:
            raise RecordingError(
                f"line {number}: expected two columns, seconds and Mbit/s, found {line[:40]!r}"
            )
        rows.append((_number(parts[0], number), _number(parts[1], number) * MBIT, None, None, 0.0))
    return rows, _end_of(rows)


def _end_of(rows: Sequence[Row]) -> float:
    """The last row lasts as long as the rows before it do in the middle."""
    lengths = sorted(b[0] - a[0] for a, b in pairwise(rows))
    return rows[-1][0] + (lengths[len(lengths) // 2] if lengths else 1.0)


def _number(text: str, line: int, empty: float | None = None) -> float:
    try:
        value = float(text) if text.strip() or empty is None else empty
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordingError(f"line {line}: expected a number, found {text[:40]!r}")
    return value


def _column(names: list[str], words: dict[str, float]) -> tuple[int, float] | None:
    return next(
        ((names.index(word), scale) for word, scale in words.items() if word in names), None
    )


def _table(head: tuple[int, str], lines: Iterable[tuple[int, str]]) -> tuple[list[Row], float]:
    header = head[1]
    delimiter = next((d for d in (",", ";", "\t") if d in header), ",")
    names = [
        re.sub(r"[^a-z0-9]+", "_", part.strip().lower()).strip("_")
        for part in header.split(delimiter)
    ]
    at = _column(names, _TIMES)
    down, up, rtt = _column(names, _DOWNS), _column(names, _UPS), _column(names, _RTTS)
    loss, gap = _column(names, _LOSSES), _column(names, _GAPS)
    akamai = at is None and rtt is not None
    if akamai:
        down, loss = _column(names, {**_DOWNS, "throughput": 1e3, "bandwidth": 1e3, "rate": 1e3}), _column(names, {**_LOSSES, "loss": 0.01})  # fmt: skip
    if down is None or (at is None and not akamai):
        raise RecordingError(
            f"line {head[0]}: expected milliseconds (Mahimahi), two columns of seconds and Mbit/s, or a "
            f"header with time and bandwidth, found {header[:80]!r}"
        )
    rows: list[Row] = []
    for number, line in lines:
        cells = line.split(delimiter)

        def cell(
            where: tuple[int, float] | None, cells: list[str] = cells, line: int = number
        ) -> float | None:
            if where is None or where[0] >= len(cells) or not cells[where[0]].strip():
                return None
            return _number(cells[where[0]], line) * where[1]

        seconds, rate = cell(at), cell(down)
        if akamai:
            seconds = len(rows) * AKAMAI_STEP_S
        if seconds is None or rate is None:
            raise RecordingError(
                f"line {number}: expected a time and a bandwidth, found {line[:60]!r}"
            )
        lost = (cell(loss) or 0.0) * _thinned(cell(gap))
        rows.append((seconds, rate, cell(up), cell(rtt), lost))
    if not rows:
        raise RecordingError("expected rows after the header, found none")
    return rows, (len(rows) * AKAMAI_STEP_S if akamai else _end_of(rows))


def _thinned(gap_s: float | None) -> float:
    """The part of a gap in which its loss comes."""
    return 1.0 if gap_s is None or gap_s <= AKAMAI_STEP_S else AKAMAI_STEP_S / gap_s


def _script(text: str, condition: str) -> tuple[list[Row], float]:
    """The arrays of one condition of Akamai's script; those before its branch hold for all of its kind."""
    arrays: dict[str, dict[str, list[float]]] = {}
    kind = ""
    branch = ""
    for number, line in _numbered(text):
        found = _BRANCH.search(line)
        if found:
            kind, branch = (found[2], found[2]) if found[1] == "1" else (kind, f"{kind}/{found[2]}")
        array = _ARRAY.search(line)
        if array:
            values = [_number(part, number) for part in array[2].split()]
            arrays.setdefault(branch, {})[array[1]] = values
    named = [name for name in arrays if "/" in name]
    if condition not in named:
        raise RecordingError(
            f"expected --condition, one of {', '.join(named)}, found {condition or 'none'}"
        )
    mine = {**arrays.get(condition.partition("/")[0], {}), **arrays[condition]}
    missing = [name for name in ("lat", "thru") if not mine.get(name)]
    if missing:
        raise RecordingError(f"expected {missing[0]}_array for {condition}, found none")
    gaps, losses = mine.get("gap", []), mine.get("loss", [])
    mean = sum(losses) / len(losses) / 100 if losses else 0.0
    spacing = sum(gaps) / len(gaps) if gaps else AKAMAI_STEP_S
    share = mean * _thinned(spacing)
    rows: list[Row] = [
        (number * AKAMAI_STEP_S, rate * 1e3, None, latency, share)
        for number, (latency, rate) in enumerate(zip(mine["lat"], mine["thru"], strict=False))
    ]
    return rows, len(rows) * AKAMAI_STEP_S


def _trace(rows: Sequence[Row], end: float, rtt_ms: float) -> Trace:
    origin = rows[0][0]
    starts: list[int] = []
    columns: list[tuple[float, float, int, float]] = []
    for number, (at, down, up, rtt, loss) in enumerate(rows):
        start = round((at - origin) * SECOND)
        if starts and start <= starts[-1]:
            raise RecordingError(
                f"row {number + 1}: expected times that rise, found {at:g} s after {rows[number - 1][0]:g} s"
            )
        if not 0 <= down <= RATE_BPS_MAX or not 0 <= (up or 0.0) <= RATE_BPS_MAX:
            raise RecordingError(
                f"row {number + 1}: expected a rate from 0 to 1 Tbit/s, found {down:g} bit/s"
            )
        if not 0 <= loss < 1:
            raise RecordingError(
                f"row {number + 1}: expected a loss from 0 to below 1, found {loss:g}"
            )
        trip = rtt_ms if rtt is None else rtt
        if not 0 < trip <= 600_000:
            raise RecordingError(
                f"row {number + 1}: expected a round trip above 0 and up to 600000 ms, found {trip:g}"
            )
        starts.append(start)
        columns.append((down, down if up is None else up, round(trip * MS), loss))
    if not 0 < end - origin <= LENGTH_S_MAX:
        raise RecordingError(f"expected a trace of up to a year, found {end - origin:g} s")
    length = round((end - origin) * SECOND)
    if length <= starts[-1]:
        raise RecordingError("expected a last row that lasts, found one of no length")
    starts, columns = _without_stalls(starts, columns, length)
    uplink = tuple(c[1] for c in columns) if any(r[2] is not None for r in rows) else ()
    return Trace(
        tuple(starts), tuple(c[0] for c in columns), length, tuple(c[2] for c in columns), uplink,
        tuple(c[3] for c in columns),
    )  # fmt: skip


def _without_stalls(
    starts: list[int], columns: list[tuple[float, float, int, float]], length: int
) -> tuple[list[int], list[tuple[float, float, int, float]]]:
    """Spread short stalls over the slot that ends them, so that a stall is no outage; bits are kept."""
    ends = [*starts[1:], length]
    out_starts: list[int] = []
    out: list[tuple[float, float, int, float]] = []
    number = 0
    while number < len(starts):
        last = number
        while last < len(starts) - 1 and columns[last][0] == 0.0:
            last += 1
        if (
            last > number
            and columns[last][0] > 0.0
            and starts[last] - starts[number] <= STALL_NS_MAX
        ):
            span, busy = ends[last] - starts[number], ends[last] - starts[last]
            down, up, rtt, loss = columns[last]
            out_starts.append(starts[number])
            out.append((down * busy / span, up * busy / span, rtt, loss))
        else:
            out_starts += starts[number : last + 1]
            out += columns[number : last + 1]
        number = last + 1
    return out_starts, out


def write_link(trace: Trace, source: str) -> str:
    """A trace as CSV: what `read_link` reads back."""
    lines = [f"# {source}".replace("\n", " "), "time_s,down_bit_s,up_bit_s,rtt_ms,loss_share"]
    for slot, start in enumerate(trace.starts_ns):
        rtt = trace.rtt_ns[slot if len(trace.rtt_ns) > 1 else 0]
        loss = trace.loss[slot if len(trace.loss) > 1 else 0]
        up = f"{trace.up_bps[slot]:.0f}" if trace.up_bps else ""
        lines.append(f"{start / SECOND:.3f},{trace.down_bps[slot]:.0f},{up},{rtt / MS:g},{loss:g}")
    return "\n".join(lines) + "\n"
