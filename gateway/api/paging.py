"""Pages: opaque cursors, bounded limits.

Decides what a cursor looks like. Leaves out what a page is made of.

Rules: a cursor names the list it belongs to, so that one list's is refused by another; it holds nothing secret and
nothing that is believed: it says where to go on, and what may be seen there is decided anew.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import Query

from gateway.runtime.verbs import PAGE_DEVICES_MAX, VerbError

T = TypeVar("T")

LIMIT: Final = 100
CURSOR_CHARS_MAX: Final = 1_024
Limit = Annotated[int, Query(ge=1, le=PAGE_DEVICES_MAX, description="How many at most.")]
Cursor = Annotated[
    str,
    Query(
        max_length=CURSOR_CHARS_MAX,
        pattern="^[A-Za-z0-9_-]*$",
        description="What the page before said as `next`; without it: the first page.",
    ),
]
_DECODER: Final = msgspec.json.Decoder(tuple[str, str])


def cursor_of(name: str, after: str | None) -> str | None:
    """A cursor of the list `name`, to go on after a key; None for None."""
    if after is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode((name, after))).decode().rstrip("=")


def after_of(name: str, cursor: str) -> str:
    """The key after which a cursor of the list `name` goes on; empty for an empty one.

    Raises:
        VerbError: ``invalid``: it is not such a cursor.
    """
    if not cursor:
        return ""
    try:
        whose, after = _DECODER.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (Error, msgspec.MsgspecError, UnicodeDecodeError):
        whose, after = "", ""
    if whose != name:
        raise VerbError(
            "invalid",
            f"expected a cursor that this list gave as `next`, found {cursor[:40]!r}: begin anew without one",
        )
    return after


def number_after(name: str, cursor: str) -> int:
    """The same where keys are numbers; 0 for an empty one.

    Raises:
        VerbError: ``invalid``.
    """
    after = after_of(name, cursor)
    if after and not (after.isascii() and after.isdigit() and len(after) <= 15):
        raise VerbError("invalid", f"expected a cursor of this list, found {cursor[:40]!r}")
    return int(after or "0")


def page(
    items: Sequence[T], key: Callable[[T], str], after: str, limit: int
) -> tuple[list[T], str | None]:
    """Up to `limit` items whose keys sort after `after`, and where to go on.

    Args:
        items: in the order of their keys.
        key: of an item.
        after: empty: from the beginning.
        limit: how many.
    """
    rest = [item for item in items if key(item) > after] if after else items
    found = list(rest[:limit])
    return found, key(found[-1]) if len(rest) > limit else None
