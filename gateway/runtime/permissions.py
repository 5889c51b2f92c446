"""What each verb needs, whom it concerns, and which verbs reach devices outside a scope.

Decides one table. Leaves out roles (gateway/core/access/roles.py) and asking (office.py).

Rules: every verb stands here, or it cannot be done by anybody; a token with a scope never does what reaches
the whole fleet.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.core.access.roles import Permission
from gateway.core.access.tokens import Asker
from gateway.runtime import verbs

NEEDS: Final[dict[type[verbs.Verb], Permission]] = {
    verbs.Overview: Permission.READ,
    verbs.ListDevices: Permission.READ,
    verbs.ShowDevice: Permission.READ,
    verbs.EnrollDevice: Permission.ENROLL,
    verbs.PublishBundle: Permission.PUBLISH,
    verbs.ListReleases: Permission.READ,
    verbs.RegisterRole: Permission.TRUST,
    verbs.CreateRollout: Permission.ROLL_OUT,
    verbs.SteerRollout: Permission.STEER,
    verbs.ListRollouts: Permission.READ,
    verbs.PreviewRollout: Permission.READ,
    verbs.ApproveRollout: Permission.APPROVE,
    verbs.DenyRollout: Permission.APPROVE,
    verbs.SetFlag: Permission.FLAG,
    verbs.Kill: Permission.KILL,
    verbs.CreateExperiment: Permission.ROLL_OUT,
    verbs.SteerExperiment: Permission.STEER,
    verbs.ListExperiments: Permission.READ,
    verbs.GrantDebug: Permission.DEBUG,
    verbs.RevokeDebug: Permission.DEBUG,
    verbs.ListDebug: Permission.READ,
    verbs.ShowDebug: Permission.DEBUG,
}
_SUBJECTS: Final = ("rollout", "experiment", "device", "feature", "flag", "id", "bundle", "digest")


def tag_of(verb: verbs.Verb | type[verbs.Verb]) -> str:
    """The verb's name on the wire, such as ``rollout.create``."""
    return str(verb.__struct_config__.tag)


def subject_of(verb: verbs.Verb) -> str:
    """Whom a verb concerns."""
    for name in _SUBJECTS:
        found = getattr(verb, name, "")
        if found:
            return str(found)
    return ""


def arguments_of(verb: verbs.Verb) -> bytes:
    """What was asked, as canonical JSON."""
    return msgspec.json.encode(verb, order="deterministic")


def in_scope(asker: Asker, verb: verbs.Verb) -> bool:
    """Whether a scoped token may do this verb: it must name its own labels, or only look."""
    scope = dict(asker.labels)
    if not scope:
        return True
    named: dict[str, Any] | None = None
    match verb:
        case verbs.EnrollDevice():
            named = verb.labels
        case verbs.CreateRollout() | verbs.CreateExperiment():
            named = verb.selector
        case _:
            return False
    return all(named.get(key) == value for key, value in scope.items())
