"""A scenario that is another one but for a few lines: the same outage with a lesson applied.

    extends: kddi-2022.yaml          # a file beside this one
    scenario: kddi-2022-jitter
    change: {agent.backoff.jitter: decorrelated, rollouts.r1.gate: {failures: 2%}}
    remove: [timeline.retry, checks.slo.0]
    add: {timeline: [{at: 2h, do: heal, target: all, order: swizzle(30m)}]}

Decides how the two become one: any other key of the file replaces the base's whole; then `remove`, `change`
(paths as ``--set`` takes them) and `add` (items at the end of a list) are applied, in this order. Leaves out
whether the outcome is sound: it is checked like any other scenario.

Rules: a base may extend another, `EXTENDS_MAX` deep; what is wrong in the base is told of the base; a place
in an error is the place in the file that brought the value in.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any, Final

from devicesim.scenario.document import Document, UnreadableError, read_document
from devicesim.scenario.errors import Path, Problem, ScenarioError, show
from devicesim.scenario.overrides import find_item, no_item, put_at

EXTENDS_MAX: Final = 4
"""So many files may stand behind one another."""
KEYS: Final = {
    "extends": "Another scenario file, relative to this one: this one is that one but for what it says.",
    "change": "Values by their path, as --set takes them: {agent.backoff.jitter: decorrelated}.",
    "remove": "Paths that the base has and this one has not: [timeline.heat, checks.slo.0].",
    "add": "Items at the end of the base's lists: {timeline: [...]}.",
}

ReadText = Callable[[str], str]


def extend(
    file: str,
    document: Document,
    problems: list[Problem],
    read_text: ReadText | None,
    depth: int = 0,
) -> Document:
    """The whole scenario that a file stands for; what is wrong with it is added to `problems`.

    Raises:
        ScenarioError: the base is not to be read.
    """
    if not isinstance(document.data, dict) or "extends" not in document.data:
        return document
    base = _base_of(file, document, read_text, depth)
    merged = _Merge(base, document, problems)
    merged.run()
    return merged.made


def _base_of(file: str, document: Document, read_text: ReadText | None, depth: int) -> Document:
    name = document.data["extends"]

    def refuse(expected: str, found: str, advice: str) -> ScenarioError:
        line, column, _ = document.place(("extends",))
        problem = Problem(
            path=("extends",),
            expected=expected,
            found=found,
            advice=advice,
            line=line,
            column=column,
        )
        return ScenarioError(file, [problem], document.lines)

    if not isinstance(name, str) or not name or read_text is None:
        advice = "name a file beside this one: `extends: att-2024.yaml`"
        raise refuse("the name of a scenario file", show(name), advice)
    if depth >= EXTENDS_MAX:
        raise refuse(
            f"at most {EXTENDS_MAX} files behind one another", name, "is one of them its own base?"
        )
    path = posixpath.join(posixpath.dirname(file), name)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        found = (getattr(error, "strerror", None) or type(error).__name__).lower()
        advice = "paths are relative to the file that extends"
        raise refuse(f"a file that can be read at {path}", found, advice) from error
    return _read_base(path, text, read_text, depth + 1)


def _read_base(path: str, text: str, read_text: ReadText, depth: int) -> Document:
    try:
        base, problems = read_document(text)
    except UnreadableError as error:
        raise ScenarioError(path, [error.problem], text.split("\n")) from error
    made = extend(path, base, problems, read_text, depth)
    if problems:
        raise ScenarioError(path, problems, base.lines)
    if not isinstance(made.data, dict):
        problem = Problem(path=(), expected="a scenario", found=show(made.data))
        raise ScenarioError(path, [problem], base.lines)
    if not made.origins:
        made.origins = {(key,): f"{path}:{made.place((key,), key=True)[0]}" for key in made.data}
    return made


class _Merge:
    """The base becomes `made`, by what the twin says."""

    def __init__(self, base: Document, twin: Document, problems: list[Problem]) -> None:
        self.twin, self.problems = twin, problems
        self.made = Document(
            data=base.data, marks={(): twin.marks[()]}, lines=twin.lines, origins=base.origins
        )

    def run(self) -> None:
        """Apply everything, in the order that is promised."""
        said = self.twin.data
        for key, value in said.items():
            if key not in KEYS:
                self.made.data[key] = value
                self._came((key,), (key,))
        self._remove(said.get("remove", []))
        self._change(said.get("change", {}))
        self._add(said.get("add", {}))

    def _came(self, target: Path, source: Path) -> None:
        """A value of the twin stands at `target` now: so do its lines and columns."""
        made, size = self.made, len(source)
        for known in [path for path in made.origins if path[: len(target)] == target]:
            del made.origins[known]
        for path, mark in self.twin.marks.items():
            if path[:size] == source:
                made.marks[(*target, *path[size:])] = mark

    def _wrong(self, path: Path, expected: str, found: object, nearest: str = "") -> None:
        line, column, _ = self.twin.place(path)
        self.problems.append(
            Problem(
                path=path, expected=expected, found=show(found), nearest=nearest, line=line, column=column
            )
        )  # fmt: skip

    def _remove(self, paths: Any) -> None:
        if not isinstance(paths, list):
            self._wrong(("remove",), "a list of paths, such as [timeline.heat]", paths)
            return
        doomed: list[tuple[Any, Any]] = []
        for at, path in enumerate(paths):
            found = self._find(path, ("remove", at))
            if found is not None and all(found[1] != k or found[0] is not p for p, k in doomed):
                doomed.append(found)
        keys = [one for one in doomed if isinstance(one[0], dict)]
        places = [one for one in doomed if isinstance(one[0], list)]
        for parent, key in [*keys, *sorted(places, key=lambda one: -one[1])]:
            del parent[key]

    def _find(self, path: Any, source: Path) -> tuple[Any, Any] | None:
        place = self.made.data
        parts = path.split(".") if isinstance(path, str) else []
        if not parts:
            self._wrong(source, "a path, such as timeline.heat", path)
            return None
        for depth, part in enumerate(parts):
            key: Any = part
            if isinstance(place, list):
                key = find_item(place, part)
                if key is None:
                    told = no_item(place, part, source, "")
                    self._wrong(source, told.expected, path, told.nearest)
                    return None
            elif not isinstance(place, dict) or part not in place:
                self._wrong(source, "a path that the base has", path)
                return None
            if depth + 1 < len(parts):
                place = place[key]
        return place, key

    def _change(self, changes: Any) -> None:
        if not isinstance(changes, dict):
            self._wrong(("change",), "values by path, such as {agent.keepalive: 30s}", changes)
            return
        for path, value in changes.items():
            put = put_at(self.made, path.split("."), value, "")
            if isinstance(put, Problem):
                self._wrong(("change", path), put.expected, path, put.nearest)
            else:
                self._came(put, ("change", path))
                self._made_on_the_way(put, ("change", path))

    def _made_on_the_way(self, target: Path, source: Path) -> None:
        """Mappings above `target` that the base has not: they stand where the twin names the path."""
        made = self.made
        for end in range(1, len(target)):
            if made.origins.get(target[:end]) == "":
                del made.origins[target[:end]]
                made.marks[target[:end]] = self.twin.marks[source]

    def _add(self, lists: Any) -> None:
        if not isinstance(lists, dict):
            self._wrong(("add",), "lists by their key, such as {timeline: [...]}", lists)
            return
        for key, items in lists.items():
            there = self.made.data.setdefault(key, [])
            if not isinstance(items, list) or not isinstance(there, list):
                self._wrong(("add", key), "a list, to be added to a list of the base", items)
                continue
            for at, item in enumerate(items):
                self._came((key, len(there)), ("add", key, at))
                there.append(item)
