"""When a rollout may offer, and how many at once: the words of a scenario for it.

Decides the keys and their readers. Leaves out what they do (`gateway.core.pace`) and zones (zones.py). The words are those
of the gateway's HTTP API, so that what was rehearsed can be asked for.

Rules: a window is read as the gateway reads it; a zone is one of the world's table, or at a fixed distance from UTC; a device's
zone is its label ``tz``, else its region's distance; who approves a wave does so at an instant that the file names, or nobody does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from devicesim.scenario.errors import Refusal, nearest_word, show
from devicesim.scenario.fields import At, Model
from devicesim.scenario.zones import ZONES, WorldZones
from gateway.core.pace import BUDGETS_MAX, LATE_PER_HOUR_MAX, WINDOWS_MAX, Budget, read_budgets
from gateway.core.windows import Window, read_window
from gateway.core.zones import UTC

WAVES_MAX: Final = 32
ZONE_LABEL: Final = "tz"


def read_a_window(value: object) -> Window:
    """Read ``Mon-Fri 01:00-05:00``.

    Raises:
        Refusal: it is written otherwise.
    """
    if not isinstance(value, str):
        raise Refusal("a window such as 'Mon-Fri 01:00-05:00', in quotes", found=show(value))
    try:
        return read_window(value)
    except ValueError as error:
        expected, _, found = str(error).removeprefix("expected ").partition(", found ")
        raise Refusal(expected, found=found) from None


def read_zone(value: object) -> str:
    """Read the name of a zone.

    Raises:
        Refusal: it is not in the table.
    """
    if isinstance(value, str) and WorldZones().offset_s(value, 0) is not None:
        return value
    nearest = nearest_word(value, ZONES) if isinstance(value, str) else ""
    expected = "a time zone of devicesim/scenario/zones.py, or one such as UTC+9"
    raise Refusal(expected, found=show(value), nearest=nearest)


def read_all_budgets(value: object) -> tuple[Budget, ...]:
    """Read ``{site: 2, region: 10%}``.

    Raises:
        Refusal: a value is neither a count nor a share.
    """
    form = "budgets such as {site: 2, region: 10%}"
    if not isinstance(value, dict) or len(value) > BUDGETS_MAX:
        raise Refusal(f"at most {BUDGETS_MAX} {form}", found=show(value))
    for label, most in value.items():
        try:
            read_budgets({label: most})
        except (ValueError, TypeError):
            expected = "how many at once: a count such as 2, or a share such as 10%"
            raise Refusal(expected, found=show(most), at=(label,)) from None
    return read_budgets(value)


AWindow = Annotated[
    Window,
    PlainValidator(read_a_window),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["Mon-Fri 01:00-05:00", "daily 22:00-04:00"]}),
]
AZone = Annotated[
    str,
    PlainValidator(read_zone),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin", "UTC+9"]}),
]


def _spelled(budgets: tuple[Budget, ...]) -> dict[str, Any]:
    return {b.label: b.count or f"{100 * b.share:g}%" for b in budgets}


Budgets = Annotated[
    tuple[Budget, ...],
    PlainValidator(read_all_budgets),
    PlainSerializer(_spelled),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "integer", "minimum": 1},
                    {"type": "string", "pattern": r"^\d+(\.\d+)? ?%$"},
                ]
            },
            "examples": [{"site": 2, "region": "10%"}],
        }
    ),
]


class Approval(Model):
    """A wave that opens only when a person approves."""

    wave: int = Field(ge=0, lt=WAVES_MAX, description="Which wave, from 0.", examples=[1])
    at_ns: At | None = Field(
        default=None,
        alias="at",
        description="When the person answers, or as soon as the wave waits after that; by default never.",
    )
    deny: bool = Field(default=False, description="true: the answer is no.")


class Paced(Model):
    """When a rollout may offer, and how many devices at once; the defaults ask for nothing."""

    start_at_ns: At | None = Field(
        default=None,
        alias="start_at",
        description="Scheduled start: nothing is offered before, though the rollout is known from `at` on.",
    )
    windows: Annotated[tuple[AWindow, ...], Field(max_length=WINDOWS_MAX)] = Field(
        default=(),
        description="Maintenance windows on each device's own clock, by its label tz or its region's"
        " utc_offset_h; a device is offered nothing outside of them.",
    )
    zone: AZone = Field(
        default=UTC, description="Time zone of devices without a label tz and without a region."
    )
    budgets: Budgets = Field(
        default_factory=tuple,
        description="Disruption budgets: of each value of a label, how many devices may be updating or"
        " offline at once, as a count or a share; shared by all rollouts.",
    )
    approvals: Annotated[tuple[Approval, ...], Field(max_length=WAVES_MAX)] = Field(
        default=(), description="Waves that wait for a person, and when the person answers."
    )
    late_per_hour: int = Field(
        default=0,
        ge=0,
        le=LATE_PER_HOUR_MAX,
        description="Devices that join when everybody has been offered: so many an hour; 0: at once.",
    )
    late_after_gate: bool = Field(
        default=False, description="Such devices wait until the last wave has passed its gate."
    )
