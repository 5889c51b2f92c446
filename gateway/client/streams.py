"""Reads a stream of server-sent events.

Decides what an event is made of, as far as a gateway writes them (WHATWG HTML, 9.2.6). Leaves out connections.

Rules: comments and fields that are not known are passed over; an event that is no JSON ends the stream with an error;
one that is longer than `EVENT_CHARS_MAX` does, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

MEDIA: Final = "text/event-stream"
EVENT_CHARS_MAX: Final = 16 * 1024 * 1024


def read_events(lines: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Events as id, kind and value.

    Args:
        lines: of the stream, without their ends.

    Raises:
        ValueError: an event is no JSON, or too long.
    """
    kind, last, data, size = "message", "", [""] * 0, 0
    for line in lines:
        if not line:
            if data:
                yield last, kind, _value("\n".join(data))
            kind, data, size = "message", [], 0
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "id":
            last = value
        elif field == "data":
            size += len(value)
            if size > EVENT_CHARS_MAX:
                raise ValueError(f"expected an event of at most {EVENT_CHARS_MAX} characters")
            data.append(value)


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected JSON in an event, found: {error}") from None
