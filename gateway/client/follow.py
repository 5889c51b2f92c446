"""One rollout as it goes on: by events where there are any, else by asking now and then.

Decides when it is asked and how long a gateway may be away. Leaves out how it is shown (gateway/commands/watching.py).

Rules: every state is told whole, so nothing is lost by a connection that broke; after each that ended the rollout is
asked for once, and events begin again after the last that was heard; a gateway that restarts is waited for, up to
`AWAY_MAX` times in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from gateway.client.way import NoEventsError, Way
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import ShowRollout, VerbError

LOOK_S: Final = 1.0
"""Between two looks where there are no events, and before events are asked for again."""
AWAY_MAX: Final = 60
_LATER: Final = frozenset({"busy", "stopped", "too-often"})


def follow(
    way: Way,
    rollout: str,
    sleep: Callable[[float], object],
    trouble: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """States of a rollout: as it is, then whenever it has changed.

    Args:
        way: to its gateway.
        rollout: its id.
        sleep: waits so many seconds.
        trouble: told why nothing is heard at the moment.

    Raises:
        VerbError: there is no such rollout, or it may not be seen.
        NoGatewayError: nobody answered for long.
    """
    known = _shown(way, rollout)
    yield known
    heard = _Heard()
    away = 0
    while True:
        try:
            for found in _told(way, rollout, heard):
                away = 0
                if found != known:
                    known = found
                    yield known
            sleep(LOOK_S)
            found = _shown(way, rollout)
        except NoGatewayError as error:
            away += 1
            if away > AWAY_MAX:
                raise
            trouble(str(error))
            sleep(LOOK_S)
            continue
        except VerbError as error:
            away += 1
            if error.code not in _LATER or away > AWAY_MAX:
                raise
            trouble(str(error))
            sleep(LOOK_S)
            continue
        away = 0
        if found != known:
            known = found
            yield known


class _Heard:
    """The last event."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = ""


def _told(way: Way, rollout: str, heard: _Heard) -> Iterator[dict[str, Any]]:
    """States of a rollout by events, until their stream ends; none where there are no events."""
    try:
        for ident, kind, value in way.events(heard.last):
            heard.last = ident
            if kind == "rollouts":
                among = [one for one in value["rollouts"] if one["id"] == rollout]
                # Events tell of the newest rollouts only.
                yield among[0] if among else _shown(way, rollout)
    except NoEventsError:
        return


def _shown(way: Way, rollout: str) -> dict[str, Any]:
    found: dict[str, Any] = way.ask(ShowRollout(rollout=rollout))
    return found
