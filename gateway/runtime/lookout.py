"""What goes on for alarms beside the core: probes, the webhook, and counts for Prometheus.

Decides what runs, and that none of it ends the gateway. Leaves out all of it: probes.py, patrol.py, courier.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from devicesdk.aio.clock import Clock
from gateway.adapters.webhook import Webhook, read_secret
from gateway.config import Config
from gateway.core.gateway import Gateway
from gateway.ports import AlarmTally
from gateway.runtime.courier import Courier
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.logs import say
from gateway.runtime.office import Office
from gateway.runtime.patrol import Patrol
from gateway.runtime.probes import Probes
from gateway.runtime.runtime import Runtime
from gateway.runtime.witness import Witness

TALLY_S: Final = 1.0
SEED_BYTES: Final = 8


class Lookout:
    """Runs for as long as the gateway does.

    Args:
        runtime: what is looked at.
        tally: where counts are kept.
        probes: look at what the core cannot see.
        probe_s: how often.
        courier: brings events; None: nobody wants them.
        hook: what it brings them to, closed at the end.
    """

    def __init__(
        self,
        runtime: Runtime,
        tally: AlarmTally,
        probes: Probes,
        probe_s: float,
        courier: Courier | None = None,
        hook: Webhook | None = None,
    ) -> None:
        self._runtime, self._tally = runtime, tally
        self._probes, self._probe_s = probes, probe_s
        self._courier, self._hook = courier, hook

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_said("probes", self._probes.run(self._probe_s)))
                group.create_task(_said("counts", self._count()))
                if self._courier is not None:
                    group.create_task(_said("webhook", self._courier.run()))
        finally:
            if self._hook is not None:
                await self._hook.close()

    async def _count(self) -> None:
        mark = -1
        while True:
            commits = self._runtime.counters.commits
            if commits != mark:
                try:
                    await self._runtime.read(self._counted)
                    mark = commits
                except (NotRunningError, BusyError):
                    mark = -1
            await asyncio.sleep(TALLY_S)

    def _counted(self, core: Gateway) -> None:
        alarms = core.alarms
        if alarms is not None:
            self._tally.open_now = alarms.by_label()
            self._tally.deliveries_waiting_now = alarms.waiting_count
            self._tally.deliveries_dropped = alarms.dropped


def make_lookout(
    config: Config,
    state: Path,
    runtime: Runtime,
    tally: AlarmTally,
    office: Office,
    witness: Witness,
    certificates: Path | None,
    clock: Clock,
    source: Callable[[int], bytes],
) -> Lookout | None:
    """As a configuration says; None: nobody wants to know.

    Raises:
        WebhookError: the webhook cannot be used as it is configured.
        KeyFileError: others may read its secret.
    """
    said = config.alarms
    if not said.enabled:
        return None
    patrol = Patrol(runtime, witness.verifier, said.audit_s)
    files = (Path(config.http.certificate),) if config.http.certificate else ()

    def stories() -> tuple[str, ...]:
        return (*(finding.story for finding in office.findings), *witness.stories)

    probes = Probes(runtime, state, files, certificates, patrol, stories, clock.wall_ms)
    if not said.webhook_url:
        return Lookout(runtime, tally, probes, said.probe_s)
    secret = read_secret(said.webhook_secret_file)
    hook = Webhook(said.webhook_url, secret, said.webhook_timeout_s, said.webhook_ca)
    courier = Courier(runtime, hook, said, clock.wall_ms, int.from_bytes(source(SEED_BYTES)))
    return Lookout(runtime, tally, probes, said.probe_s, courier, hook)


async def _said(name: str, work: Coroutine[Any, Any, None]) -> None:
    """Log what ends a part that should never end; the others go on."""
    try:
        await work
    except Exception:
        say(logging.CRITICAL, "a part of the alarms has ended", part=name)
        logging.getLogger("gateway.alarms").exception("%s", name)
