"""Who one is, as the gateway sees it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Depends, Response

from gateway.api.answers import plain, shape
from gateway.api.desk import asker
from gateway.api.router import versioned
from gateway.core.access.roles import GRANTS
from gateway.core.access.tokens import Asker

router = versioned("/whoami", "access")


class Me(msgspec.Struct, frozen=True):
    """A token's name, role and scope, and what it may."""

    name: str
    role: str
    labels: dict[str, str]
    permissions: list[str]


@router.get("", **shape(Me))
async def whoami(asker: Annotated[Asker, Depends(asker)]) -> Response:
    """Name, role, scope and permissions of the token that asks."""
    may = sorted(permission.value for permission in GRANTS[asker.role])
    return plain(Me(asker.name, asker.role.value, dict(asker.labels), may))
