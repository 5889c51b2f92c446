"""``--set path=value``: changes of a scenario from the command line.

Decides how a path finds its place: keys and list positions as in the file, and list items also by
their name (``fleet.kiosk.count``, ``rollouts.r1.soak``). Leaves out whether the value fits: it is
checked with the rest of the file.

Rules: a value is read as YAML; keys on the way that are not there yet are made; complaints about
an overridden value name the ``--set``.
"""

from __future__ import annotations

from typing import Any, Final

from devicesim.scenario.document import Document, UnreadableError, read_document
from devicesim.scenario.errors import Path, Problem, choices, nearest_word

POSITION_DIGITS_MAX: Final = 9
_NAMING_KEYS: Final = ("group", "id")


def apply_override(document: Document, override: str) -> Problem | None:
    """Change `document` in place by one ``path=value``.

    Returns:
        What is wrong with the override, None when it was applied.
    """
    origin = f"--set {override}"
    path_text, equals, value_text = override.partition("=")
    parts = path_text.strip().split(".")
    if not equals or not all(parts):
        return Problem(
            path=(),
            expected="path=value, such as scale=0.1 or rollouts.0.soak=5m",
            found=repr(override),
            origin=origin,
        )
    try:
        value = _read_value(value_text.strip())
    except UnreadableError as error:
        found = error.problem.found
        return Problem(path=tuple(parts), expected="a YAML value", found=found, origin=origin)
    put = put_at(document, parts, value, origin)
    return put if isinstance(put, Problem) else None


def _read_value(text: str) -> Any:
    if not text:
        return None
    return read_document(text)[0].data


def put_at(document: Document, parts: list[str], value: Any, origin: str) -> Path | Problem:
    """Put a value where a dotted path leads; `origin` says who wanted it.

    Returns:
        The path with names of list items resolved to positions, or what is wrong with it.
    """
    place: Any = document.data
    path: Path = ()
    for depth, part in enumerate(parts):
        last = depth + 1 == len(parts)
        key: str | int = part
        if isinstance(place, list):
            index = find_item(place, part)
            if index is None:
                return no_item(place, part, (*path, part), origin)
            key = index
        elif not isinstance(place, dict):
            return Problem(
                path=(*path, part),
                expected=f"a path that ends at {'.'.join(map(str, path))}, which is one value",
                found=repr(".".join(parts)),
                origin=origin,
            )
        path = (*path, key)
        if last:
            place[key] = value
            document.origins[path] = origin
        elif isinstance(place, dict) and place.get(part) is None:
            place[part] = {}
            document.origins[path] = origin
        place = place[key]
    return path


def find_item(items: list[Any], part: str) -> int | None:
    """Find a list item by its position or its name."""
    if (
        part.isascii()
        and part.isdigit()
        and len(part) <= POSITION_DIGITS_MAX
        and int(part) < len(items)
    ):
        return int(part)
    for index, item in enumerate(items):
        if isinstance(item, dict) and part in [item.get(key) for key in _NAMING_KEYS]:
            return index
    return None


def no_item(items: list[Any], part: str, path: Path, origin: str) -> Problem:
    """Say which items there are."""
    names = [
        str(item[key])
        for item in items
        if isinstance(item, dict)
        for key in _NAMING_KEYS
        if key in item
    ]
    last = len(items) - 1
    return Problem(
        path=path,
        expected=f"a position from 0 to {last}" + (f", or {choices(names)}" if names else ""),
        found=repr(part),
        nearest=nearest_word(part, names),
        origin=origin,
    )
