"""YAML text becomes plain data with a place in the file for each part of it.

Decides which YAML is accepted: one document of mappings, lists and scalars of the YAML 1.2 core
schema (``null``, ``true``, ``false``, numbers, text). Leaves out what the data means (schema.py).

Rules: nothing is guessed. YAML 1.1's traps stay text and are refused later with a hint (``02:45``
is not 165, ``on`` is not true, ``012`` is not 10, ``${HOME}`` is not expanded). Duplicate keys,
tags and merge keys are refused. Anchors work, and bombs made of them are bounded by
`NODES_MAX`, nesting by `DEPTH_MAX`, text by `TEXT_BYTES_MAX`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from devicesim.scenario.errors import Path, Problem, dotted, show

TEXT_BYTES_MAX: Final = 1 << 20
DEPTH_MAX: Final = 32
NODES_MAX: Final = 50_000

_INTEGER: Final = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_FLOAT: Final = re.compile(r"[-+]?(\.\d+|(0|[1-9]\d*)(\.\d*)?)([eE][-+]?\d{1,3})?")
_WORDS: Final = {"null": None, "~": None, "": None, "true": True, "false": False}
_PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")
)  # membership only: its order is never looked at


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Where a value stands, and its key if it has one; lines and columns count from 1."""

    line: int
    column: int
    key_line: int
    key_column: int


class Document(msgspec.Struct, kw_only=True):
    """Plain data (dict, list, str, int, float, bool, None) and where each path of it came from."""

    data: Any
    marks: dict[Path, Mark]
    lines: list[str]
    origins: dict[Path, str] = msgspec.field(default_factory=dict)
    """Paths that a ``--set`` brought in."""

    def place(self, path: Path, *, key: bool = False, offset: int = 0) -> tuple[int, int, str]:
        """Find line, column and origin of `path`, or of the closest part above it that has one."""
        for end in range(len(path), -1, -1):
            origin = self.origins.get(path[:end])
            if origin is not None:
                return 0, 0, origin
            mark = self.marks.get(path[:end])
            if mark is not None:
                exact = end == len(path)
                if key and exact:
                    return mark.key_line, mark.key_column, ""
                return mark.line, mark.column + (offset if exact else 0), ""
        return 0, 0, ""


class UnreadableError(Exception):
    """The text is not a document; carries the problem that says why and where."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.expected)


def read_document(text: str) -> tuple[Document, list[Problem]]:
    """Read one YAML document.

    Returns:
        The document, and problems that leave it readable (duplicate keys, tags).

    Raises:
        UnreadableError: it is not YAML, not one document, empty, too deep or too large.
    """
    lines = text.split("\n")
    if len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        raise _unreadable(f"a file of at most {TEXT_BYTES_MAX} bytes", f"{len(text)} characters")
    try:
        _guard_depth(text)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"the character U+{ord(text[error.position]):04X}"
        raise _unreadable("printable UTF-8 text", found, line=line, column=1) from error
    if root is None:
        raise _unreadable(
            "a scenario",
            "an empty file",
            advice="start with `scenario: my-outage` and a `fleet:`; `first-light.yaml` shows all",
        )
    builder = _Builder()
    data = builder.build(root, (), None, 0)
    return Document(data=data, marks=builder.marks, lines=lines), builder.problems


def read_scalar(text: str) -> object:
    """Read a plain scalar by the YAML 1.2 core schema; whatever is not one of its words is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _guard_depth(text: str) -> None:
    """Walk the events, which needs no recursion, before anything recurses over them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                mark = event.start_mark
                line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
                expected = f"at most {DEPTH_MAX} levels of nesting"
                raise _unreadable(expected, "more", line=line, column=column)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    """Turns composed nodes into data, noting marks and what can be complained about later."""

    def __init__(self) -> None:
        self.marks: dict[Path, Mark] = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path, key: yaml.Node | None, depth: int) -> Any:
        """Build the data below one node; aliases are built anew, so the count bounds bombs."""
        self._nodes += 1
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise _unreadable(
                f"at most {NODES_MAX} values, {DEPTH_MAX} levels deep, once anchors are expanded",
                "more",
                line=line,
                column=column,
                advice="an anchor that contains aliases of anchors grows without end: write it out",
            )
        at = key.start_mark if key is not None else node.start_mark
        self.marks[path] = Mark(line, column, at.line + 1, at.column + 1)
        if node.tag not in _PLAIN_TAGS:
            self._complain(path, node, "a value without a tag", f"the tag {node.tag}", "remove it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*path, index), None, depth + 1)
                for index, item in enumerate(node.value)
            ]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return read_scalar(node.value) if plain else node.value

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(path, key, "a word as key", "a list or mapping", "use a word")
                continue
            name = key.value
            if name in out:
                first = self.marks[*path, name].key_line
                advice = f"keep one of the two: {dotted((*path, name))} stands on line {first} too"
                self._complain((*path, name), key, "each key once", f"{name!r} again", advice)
                continue
            if name == "<<":
                advice = "write the keys out, or use an anchor for a whole value"
                self._complain((*path, name), key, "a word as key", "a merge key", advice)
                continue
            out[name] = self.build(value, (*path, name), key, depth + 1)
        return out

    def _complain(self, path: Path, node: yaml.Node, expected: str, found: str, do: str) -> None:
        self.problems.append(
            Problem(
                path=path,
                expected=expected,
                found=found,
                advice=do,
                line=node.start_mark.line + 1,
                column=node.start_mark.column + 1,
            )
        )


def _unreadable(
    expected: str, found: str, *, line: int = 0, column: int = 0, advice: str = ""
) -> UnreadableError:
    return UnreadableError(
        Problem(path=(), expected=expected, found=found, line=line, column=column, advice=advice)
    )


def _not_yaml(error: yaml.MarkedYAMLError) -> UnreadableError:
    """Put the parser's complaint into our form."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    found = (error.problem or "something else").removeprefix("but ").removeprefix("found ")
    advice = "look for a missing quote, bracket or colon here or just above"
    if "\\t" in found:
        advice = "indent with spaces, not tabs"
    elif "another document" in found or "single document" in (error.context or ""):
        advice = "keep one scenario to a file: remove the `---`"
    elif "character '%'" in found or "character '@'" in found or "character '`'" in found:
        advice = f"put quotes around it: {show('...')}"
    return _unreadable("YAML", found, line=line, column=column, advice=advice)
