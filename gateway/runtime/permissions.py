"""What each verb needs, whom it concerns, and which verbs reach devices outside a scope.

Decides one table. Leaves out roles (gateway/core/access/roles.py) and asking (office.py).

Rules: every verb stands here, or it cannot be done by anybody; a token with a scope never does what reaches
beyond it, and is not told of devices outside of it: a question that is not named here as harmless is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final, get_args

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
    verbs.ListBundles: Permission.READ,
    verbs.ShowBundle: Permission.READ,
    verbs.ListSegments: Permission.READ,
    verbs.ShowSegment: Permission.READ,
    verbs.ListKills: Permission.READ,
    verbs.ShowDrift: Permission.READ,
    verbs.ListScores: Permission.READ,
    verbs.ShowHistogram: Permission.READ,
    verbs.ShowTransfers: Permission.READ,
    verbs.PageRollouts: Permission.READ,
    verbs.ShowRollout: Permission.READ,
    verbs.ListAlarms: Permission.READ,
    verbs.ShowAlarm: Permission.READ,
    verbs.AcknowledgeAlarm: Permission.ALARM,
    verbs.SilenceAlarm: Permission.ALARM,
    verbs.RehearsePlan: Permission.ROLL_OUT,
    verbs.RehearseRollout: Permission.ROLL_OUT,
    verbs.CancelRehearsal: Permission.ROLL_OUT,
    verbs.ListRehearsals: Permission.READ,
    verbs.ShowRehearsal: Permission.READ,
    verbs.ShowShape: Permission.READ,
    verbs.MakeToken: Permission.TOKENS,
    verbs.RevokeToken: Permission.TOKENS,
    verbs.ListTokens: Permission.TOKENS,
    verbs.ListApprovals: Permission.READ,
    verbs.Decide: Permission.APPROVE,
    verbs.ReadLog: Permission.AUDIT,
}
IN_SUM: Final[frozenset[type[verbs.Verb]]] = frozenset(
    {
        verbs.Overview,
        verbs.ListReleases,
        verbs.ListRollouts,
        verbs.ListExperiments,
        verbs.ListBundles,
        verbs.ShowBundle,
        verbs.PageRollouts,
        verbs.ShowRollout,
        verbs.ListSegments,
        verbs.ShowSegment,
        verbs.ListKills,
        verbs.ListRehearsals,
        verbs.ShowRehearsal,
        verbs.ShowShape,
    }
)
"""Questions that tell of the fleet in sum and of no single device: a scoped token may ask them."""
_SUBJECTS: Final = (
    "rollout",
    "experiment",
    "device",
    "feature",
    "flag",
    "id",
    "bundle",
    "digest",
    "alarm",
)


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


def in_name_of(asker: Asker, verb: verbs.Mutation) -> verbs.Mutation:
    """The same verb, with who asks where it names them: nobody speaks for somebody else."""
    if isinstance(verb, verbs.AcknowledgeAlarm | verbs.SilenceAlarm):
        return msgspec.structs.replace(verb, by=asker.name)
    return verb


def arguments_of(verb: verbs.Verb) -> bytes:
    """What was asked, as canonical JSON."""
    return msgspec.json.encode(verb, order="deterministic")


def second_person(names: Iterable[str]) -> frozenset[str]:
    """The verbs that somebody else must approve, checked: a name that is none would protect nothing.

    Raises:
        ValueError: a name is not a mutation's.
    """
    known = sorted(tag_of(kind) for kind in get_args(verbs.Mutation))
    wanted = frozenset(names)
    for name in sorted(wanted.difference(known)):
        near = get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"expected verbs in second_person of [security], found {name!r}: {hint}")
    return wanted


def in_scope(asker: Asker, verb: verbs.Verb) -> bool:
    """Whether a token may do this mutation: one with a scope must name its own labels."""
    if not asker.labels:
        return True
    match verb:
        case verbs.EnrollDevice():
            return covers_labels(asker, verb.labels)
        case verbs.CreateRollout() | verbs.CreateExperiment():
            return covers_labels(asker, verb.selector)
        case verbs.RehearsePlan():
            return covers_labels(asker, verb.plan.selector)
        case _:
            return False


def covers_labels(asker: Asker, labels: Mapping[str, str]) -> bool:
    """Whether something with these labels is in a token's scope."""
    return all(labels.get(key) == value for key, value in asker.labels)
