"""Choosing at run time: the policy that devices start with, and what their owners agree to.

Decides the options of a group (or of all), and what is told about a policy that is wrong. Leaves out the
document itself (`devicesdk.agent.policy`, the device's own reader), how it reaches devices (the gateway, as
an object flag of the group's segment) and opening files: a policy may be the path of one.

Rules: an inline policy is read as the file is loaded, so that its mistakes have a line; one in a file when
the scenario is assembled; a group's choosing replaces the scenario's.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from devicesdk.agent import policy as document
from devicesdk.agent.policy import PolicyError, read_policy
from devicesim.scenario.errors import Path, Refusal, choices, nearest_word, show
from devicesim.scenario.fields import Model, Name, PositiveDuration

OFF: Final = "off"
FIRST: Final = "first"
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+)`")
_WORDS: Final = {
    "int ": "a whole number ", "<=": "of at most", ">=": "of at least", "array": "a list",
    "object": "a mapping", "str ": "text ",
}  # fmt: skip
_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_PARTS: Final[dict[str, type[Any]]] = {
    "when": document.When, "use": document.Use, "margin": document.Margin,
    "fallback": document.Fallback, "offload": document.Offload, "defer": document.Defer,
    "recalibration": document.Recalibration,
}  # fmt: skip


class PolicySource(msgspec.Struct, frozen=True):
    """A policy as the scenario has it."""

    path: str = ""
    """Of a JSON file, from the working directory; empty: it is inline."""
    document: str = ""
    """JSON; empty while it is in a file."""

    def __str__(self) -> str:
        return self.path or self.document


def read_source(value: object) -> PolicySource:
    """Read an inline policy, or the path of one.

    Raises:
        Refusal: it is neither, or not a policy; says where in it.
    """
    if isinstance(value, str) and value.endswith(".json"):
        return PolicySource(path=value)
    if not isinstance(value, dict):
        form = "a policy: {rules: [...]}, or the path of a .json file"
        raise Refusal(form, found=show(value))
    try:
        msgspec.convert(value, document.Policy)
    except msgspec.ValidationError as error:
        raise _refused(str(error), value) from error
    inline = msgspec.json.encode(value)
    try:
        read_policy(inline)
    except PolicyError as error:
        expected, _, found = str(error).removeprefix("expected ").partition(", found ")
        found, _, advice = found.partition(": ")
        raise Refusal(expected, found=found, at=("rules",), advice=advice) from error
    return PolicySource(document=inline.decode())


def read_change(value: object) -> PolicySource | str:
    """Read what a step of flags puts into force: a policy, ``off`` or ``first``.

    Raises:
        Refusal: it is none of these.
    """
    if value in (OFF, FIRST):
        return str(value)
    if isinstance(value, dict) or (isinstance(value, str) and value.endswith(".json")):
        return read_source(value)
    form = "a policy: {rules: [...]}, the path of a .json file, off, or first (what it began with)"
    nearest = nearest_word(value, (OFF, FIRST)) if isinstance(value, str) else ""
    if value is False:
        nearest = OFF
    raise Refusal(form, found=show(value), nearest=nearest)


def _refused(message: str, value: object) -> Refusal:
    """Put the complaint of the device's reader about `value` into our form."""
    said, _, place = message.partition(" - at `$")
    at = _place(place.rstrip("`"))
    unknown = _UNKNOWN.fullmatch(said)
    if unknown:
        keys = _keys_at(at)
        name = unknown[1]
        return Refusal(
            f"one of the keys {choices(keys)}",
            found=repr(name),
            nearest=nearest_word(name, keys),
            at=(*at, name),
            key=True,
        )
    expected = said.partition(", got ")[0].removeprefix("Expected ").replace("`", "")
    for word, plain in _WORDS.items():
        expected = expected.replace(word, plain)
    for step in at:
        known = isinstance(value, dict | list | tuple)
        value = value[step] if known else None  # type: ignore[index]
    return Refusal(expected[:1].lower() + expected[1:], found=show(value), at=at)


def _place(text: str) -> Path:
    steps: list[str | int] = []
    for name, number in _STEP.findall(text):
        steps.append(name or int(number))
    return tuple(steps)


def _keys_at(at: Path) -> list[str]:
    """The keys that a policy has at this place of it."""
    part: type[Any] = document.Policy
    if at:
        part = _PARTS.get(str(at[-1]), document.Rule)
    return list(part.__struct_fields__)


_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": r"\.json$"},
        {
            "type": "object",
            "required": ["rules"],
            "properties": {
                "rules": {"type": "array", "description": "The first that matches decides."}
            },
        },
    ],
    "examples": ["models/lane/policy.json"],
}
PolicyField = Annotated[
    PolicySource, PlainValidator(read_source), PlainSerializer(str), WithJsonSchema(_SCHEMA)
]
PolicyChange = Annotated[
    PolicySource | str,
    PlainValidator(read_change),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"enum": [OFF, FIRST]}, *_SCHEMA["anyOf"]]}),
]


class Choosing(Model):
    """What devices run, where and how often, as they find themselves: a policy and its owner's terms."""

    policy: PolicyField | None = Field(
        default=None,
        description="Run-time policy in force from the start: inline, or a JSON file; see"
        " docs/how-to/write-a-policy.md.",
    )
    offload: bool = Field(
        default=False,
        description="The owner agrees that frames leave the device; the flag offload must be on, too.",
    )
    metered: bool | None = Field(
        default=None, description="Links paid by the byte; by default what the link's radio says."
    )
    mode: Name | None = Field(
        default=None, description="Regulatory mode, such as privacy: no frame leaves the device."
    )
    urgency: Literal["foreground", "batch"] = Field(
        default="foreground", description="batch: nobody waits for readings, they may be deferred."
    )
    budget_ns: PositiveDuration | None = Field(
        default=None,
        alias="budget",
        description="What one inference may take, for the policy to look at.",
    )
