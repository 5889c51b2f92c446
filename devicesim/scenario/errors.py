"""What a scenario file is told when it is wrong.

Decides the shape of a complaint (`Refusal` where a value is read, `Problem` once it has a place in
the file, `ScenarioError` for the reader) and how it looks on a terminal. Leaves out who complains:
document.py (YAML), translate.py (shapes), references.py (names that must exist).

Rules: every complaint names file, line, path, what was expected, what was found, the nearest valid
word where there is one, and what to do; all complaints together fit one screen, and those that do
not fit are counted, never dropped in silence.
"""

from __future__ import annotations

import textwrap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Path = tuple[str | int, ...]

FOUND_CHARS_MAX: Final = 60
CHOICES_SHOWN_MAX: Final = 24
SCREEN_ROWS: Final = 24
FIELD_ROWS: Final = 3
SCREEN_COLUMNS: Final = 80
EXIT_CODE: Final = 2
"""What a command that was given a wrong scenario exits with."""


class Refusal(ValueError):
    """One value was refused, before anybody knows where in the file it stands.

    Args:
        expected: what would have been accepted, as a noun phrase.
        found: what stood there; by default the offending value itself.
        nearest: the valid word or form closest to what was found, empty when there is none.
        advice: what to do when `nearest` does not say it all.
        at: path below the value that was being read.
        offset: character inside a text value at which it went wrong.
        key: the key at that path is wrong, not its value.
    """

    def __init__(
        self,
        expected: str,
        *,
        found: str = "",
        nearest: str = "",
        advice: str = "",
        at: Path = (),
        offset: int = 0,
        key: bool = False,
    ) -> None:
        self.expected = expected
        self.found = found
        self.nearest = nearest
        self.advice = advice
        self.at = at
        self.offset = offset
        self.key = key
        super().__init__(f"expected {expected}" + (f", found {found}" if found else ""))


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One complaint with its place. Lines and columns count from 1; 0 means that there is none."""

    path: Path
    expected: str
    found: str
    nearest: str = ""
    advice: str = ""
    line: int = 0
    column: int = 0
    origin: str = ""
    """The ``--set`` that brought the value in, empty when the file did."""


class ScenarioError(Exception):
    """A scenario that cannot be run, with everything that is wrong with it.

    Args:
        file: name of the file, for people.
        problems: at least one.
        lines: the text of the file, to show where each problem stands.
    """

    exit_code: Final = EXIT_CODE

    def __init__(self, file: str, problems: Sequence[Problem], lines: Sequence[str] = ()) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=_reading_order))
        self.lines = tuple(lines)
        super().__init__(self.render())

    def render(self, console_width: int = SCREEN_COLUMNS, rows: int = SCREEN_ROWS) -> str:
        """Spell the problems for a terminal: at most `rows` lines of at most `console_width`.

        The first problem is always shown whole; a terminal too small for it scrolls.
        """
        width = max(console_width, 40)
        count = len(self.problems)
        out = [_clip(f"{self.file}: {count} problem{'s' * (count > 1)}", width)]
        for shown, problem in enumerate(self.problems):
            block = ["", *self._block(problem, width, FIELD_ROWS if count > 1 else 2 * FIELD_ROWS)]
            rest = 2 if shown + 1 < count else 0
            if shown and len(out) + len(block) + rest > rows:
                left = count - shown
                out += ["", f"and {left} more problem{'s' * (left > 1)}: mend these first"]
                break
            out += block
        return "\n".join(out)

    def _block(self, problem: Problem, width: int, rows: int) -> list[str]:
        """Spell one problem: place, the line with a caret, expected, found, what to do."""
        path = dotted(problem.path)
        if problem.origin:
            out = [_clip(f"{problem.origin}  {path}".rstrip(), width)]
        elif problem.line:
            place = f"{self.file}:{problem.line}:{problem.column}"
            out = [_clip(f"{place}  {path}".rstrip(), width)]
            out += self._excerpt(problem, width)
        else:
            out = [_clip(path or "the whole file", width)]
        out += _field("expected", problem.expected, width, rows)
        out += _field("found", problem.found, width, rows)
        if problem.nearest:
            out += _field("nearest", problem.nearest, width, rows)
        if problem.advice:
            out += _field("do", problem.advice, width, rows)
        return out

    def _excerpt(self, problem: Problem, width: int) -> list[str]:
        """Quote the line with a caret under the column, cut to the window around it."""
        if not 0 < problem.line <= len(self.lines):
            return []
        gutter = f"{problem.line:>5} | "
        room = width - len(gutter)
        text = self.lines[problem.line - 1].replace("\t", " ").rstrip()
        column = min(problem.column - 1, len(text))
        start = 0 if len(text) <= room else max(0, min(column - room // 2, len(text) - room))
        return [
            gutter + text[start : start + room].rstrip(),
            " " * (len(gutter) - 2) + "| " + " " * (column - start) + "^",
        ]


def dotted(path: Path) -> str:
    """Spell a path as ``--set`` takes it: ``rollouts.0.soak``."""
    return ".".join(str(part) for part in path)


def show(value: object) -> str:
    """Spell a value that was found, on one line and not longer than `FOUND_CHARS_MAX`."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"a mapping with the keys {choices(value)}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} item{'s' * (len(value) != 1)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return _clip(text, FOUND_CHARS_MAX)


def nearest_word(word: str, words: Iterable[str]) -> str:
    """Find the valid word closest to `word`; empty when none is close."""
    by_folded = {known.casefold(): known for known in words}
    hits = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.5)
    return by_folded[hits[0]] if hits else ""


def choices(words: Iterable[object]) -> str:
    """List valid words in their own order, bounded by `CHOICES_SHOWN_MAX`."""
    known = [str(word) for word in words]
    if len(known) <= CHOICES_SHOWN_MAX:
        return ", ".join(known) or "(there are none)"
    return ", ".join(known[:CHOICES_SHOWN_MAX]) + f" and {len(known) - CHOICES_SHOWN_MAX} more"


def _reading_order(problem: Problem) -> tuple[bool, int, int, str]:
    return (bool(problem.origin), problem.line, problem.column, dotted(problem.path))


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _field(label: str, text: str, width: int, rows: int) -> list[str]:
    """Wrap one labelled sentence under its label, at most `rows` lines."""
    return textwrap.wrap(
        text,
        width=width,
        initial_indent=f"  {label:<9} ",
        subsequent_indent=" " * 12,
        max_lines=rows,
        placeholder=" ...",
        break_long_words=True,
        break_on_hyphens=False,
    )
