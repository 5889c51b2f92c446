"""Roles and what each may do: one table, looked at for every request.

Decides the permissions and who has them. Leaves out who somebody is (tokens.py).

Rules: a role has exactly what stands here; whoever may change something may look at it; only `security`
and `admin` hand out tokens, and nobody hands out more than they have.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """One kind of doing."""

    READ = "read"
    """Look at the fleet, rollouts, flags, drift and alarms."""
    ENROLL = "enroll"
    """Take devices in, label them."""
    PUBLISH = "publish"
    """Upload and register bundles that were signed offline."""
    ROLL_OUT = "roll-out"
    """Create rollouts and experiments."""
    STEER = "steer"
    """Pause, resume, abort, retry; promote and stop experiments."""
    FLAG = "flag"
    """Set flags and policies."""
    KILL = "kill"
    """Kill a feature, or revive it."""
    ALARM = "alarm"
    """Acknowledge and silence alarms."""
    APPROVE = "approve"
    """Approve or deny what somebody else asked for."""
    DEBUG = "debug"
    """Grant and revoke debug mode."""
    TRUST = "trust"
    """Bring role metadata into force."""
    AUDIT = "audit"
    """Read the audit log."""
    TOKENS = "tokens"
    """Make and revoke tokens."""


class Role(StrEnum):
    """One of five."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    RELEASER = "releaser"
    SECURITY = "security"
    ADMIN = "admin"


_P = Permission
_OPERATES: Final = frozenset({_P.READ, _P.ENROLL, _P.STEER, _P.KILL, _P.ALARM})
GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.VIEWER: frozenset({_P.READ}),
    Role.OPERATOR: _OPERATES,
    Role.RELEASER: _OPERATES | {_P.PUBLISH, _P.ROLL_OUT, _P.FLAG, _P.APPROVE},
    Role.SECURITY: frozenset(
        {_P.READ, _P.KILL, _P.ALARM, _P.APPROVE, _P.DEBUG, _P.TRUST, _P.AUDIT, _P.TOKENS}
    ),
    Role.ADMIN: frozenset(Permission),
}
"""Everything that is allowed."""


def allowed(role: Role, permission: Permission) -> bool:
    """Whether a role may do this."""
    return permission in GRANTS[role]


def covers(giver: Role, given: Role) -> bool:
    """Whether somebody of one role may make a token of another: never one that may do more."""
    return GRANTS[given] <= GRANTS[giver]
