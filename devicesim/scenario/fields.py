"""The field types of a scenario: a reader, and what an editor is told about it.

Decides how each quantity is bound to pydantic and described in the published JSON Schema. Leaves
out the reading (quantities.py, values.py, selector.py, trigger.py) and the fields (the models).

Rules: a model is frozen, strict and knows all its keys; keys are the words of the file, attributes
carry their unit (`soak` in the file is `soak_ns` here). The mark ``x-quantity`` tells publish.py
how to spell a default; it does not reach the published schema.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from devicesim.scenario.errors import Refusal, choices, nearest_word, show
from devicesim.scenario.quantities import (
    read_bitrate,
    read_duration,
    read_increase,
    read_instant,
    read_positive_duration,
    read_positive_share,
    read_rate,
    read_share,
    read_size,
    read_unix_instant,
)
from devicesim.scenario.selector import Selector, parse_selector
from devicesim.scenario.trigger import Trigger, parse_trigger
from devicesim.scenario.values import (
    Distribution,
    Order,
    Shift,
    read_distribution,
    read_order,
    read_shift,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_CHARS_MAX: Final = 48
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DURATION_PATTERN: Final = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
_ISO_PATTERN: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$"
_NUMBER: Final = r"(\d+(\.\d*)?|\.\d+)"


class Model(BaseModel):
    """A part of a scenario: frozen, strict, and every key it does not know is refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
    )


def read_name(value: object) -> str:
    """Read a name: it becomes part of topics, ids and metric names."""
    expected = "a name of letters, digits, - and _"
    if not isinstance(value, str):
        nearest = str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
        raise Refusal(expected, found=show(value), nearest=f"'{nearest}'" if nearest else "")
    if not _NAME.fullmatch(value):
        nearest = re.sub(r"[^A-Za-z0-9_-]+", "-", value).strip("-_")
        raise Refusal(expected, found=show(value), nearest=nearest)
    if len(value) > NAME_CHARS_MAX:
        raise Refusal(f"a name of at most {NAME_CHARS_MAX} characters", found=show(value))
    return value


def read_mix(value: object) -> dict[str, float]:
    """Read ``name`` or ``{mix: {name: share, ...}}`` into shares by name that sum to 1."""
    if isinstance(value, str):
        return {value: 1.0}
    form = "a name, or {mix: {name: share, ...}}"
    if not isinstance(value, dict) or list(value) != ["mix"]:
        raise Refusal(form, found=show(value))
    parts = value["mix"]
    if not isinstance(parts, dict) or not parts:
        raise Refusal(form, found=show(parts), at=("mix",))
    out: dict[str, float] = {}
    for name, share in parts.items():
        try:
            out[name] = read_share(share)
        except Refusal as refusal:
            refusal.at = ("mix", name)
            raise
    total = sum(out.values())
    if abs(total - 1) > 1e-6:
        raise Refusal("shares that sum to 1 (100%)", found=f"a sum of {total:g}", at=("mix",))
    return out


def must_be_one_of(
    value: str, words: Iterable[str], what: str, at: tuple[str | int, ...], *, key: bool = False
) -> None:
    """Refuse a name that is not in a vocabulary; `key` when it stands as a key."""
    known = list(words)
    if value not in known:
        raise Refusal(
            f"{what}: {choices(known)}",
            found=show(value),
            nearest=nearest_word(value, known),
            at=at,
            key=key,
        )


def _at(value: object, info: ValidationInfo) -> int:
    context: dict[str, Any] = info.context or {}
    return read_instant(value, context.get("start_unix_ns"))


def _text(pattern: str, *examples: str, quantity: str = "", about: str = "") -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "examples": list(examples)}
    if pattern:
        schema["pattern"] = pattern
    if about:
        schema["description"] = about
    if quantity:
        schema["x-quantity"] = quantity
    return WithJsonSchema(schema)


def _share_schema(*examples: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": rf"^{_NUMBER} ?%$"},
            ],
            "examples": list(examples),
            "x-quantity": "share",
        }
    )


Name = Annotated[str, PlainValidator(read_name), _text(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Duration = Annotated[
    int,
    PlainValidator(read_duration),
    _text(_DURATION_PATTERN, "45m", "2h30m", "90s", quantity="duration"),
]
PositiveDuration = Annotated[
    int,
    PlainValidator(read_positive_duration),
    _text(_DURATION_PATTERN, "15m", "60s", quantity="duration"),
]
At = Annotated[
    int,
    PlainValidator(_at),
    _text(
        f"({_DURATION_PATTERN})|({_ISO_PATTERN})",
        "45m",
        "2h30m",
        "2024-02-22T08:45:00Z",
        quantity="duration",
    ),
]
UnixInstant = Annotated[
    int,
    PlainValidator(read_unix_instant),
    _text(_ISO_PATTERN, "2024-02-22T08:00:00Z", quantity="instant"),
]
Share = Annotated[float, PlainValidator(read_share), _share_schema("5%", ".05")]
PositiveShare = Annotated[float, PlainValidator(read_positive_share), _share_schema("5%", ".05")]
Increase = Annotated[
    float,
    PlainValidator(read_increase),
    _text(rf"^\+{_NUMBER} ?%$", "+20%", quantity="increase"),
]
Rate = Annotated[
    float,
    PlainValidator(read_rate),
    _text(rf"^{_NUMBER} ?/ ?(s|m|h)$", "500/s", quantity="rate"),
]
Size = Annotated[
    int,
    PlainValidator(read_size),
    _text(rf"^{_NUMBER} ?(B|kB|MB|GB|KiB|MiB|GiB)$", "64KiB", quantity="size"),
]
BitRate = Annotated[
    int,
    PlainValidator(read_bitrate),
    _text(rf"^{_NUMBER} ?(bit|kbit|Mbit|Gbit)/s$", "256kbit/s", quantity="bitrate"),
]
Target = Annotated[
    Selector,
    PlainValidator(parse_selector),
    PlainSerializer(str),
    _text("", "all", "group=kiosk & link~lte", "sample(profile=phone, 5%)", quantity="text"),
]
When = Annotated[
    Trigger,
    PlainValidator(parse_trigger),
    PlainSerializer(str),
    _text("", "rollout.r1.progress >= 10%", "fleet.online_ratio < .9"),
]
Dist = Annotated[
    Distribution,
    PlainValidator(read_distribution),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": r"^(uniform|normal|lognormal|exponential)\(.*\)$"},
            ],
            "examples": ["normal(30, 6)", "uniform(.6, 1)", 25],
        }
    ),
]
DataShift = Annotated[
    Shift,
    PlainValidator(read_shift),
    PlainSerializer(str),
    _text(r"^(dim|haze|blur|prior_shift)\(.*\)$", "dim(.5)", "haze(.4)", "blur(2)"),
]
ReturnOrder = Annotated[
    Order,
    PlainValidator(read_order),
    PlainSerializer(str),
    _text(r"^(together|swizzle\(.*\))$", "together", "swizzle(30m)", quantity="text"),
]
Mix = Annotated[
    dict[str, float],
    BeforeValidator(read_mix),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "mix": {
                            "type": "object",
                            "additionalProperties": {"type": ["number", "string"]},
                        }
                    },
                    "required": ["mix"],
                    "additionalProperties": False,
                },
            ],
            "examples": ["fcc-dsl", {"mix": {"lte-good": 0.7, "lte-poor": 0.3}}],
        }
    ),
]
