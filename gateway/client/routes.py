"""Which request a verb is, and which value its answer holds.

Decides method, path, query and body of every verb in the HTTP API, and how its answer becomes what the door says
to the same verb. Leaves out sending (http.py).

Rules: every verb stands here (a test compares with `AnyVerb`, and with the API's own document); a name is one
part of a path, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from gateway.core import names
from gateway.runtime import verbs
from gateway.runtime.verbs import AnyVerb, Verb

PREFIX: Final = "/v1"
LIMIT_MAX: Final = verbs.PAGE_DEVICES_MAX

Fields = dict[str, Any]


class Route(msgspec.Struct, frozen=True):
    """How a verb is asked for.

    Rule: words in braces in `path` are the verb's fields, or those of `named`.
    """

    method: str
    path: str
    body: tuple[str, ...] | None = None
    """Fields that are sent; None: no body."""
    listed: str = ""
    """A page of a list, under this name."""
    more: Callable[[Any], Fields] | None = None
    """What is sent beside its fields."""
    named: Callable[[Any], Fields] | None = None
    """Names in the path that are no fields."""
    query: Callable[[Any], list[tuple[str, str]]] | None = None
    take: Callable[[Any], Any] | None = None
    """From what the API answers (of a list: each of its items) to what the door does."""
    keyed: bool = True
    """Whether an idempotency key is heeded; what is not keyed is asked again only where it was surely not done."""


class Request(msgspec.Struct, frozen=True):
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    keyed: bool = False
    """May be asked again: it is a question, or has a key."""


def _devices(verb: verbs.ListDevices) -> list[tuple[str, str]]:
    words = [("label", f"{name}:{value}") for name, value in verb.labels.items()]
    if verb.online is not None:
        words.append(("online", str(verb.online).lower()))
    said = (("state", verb.state), ("version", verb.version), ("prefix", verb.prefix))
    return [*words, *((name, word) for name, word in said if word)]


def _newest(verb: verbs.PageRollouts) -> list[tuple[str, str]]:
    return [("order", "newest" if verb.newest else "oldest")]


def _scores(verb: verbs.ListScores | verbs.ShowHistogram) -> list[tuple[str, str]]:
    return [("cohort", verb.cohort), ("feature", verb.feature)]


def _alarms(verb: verbs.ListAlarms) -> list[tuple[str, str]]:
    order = ("order", "newest" if verb.newest else "oldest")
    said = (("state", verb.state), ("kind", verb.kind), ("severity", verb.severity))
    return [order, *((name, word) for name, word in said if word)]


def _how(verb: verbs.Decide) -> Fields:
    return {"how": "approve" if verb.approve else "deny"}


def _life(verb: verbs.MakeToken) -> Fields:
    return {"life": verb.lasts}


def _rehearsed(verb: verbs.ListRehearsals) -> list[tuple[str, str]]:
    return [("rollout", verb.rollout)] * bool(verb.rollout)


def _planned(verb: verbs.PreviewRollout | verbs.RehearsePlan) -> Fields:
    return _fields(verb.plan, _PLAN)


def _request(found: Fields) -> Fields:
    """A request for approval: the API calls the verb that waits `asked`."""
    return {**{name: value for name, value in found.items() if name != "asked"}, "verb": found["asked"]}  # fmt: skip


_PLAN: Final = tuple(field.name for field in msgspec.structs.fields(verbs.CreateRollout))
_EXPERIMENT: Final = tuple(field.name for field in msgspec.structs.fields(verbs.CreateExperiment))
_GET: Final = "GET"
ROUTES: Final[dict[type[Verb], Route]] = {
    verbs.Overview: Route(_GET, "/fleet"),
    verbs.ListDevices: Route(_GET, "/devices", listed="devices", query=_devices),
    verbs.ShowDevice: Route(_GET, "/devices/{device}"),
    verbs.EnrollDevice: Route("PUT", "/devices/{device}/labels", ("labels",)),
    verbs.PublishBundle: Route("POST", "/bundles", ("digest", "deltas")),
    verbs.ListReleases: Route(_GET, "/releases/{bundle}", listed="releases"),
    verbs.RegisterRole: Route("POST", "/trust", ("digest",)),
    verbs.CreateRollout: Route("POST", "/rollouts", _PLAN),
    verbs.PreviewRollout: Route(
        "POST", "/rollouts/preview", ("at", "after", "limit"), more=_planned
    ),
    verbs.SteerRollout: Route("POST", "/rollouts/{rollout}/{how}"),
    verbs.ApproveRollout: Route("POST", "/rollouts/{rollout}/approve", ("wave", "why")),
    verbs.DenyRollout: Route("POST", "/rollouts/{rollout}/deny", ("wave", "why")),
    verbs.ListRollouts: Route(_GET, "/rollouts", listed="rollouts"),
    verbs.PageRollouts: Route(_GET, "/rollouts", listed="rollouts", query=_newest),
    verbs.ShowRollout: Route(_GET, "/rollouts/{rollout}"),
    verbs.CreateExperiment: Route("POST", "/experiments", _EXPERIMENT),
    verbs.SteerExperiment: Route("POST", "/experiments/{experiment}/{how}"),
    verbs.ListExperiments: Route(_GET, "/experiments", listed="experiments"),
    verbs.SetFlag: Route("PUT", "/flags/{segment}/{flag}", ("definition",)),
    verbs.ListSegments: Route(_GET, "/flags", listed="segments"),
    verbs.ShowSegment: Route(_GET, "/flags/{segment}"),
    verbs.Kill: Route("PUT", "/kills/{feature}"),
    verbs.ListKills: Route(_GET, "/kills"),
    verbs.GrantDebug: Route("POST", "/debug-grants", ("device", "lasts", "why")),
    verbs.RevokeDebug: Route("POST", "/debug-grants/{device}/revoke", ("why",)),
    verbs.ListDebug: Route(_GET, "/debug-grants", listed="grants"),
    verbs.ShowDebug: Route(_GET, "/debug-grants/{device}/told", listed="windows"),
    verbs.ListBundles: Route(_GET, "/bundles", listed="bundles"),
    verbs.ShowBundle: Route(_GET, "/bundles/{bundle}"),
    verbs.ShowDrift: Route(_GET, "/drift", listed="cohorts"),
    verbs.ListScores: Route(_GET, "/drift/series", listed="scores", query=_scores),
    verbs.ShowHistogram: Route(_GET, "/drift/histogram", query=_scores),
    verbs.ShowTransfers: Route(_GET, "/transfers"),
    verbs.MakeToken: Route("POST", "/tokens", ("name", "role", "labels"), more=_life, keyed=False),
    verbs.RevokeToken: Route("DELETE", "/tokens/{name}"),
    verbs.ListTokens: Route(_GET, "/tokens", listed="tokens"),
    verbs.ListApprovals: Route(_GET, "/approvals", listed="approvals", take=_request),
    verbs.Decide: Route("POST", "/approvals/{number}/{how}", ("why",), named=_how, keyed=False),
    verbs.ReadLog: Route(_GET, "/audit", listed="entries"),
    verbs.RehearsePlan: Route("POST", "/rehearsals", ("seeds",), more=_planned),
    verbs.RehearseRollout: Route("POST", "/rollouts/{rollout}/rehearse", ("seeds",)),
    verbs.CancelRehearsal: Route("POST", "/rehearsals/{number}/cancel", ("why",)),
    verbs.ListRehearsals: Route(_GET, "/rehearsals", query=_rehearsed),
    verbs.ShowRehearsal: Route(_GET, "/rehearsals/{number}"),
    verbs.ShowShape: Route(_GET, "/rehearsals/shape"),
    verbs.ListAlarms: Route(_GET, "/alarms", listed="alarms", query=_alarms),
    verbs.ShowAlarm: Route(_GET, "/alarms/{alarm}"),
    verbs.AcknowledgeAlarm: Route("POST", "/alarms/{alarm}/acknowledge", ("why",)),
    verbs.SilenceAlarm: Route("POST", "/alarms/{alarm}/silence", ("lasts", "why")),
}
REVIVE: Final = Route("DELETE", "/kills/{feature}")
REVIVE_NAMED: Final = Route("DELETE", "/kills", query=lambda verb: [("feature", verb.feature)])
"""Of what was killed before such names were refused."""


def route_of(verb: AnyVerb) -> Route:
    """The route of a verb.

    Raises:
        ValueError: it can be asked for in a state folder only.
    """
    if isinstance(verb, verbs.Kill) and verb.alive:
        return REVIVE_NAMED if names.refusal(verb.feature) else REVIVE
    found = ROUTES.get(type(verb))
    if found is None:
        raise ValueError(
            f"expected something that can be asked for over HTTP, found {type(verb).__name__}: ask with "
            "--state, where the gateway runs"
        )
    return found


def request_of(verb: AnyVerb, cursor: str = "") -> Request:
    """The request that a verb is.

    Args:
        verb: what is asked.
        cursor: of a list, where its page begins.

    Raises:
        ValueError: a name cannot be part of a path.
    """
    route = route_of(verb)
    more = {} if route.more is None else route.more(verb)
    named = {} if route.named is None else route.named(verb)
    path = _path(route.path, {**msgspec.structs.asdict(verb), **named})
    query = [] if route.query is None else route.query(verb)
    if route.listed:
        query.append(("limit", str(getattr(verb, "limit", LIMIT_MAX))))
        query += [("cursor", cursor)] * bool(cursor)
    body = None if route.body is None else {**_fields(verb, route.body), **more}
    keyed = route.keyed or route.method == _GET
    return Request(route.method, PREFIX + path, tuple(query), body, keyed)


def _path(template: str, fields: Mapping[str, Any]) -> str:
    return "/".join(
        _part(str(fields[word[1:-1]])) if word.startswith("{") else word
        for word in template.split("/")
    )


def _part(word: str) -> str:
    if names.refusal(word):
        raise ValueError(
            f"expected a name that can be a part of an address, found {word!r}: where the gateway runs, "
            "--state asks by any name"
        )
    return quote(word, safe="")


def _fields(verb: Verb, names: tuple[str, ...]) -> Fields:
    """Fields of a verb as the API names them: a policy's by their full names."""
    found = {}
    for name in names:
        value = getattr(verb, name)
        plain = name == "policy"
        found[name] = msgspec.structs.asdict(value) if plain else msgspec.to_builtins(value)
    return found
