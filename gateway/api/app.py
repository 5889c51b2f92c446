"""The app: routes under /v1, health and metrics beside them.

Decides what is mounted where. Leaves out the routes, what is around every request (guard.py), the document
(document.py), and listening (server.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from gateway.adapters.alarm_metrics import AlarmsCollector
from gateway.adapters.metrics import CountersCollector
from gateway.adapters.trace_metrics import TracesCollector
from gateway.api import problems
from gateway.api.desk import Entrance, Service
from gateway.api.document import document
from gateway.api.events import Beacon
from gateway.api.gate import Gate
from gateway.api.guard import Guard
from gateway.api.meter import Meter
from gateway.api.router import VERSION, take
from gateway.api.routes import (
    access,
    alarms,
    audit,
    blobs,
    bundles,
    debug,
    devices,
    experiments,
    flags,
    fleet,
    health,
    history,
    kills,
    live,
    me,
    rehearsals,
    rollouts,
    unpack,
)
from gateway.console import mount as mount_console

ROUTERS: Final[tuple[APIRouter, ...]] = (
    me.router,
    fleet.router,
    live.router,
    devices.router,
    history.router,
    blobs.router,
    unpack.router,
    bundles.router,
    rehearsals.router,  # before rollouts: a rollout's verbs take any word
    rollouts.router,
    experiments.router,
    flags.router,
    kills.router,
    debug.router,
    alarms.router,
    audit.router,
    access.router,
)


def make_app(service: Service) -> FastAPI:
    """The app of one gateway."""
    app = FastAPI(
        title="fleetdrill gateway",
        version=VERSION,
        summary="Models and flags for a fleet: ask for what should be, see what is.",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"/{VERSION}/openapi.json",
        redirect_slashes=False,
    )
    said = service.http
    beacon = Beacon(
        service.runtime, said.events_clients_max, said.events_look_s, lambda: service.office.waiting
    )
    meter = Meter(lambda: beacon.listeners)
    registry = CollectorRegistry()
    registry.register(CountersCollector(service.runtime.counters))
    registry.register(meter)
    registry.register(AlarmsCollector(service.alarms))
    if service.tracing.on:
        registry.register(TracesCollector(service.tracing.tally))
    entrance = Entrance(service)
    app.state.service, app.state.entrance = service, entrance
    app.state.beacon, app.state.registry = beacon, registry
    problems.install(app)
    gate = Gate((*said.hosts, said.host, *service.names))
    app.add_middleware(Guard, said=said, gate=gate, strangers=entrance.failures, count=meter.count)
    take(app, (health.router, live.metrics_router, *ROUTERS))
    app.openapi = _document_of(app)  # type: ignore[method-assign]
    mount_console(app)
    return app


def close_streams(app: FastAPI) -> None:
    """End every stream of an app, so that it can be stopped."""
    beacon: Beacon = app.state.beacon
    beacon.close()


def _document_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    return lambda: document(app)
