"""What of a scenario was recorded somewhere else: who was connected when, and how good a link was.

Decides how a group names a recording of presence and a trace of a link. Leaves out the files themselves
(`devicesim.recordings`) and how a device follows them (`devicesim.world.replay`, `devicesim.models`).

Rules: a path is looked for from the scenario's own folder first; a trace is a link class named
``trace:`` and its path, so that it can stand in a mix, in a label and in a selector like any other.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from devicesim.scenario.errors import Refusal, show
from devicesim.scenario.fields import Model, Name, read_mix

TRACE: Final = "trace:"


class Presence(Model):
    """Who of the group was connected when: the recording drives each device's carrier."""

    file: str = Field(
        min_length=1,
        max_length=1_000,
        description="Recording (fleetdrill import, fleetdrill capture), from the scenario's folder.",
        examples=["presence.csv"],
    )
    of: Name | None = Field(
        default=None,
        description="Group of the recording; by default the one with this group's name, else all.",
    )
    reconnect: Literal["recorded", "agent"] = Field(
        default="recorded",
        description="recorded: a device whose carrier is back is connected within a second, as the"
        " recording says; agent: its own back-off decides when.",
    )


def read_presence(value: object) -> object:
    """Read a path as ``{file: path}``; a mapping passes through."""
    if isinstance(value, str):
        return {"file": value}
    if not isinstance(value, dict | Presence):
        raise Refusal("the path of a recording, or {file: path, ...}", found=show(value))
    return value


def read_links(value: object) -> dict[str, float]:
    """Read a link class, a mix of them, or ``{trace: path}``."""
    if isinstance(value, dict) and list(value) == ["trace"]:
        path = value["trace"]
        if not isinstance(path, str) or not path.strip():
            raise Refusal("the path of a link trace", found=show(path), at=("trace",))
        return {TRACE + path: 1.0}
    return read_mix(value)


_TRACED: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "trace": {"type": "string", "description": "A recorded link, from the scenario's folder."}
    },
    "required": ["trace"],
    "additionalProperties": False,
}
_MIXED: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "mix": {"type": "object", "additionalProperties": {"type": ["number", "string"]}}
    },
    "required": ["mix"],
    "additionalProperties": False,
}
_FOLLOWED: Final[dict[str, Any]] = {
    **Presence.model_json_schema(),
    "description": "A recording and how it is followed.",
}
APresence = Annotated[
    Presence,
    BeforeValidator(read_presence),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, _FOLLOWED], "examples": ["presence.csv"]},
    ),
]
Links = Annotated[
    dict[str, float],
    BeforeValidator(read_links),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, _MIXED, _TRACED],
            "examples": [
                "fcc-dsl",
                {"mix": {"lte-good": 0.7, "lte-poor": 0.3}},
                {"trace": "commute.csv"},
            ],
        }
    ),
]
