"""What a token with a scope is told, and what it may do to a device that is there already.

Decides which answers are cut down to a scope. Leaves out which verbs a scope allows at all (permissions.py).

Rules: a device outside of the scope is answered like one that does not exist; who may label devices of one scope
cannot take one out of another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from gateway.core.access.tokens import Asker
from gateway.core.gateway import Gateway
from gateway.runtime.life import Guard, GuardError
from gateway.runtime.permissions import IN_SUM, covers_labels, tag_of
from gateway.runtime.verbs import (
    EnrollDevice,
    ListDevices,
    Mutation,
    Reading,
    ShowDebug,
    ShowDevice,
    VerbError,
)

Look = Callable[[Reading], Awaitable[Any]]


async def look_within(asker: Asker, verb: Reading, look: Look) -> Any:
    """Answer a question within the scope of whoever asks.

    Args:
        asker: who asks.
        verb: the question.
        look: answers it, by values of the core or by plain ones.

    Raises:
        VerbError: ``unknown`` device, or a question that is not answered to scoped tokens.
    """
    if not asker.labels or type(verb) in IN_SUM:
        return await look(verb)
    match verb:
        case ListDevices():
            return await look(_narrowed(asker, verb))
        case ShowDevice(device=device):
            return await _device(asker, device, look)
        case ShowDebug(device=device):
            await _device(asker, device, look)
            return await look(verb)
        case _:
            raise VerbError(
                "forbidden",
                f"expected a question within the scope {dict(asker.labels)}, found {tag_of(verb)}: ask with a "
                "token of the whole fleet",
            )


def _narrowed(asker: Asker, verb: ListDevices) -> ListDevices:
    """The same question, of devices in scope only."""
    scope = dict(asker.labels)
    for name, value in scope.items():
        if verb.labels.get(name, value) != value:
            raise VerbError(
                "forbidden", f"expected a question within the scope {scope}, found {verb.labels}"
            )
    return replace(verb, labels={**verb.labels, **scope})


def guard_within(asker: Asker, verb: Mutation, guard: Guard | None) -> Guard | None:
    """`guard`, and that a device which is there already is the asker's to label."""
    if not asker.labels or not isinstance(verb, EnrollDevice):
        return guard

    def both(core: Gateway) -> str:
        view = core.twin_view(verb.device)
        if view is not None and not covers_labels(asker, view.labels):
            raise GuardError(
                f"expected a device within the scope {dict(asker.labels)}, found {verb.device!r}",
                "forbidden",
            )
        return "" if guard is None else guard(core)

    return both


async def _device(asker: Asker, device: str, look: Look) -> Any:
    unknown = VerbError("unknown", f"expected a device that is known, found {device!r}")
    found = await look(ShowDevice(device=device))
    labels = found["labels"] if isinstance(found, dict) else found.labels
    if not covers_labels(asker, labels):
        raise unknown
    return found
