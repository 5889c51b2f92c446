"""Shapes that many routes share.

Rules: what is asked forbids unknown fields; durations are text such as ``20m``, shares are 0 to 1, instants are
RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from devicesdk.wire import limits
from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import parse_duration

_SIGN = r"[^\s/\x00-\x1f\x7f-\x9f]"
_SIGN_NO_DOT = r"[^\s/\x00-\x1f\x7f-\x9f.]"
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=limits.TEXT_CHARS_MAX,
        # Neither `.` nor `..`: in an address they mean another one, so nobody could ask for what is called so.
        pattern=rf"^({_SIGN_NO_DOT}|\.{_SIGN_NO_DOT}|\.\.{_SIGN}){_SIGN}*$",
    ),
]


DURATION: Final = r"^[0-9]{1,9}(\.[0-9]{1,3})?(ns|us|ms|s|m|h|d)([0-9]{1,9}(ms|s|m|h))*$"
_DURATION: Final = re.compile(DURATION)


def _durations_words(said: Any) -> Any:
    """Refuse in words what the pattern refuses by itself."""
    if not isinstance(said, str):
        return said
    short = len(said) <= limits.TEXT_CHARS_MAX
    why = "" if short and _DURATION.fullmatch(said) else _expected(said)
    if short:
        try:
            parse_duration(said)
        except ValueError as error:
            why = str(error)
    if why:
        raise PydanticCustomError("duration", "{why}", {"why": why})
    return said


def _expected(said: str) -> str:
    return f"expected a duration such as 45m, 1h30m or 0.5s, found {said[:40]!r}"


Duration = Annotated[
    str, Field(pattern=DURATION, examples=["20m"]), BeforeValidator(_durations_words)
]
Share = Annotated[float, Field(gt=0, le=1)]
Order = Literal["oldest", "newest"]
"""Which end of a list comes first."""
Labels = Annotated[dict[str, str], Field(examples=[{"region": "eu"}], max_length=64)]


class Request(BaseModel):
    """Base of what is asked."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Policy(Request):
    """When a device may act; the defaults ask for nothing."""

    battery_percent_min: int = Field(default=0, ge=0, le=100)
    chip_c_max: int = Field(default=150, ge=-50, le=150)
    plugged: bool = Field(default=False, description="Only on a charger.")
    trial_ms: int = Field(default=60_000, ge=0, le=2**32 - 1)

    @property
    def value(self) -> dict[str, Any]:
        """As a verb has it."""
        found: dict[str, Any] = msgspec.to_builtins(UpdatePolicy(**self.model_dump()))
        return found
