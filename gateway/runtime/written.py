"""JSON that is written once and put into many pages.

Decides what is kept of it. Leaves out what is written, and when it is written anew.

Rules: the tag of a page is a digest over the digests of its parts, each taken once, when the part was written: of a
thousand devices that is 16 KB to be hashed instead of 600 KB, and what looks the same still has the same tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

DIGEST_BYTES: Final = 16
_ENCODE: Final = msgspec.json.Encoder().encode
_RAW: Final = attrgetter("raw")
_DIGEST: Final = attrgetter("digest")


class Text(msgspec.Struct, frozen=True, gc=False):
    """A part of a page."""

    raw: msgspec.Raw
    """JSON."""
    digest: bytes
    """Of it, `DIGEST_BYTES`."""


def write(found: Any) -> Text:
    """What msgspec can write, written."""
    body = _ENCODE(found)
    return Text(msgspec.Raw(body), sha256(body).digest()[:DIGEST_BYTES])


class Page(NamedTuple):
    """Parts in their order, and where the next page begins."""

    raws: list[msgspec.Raw]
    digest: bytes
    """Over the parts' digests."""
    next: str | None

    def tag(self, rest: str) -> str:
        """The tag of an answer that has these parts, hex.

        Args:
            rest: what else it says, such as where it goes on.
        """
        return sha256(self.digest + rest.encode()).hexdigest()


def page_of(parts: Sequence[Text], after: str | None) -> Page:
    """A page of parts; `after` is where the next one begins."""
    digest = sha256(b"".join(map(_DIGEST, parts))).digest()
    return Page(list(map(_RAW, parts)), digest, after)
