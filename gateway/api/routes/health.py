"""Whether the process lives, and whether it is ready to be asked; for orchestrators, without a token.

Decides what ready means: rows restored and both connections to the broker subscribed. Leaves out how well it does
(`/metrics`).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response
from pydantic import BaseModel, Field

from gateway.api.desk import Service, service
from gateway.api.router import plain

router = plain("health")


class Health(BaseModel):
    """Alive, ready, and if not why."""

    ok: bool
    why: str = Field(default="", description="What is missing.")


@router.get("/livez")
async def livez() -> Health:
    """Whether the process answers at all."""
    return Health(ok=True)


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(response: Response, service: Annotated[Service, Depends(service)]) -> Health:
    """Whether it is running and connected."""
    runtime = service.runtime
    if runtime.connected:
        return Health(ok=True)
    response.status_code = 503
    return Health(ok=False, why="no broker" if runtime.running else "not started")
