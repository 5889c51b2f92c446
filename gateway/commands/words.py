"""How values are written for people in a terminal: instants, digests, shares, tables, curves.

Decides widths and units. Leaves out what is shown.

Rules: a table is as wide as its widest words and is not cut, so that it can be piped into other tools; text that came
from a gateway holds no control characters when it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

DIGEST_CHARS: Final = 12
DASH: Final = "-"
_STEPS: Final = "▁▂▃▄▅▆▇█"


def instant(ms: int) -> str:
    """An instant (UTC, ms) in ISO 8601; a dash for 0."""
    if not ms:
        return DASH
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def clock(ms: int) -> str:
    """The time of day of an instant (UTC, ms)."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S") if ms else DASH


def digest(text: str) -> str:
    """The first characters of a digest; a dash for none."""
    return text[:DIGEST_CHARS] or DASH


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{100 * share:.4g} %"


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


PATHS: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Who named a path can name another; other errors of the machine, such as a full disk, are not theirs."""


def of_path(error: OSError) -> str:
    """What is wrong with the path of an error; its own words where it names none."""
    if error.filename is None or error.strerror is None:
        return error.strerror.lower() if error.strerror else str(error)
    if not isinstance(error, PATHS):
        return f"{error.filename}: {error.strerror.lower()}"
    return (
        f"expected a file or folder that can be used at {error.filename}, found: {error.strerror.lower()}: "
        "check the path, and who may use it"
    )


def pairs_of(labels: dict[str, str]) -> str:
    """Labels as they are given."""
    return " ".join(f"{key}={value}" for key, value in labels.items())


def clean(text: str) -> str:
    """Text without what would steer a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], nothing: str = "nothing") -> str:
    """Columns under their heads; numbers at the right.

    Args:
        head: names of the columns.
        rows: of as many values.
        nothing: what is said where there are no rows.
    """
    raw = [list(row) for row in rows]
    if not raw:
        return nothing
    shown = [[clean(str(value)) for value in row] for row in raw]
    right = [all(isinstance(row[i], int | float) for row in raw) for i in range(len(head))]
    widths = [max(len(line[i]) for line in [list(head), *shown]) for i in range(len(head))]
    return "\n".join(_line(line, widths, right) for line in [list(head), *shown])


def _line(words: list[str], widths: list[int], right: list[bool]) -> str:
    cells = [
        word.rjust(width) if at_right else word.ljust(width)
        for word, width, at_right in zip(words, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def facts(values: dict[str, Any]) -> str:
    """Names and values, one a line."""
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{name:{width}}  {_fact(value)}" for name, value in values.items())


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return clean(", ".join(f"{name}={each}" for name, each in value.items())) or DASH
    if isinstance(value, list):
        return clean(", ".join(map(str, value))) or DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(str(value)) if value not in {"", None} else DASH


def curve(values: Sequence[float], top: float = 0.0, width: int = 60) -> str:
    """A small picture of numbers in a row, from 0 to the largest (or `top`).

    Args:
        values: the newest last; more than `width` are thinned out.
        top: what a full cell is at least.
        width: cells at most.
    """
    if not values:
        return ""
    count = min(width, len(values))
    chosen = [values[(len(values) - 1) * i // max(1, count - 1)] for i in range(count)]
    most = max(top, *chosen, 1e-12)
    last = len(_STEPS) - 1
    return "".join(_STEPS[min(last, max(0, round(value / most * last)))] for value in chosen)
