"""A loaded scenario as a flat table: every value by its path, defaults included.

Decides how paths and values are spelled, so that two scenarios can be held against each other line by
line whatever their files looked like. Leaves out finding differences (devicesim/compare).

Rules: paths are those of the file (``rollouts.r1.soak``), items of lists by their name where they have
one; durations and instants are spelled as in a file; what is nothing (None, an empty list) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from devicesdk.wire.timebase import NEVER, SECOND, format_duration
from devicesim.scenario.action import Action
from devicesim.scenario.backoffs import Backoff
from devicesim.scenario.schema import Scenario

_NAMING: Final = ("reference", "group", "id")


def flatten(scenario: Scenario) -> dict[str, str]:
    """Spell every value of a scenario by its path, in the order of the file format."""
    return dict(_of_model(scenario, ""))


def _of_model(model: BaseModel, path: str) -> Iterator[tuple[str, str]]:
    named = isinstance(model, Backoff) and model.policy is not None
    for name, field in type(model).model_fields.items():
        if named and name not in model.model_fields_set:
            continue  # the library decides, and our own default is not what it does
        value = getattr(model, name)
        yield from _of_value(value, _below(path, field.alias or name), name)


def _of_value(value: Any, path: str, name: str) -> Iterator[tuple[str, str]]:
    if value is None or value in ((), {}):
        return
    if isinstance(value, BaseModel):
        yield from _of_model(value, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _of_value(item, _below(path, str(key)), str(key))
    elif isinstance(value, tuple) and not _is_plain(value):
        names: dict[str, int] = {}
        for item in value:
            called = _called(item)
            names[called] = names.get(called, 0) + 1
            nth = f"{called}#{names[called]}" if names[called] > 1 else called
            yield from _of_value(item, _below(path, nth), name)
    else:
        yield path, _spell(value, name)


def _is_plain(value: tuple[Any, ...]) -> bool:
    return all(isinstance(item, str | int | float) for item in value)


def _called(item: Any) -> str:
    """What an item of a list is called: its name, its verb, its measure, its kind."""
    for attribute in _NAMING:
        found = getattr(item, attribute, None)
        if isinstance(found, str) and found:
            return found
    if isinstance(item, Action):
        return item.verb
    return str(getattr(item, "measure", type(item).__name__.lower()))


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _spell(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name.endswith("unix_ns"):
        return datetime.fromtimestamp(value // SECOND, UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, int) and name.endswith("_ns"):
        return format_duration(value) if value < NEVER else "never"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(_spell(item, name) for item in value)}]"
    if isinstance(value, msgspec.Struct) and type(value).__str__ is msgspec.Struct.__str__:
        return ", ".join(f"{k} {_spell(v, k)}" for k, v in msgspec.structs.asdict(value).items())
    return str(value)
