"""Brings the events of alarms to the webhook, each at least once and in order.

Decides when an event is tried again, and when it is given up. Leaves out which events there are and how many may
wait (gateway/core/alarms/telling.py), and the sending itself (gateway/adapters/webhook.py).

Theory of operation. The events are rows of the core; the courier takes the oldest, sends it, and tells the core when it was
taken. What a crash leaves between the two is sent again, with the same id and the same bytes: receivers drop
what they know by its id. One that fails holds up those behind it, so an end never comes before its beginning; an event that the
receiver says is wrong in itself, or that was not taken for `give_up_s`, is dropped and logged.

Rules: waits between attempts grow with jitter up to a bound, and begin anew with each event; a gateway that stops does not wait for
the webhook: it goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from devicesdk.wire.timebase import SECOND, format_duration
from gateway.adapters.webhook import Posted
from gateway.config import AlarmsSection
from gateway.core.alarms.rows import DeliveryRow
from gateway.core.alarms.views import event_id
from gateway.core.gateway import Gateway
from gateway.core.stimuli import AlarmDelivered
from gateway.runtime.backoff import Backoff
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.logs import say
from gateway.runtime.runtime import Runtime

LOOK_S: Final = 0.5
"""How often it is looked whether there is something new; a look is one comparison."""


class Hook(Protocol):
    """Where events go."""

    shown: str

    async def post(self, event: str, payload: bytes, at_s: int) -> tuple[Posted, str]:
        """Try once."""
        ...


class Courier:
    """One webhook's.

    Args:
        runtime: has the events.
        hook: sends them.
        said: how long is waited between attempts, and when an event is given up.
        wall_ms: UTC now.
        seed: entropy for the jitter.
    """

    def __init__(
        self,
        runtime: Runtime,
        hook: Hook,
        said: AlarmsSection,
        wall_ms: Callable[[], int],
        seed: int,
    ) -> None:
        self._runtime, self._hook, self._wall_ms = runtime, hook, wall_ms
        self._seed, self._said = seed, said
        self._give_up_ns = round(said.webhook_give_up_s * SECOND)

    async def run(self) -> None:
        """Bring events until cancelled."""
        mark: tuple[int, int] | None = None
        while True:
            counters = self._runtime.counters
            before = counters.starts, counters.commits
            if before != mark:
                try:
                    while (row := await self._runtime.read(_oldest)) is not None:
                        await self._bring(row)
                    mark = before
                except (NotRunningError, BusyError):
                    mark = None
            await asyncio.sleep(LOOK_S)

    async def _bring(self, row: DeliveryRow) -> None:
        """One event, until it is taken or given up."""
        event, said = event_id(row.event), self._said
        least, most = said.webhook_retry_s_min, said.webhook_retry_s_max
        waits = Backoff(self._seed, event, round(least * SECOND), round(most * SECOND))
        tries = 0
        while True:
            posted, words = await self._hook.post(event, row.payload, self._wall_ms() // 1000)
            tries += 1
            if posted is not Posted.LATER:
                break
            if self._runtime.wall_ns() - row.made_ns >= self._give_up_ns:
                words = f"not taken for {format_duration(self._give_up_ns)}, at last: {words}"
                break
            if tries & (tries - 1) == 0:  # the first, second, fourth, eighth ...
                say(logging.WARNING, "webhook does not take an alarm", to=self._hook.shown, alarm=event,
                    found=words, tries=tries)  # fmt: skip
            await asyncio.sleep(waits.next() / SECOND)
        why = "" if posted is Posted.TAKEN else words
        if why:
            say(
                logging.ERROR,
                "an alarm is not delivered",
                to=self._hook.shown,
                alarm=event,
                found=why,
            )
        await self._runtime.submit(AlarmDelivered(row.event, why))


def _oldest(core: Gateway) -> DeliveryRow | None:
    waiting = [] if core.alarms is None else core.alarms.waiting(1)
    return waiting[0] if waiting else None
