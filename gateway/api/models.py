"""Shapes that many routes share.

Rules: what is asked forbids unknown fields; durations are text such as ``20m``, shares are 0 to 1, instants are
RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from devicesdk.wire import limits

Name = Annotated[
    str, Field(min_length=1, max_length=limits.TEXT_CHARS_MAX, pattern=r"^[^\s/\x00]+$")
]
Duration = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?(ns|us|ms|s|m|h|d)([0-9]{1,9}(ms|s|m|h))*$",
        examples=["20m"],
    ),
]
Share = Annotated[float, Field(gt=0, le=1)]
Labels = Annotated[dict[str, str], Field(examples=[{"region": "eu"}], max_length=64)]


class Request(BaseModel):
    """Base of what is asked."""

    model_config = ConfigDict(extra="forbid")


class Said(BaseModel):
    """A mutation is durable, or waits for somebody's approval."""

    said: list[str] = Field(description="What follows from it, sentence by sentence.")
    waits: int | None = Field(
        default=None, description="Number of the request for approval, if it waits."
    )
