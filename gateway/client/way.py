"""What commands ask of a gateway, whichever way they reach it.

Decides the few things that a way has to offer. Leaves out how (door.py, http.py), which of them is taken
(reach.py), and what is asked (gateway/runtime/verbs.py).

Rules: a verb is answered by the same values on either way, so no command knows which it goes; what was not done
is a `VerbError`, nobody there a `NoGatewayError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from gateway.runtime.verbs import AnyVerb

Told = Callable[[int], None]
"""Told how many bytes are stored more, while they are."""


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    found: dict[str, Any]
    """As it was answered."""
    next: str
    """Where the next page begins, for `Way.page`; empty: this was the last."""


class Way(Protocol):
    """A way to a gateway."""

    @property
    def where(self) -> str:
        """The gateway, for people."""
        ...

    def ask(self, verb: AnyVerb) -> Any:
        """What a verb answers, as JSON values; a list of it is whole.

        Raises:
            VerbError: it was not done.
            NoGatewayError: nobody answers, or answered in time.
        """
        ...

    def page(self, verb: AnyVerb, after: str = "") -> Page:
        """One page of a list that can be long: devices, rollouts, bundles, cohorts, entries of the log.

        Args:
            verb: what, and how many at most.
            after: what the page before said as `next`.
        """
        ...

    def holds(self, digest: bytes) -> bool:
        """Whether the gateway has a blob, whole."""
        ...

    def store(self, blob: bytes, told: Told) -> bytes:
        """Make the gateway have a blob; returns its digest. What it has already is not sent again."""
        ...

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """A part of a blob.

        Raises:
            BlobError: there is none.
        """
        ...

    def whoami(self) -> dict[str, Any]:
        """Name, role, scope and permissions of whoever asks."""
        ...

    def events(self, last: str) -> Iterator[tuple[str, str, Any]]:
        """States as they change: id, kind and value; ends when the connection does.

        Args:
            last: id of the last event that was heard; empty: none was.

        Raises:
            NoEventsError: this way has none: ask now and then.
            NoGatewayError: nobody answers.
        """
        ...

    def close(self) -> None:
        """Leave."""
        ...


class NoEventsError(RuntimeError):
    """There is no stream of events on this way, or not now."""


def each_page(way: Way, verb: AnyVerb) -> Iterator[dict[str, Any]]:
    """All pages of a list."""
    after = ""
    while True:
        page = way.page(verb, after)
        yield page.found
        if not page.next:
            return
        after = page.next
