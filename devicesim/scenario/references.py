"""Names in a scenario that must exist somewhere else.

Decides that groups, regions, profiles, link classes, bundles, flags, actions and labels that are
referred to are there, that names are given once, and that no trigger waits for itself. Leaves out
the shape of single values (the models).

Rules: every complaint has the nearest name that does exist. Sets of known profiles and links come
in as values; None means that they are not known here and are not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import format_duration
from devicesim.scenario.checks import ALWAYS
from devicesim.scenario.errors import Path, Refusal, choices, nearest_word, show
from devicesim.scenario.experiments import misnamed
from devicesim.scenario.faults import BootLoop
from devicesim.scenario.pace import ZONE_LABEL
from devicesim.scenario.promises import Promise
from devicesim.scenario.recorded import TRACE
from devicesim.scenario.selector import Selector, Where, walk
from devicesim.scenario.zones import ZONES, WorldZones

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from devicesim.scenario.action import Action
    from devicesim.scenario.schema import Scenario
    from devicesim.scenario.trigger import Metric

Complaint = tuple[Path, Refusal]

BUILT_IN_LABELS: Final = ("id", "group", "profile", "link", "region")
REGISTRY_LABELS: Final = ("hardware", "power", "factory")
"""What the gateway's registry says of each device beside a scenario's labels."""
_KIND_OF: Final = {"bundle": "bundle", "production": "bundle", "group": "group"}
NOWHERE: Final = "everywhere"
"""The region of all devices when a scenario names none."""


def find_complaints(
    scenario: Scenario,
    *,
    profiles: Collection[str] | None = None,
    links: Collection[str] | None = None,
) -> list[Complaint]:
    """Collect everything that a scenario refers to and that is not there."""
    return [
        *_given_twice(scenario),
        *_fleet(scenario, profiles, links),
        *_releases(scenario),
        *_paces(scenario),
        *_selectors(scenario),
        *_triggers(scenario),
        *_circles(scenario),
        *_afters(scenario),
        *_liveness(scenario),
    ]


def _unknown(what: str, found: str, known: Collection[str], advice: str = "") -> Refusal:
    names = sorted(known)
    return Refusal(
        f"{what}: {choices(names)}",
        found=show(found),
        nearest=nearest_word(found, names),
        advice=advice,
    )


def _given_twice(scenario: Scenario) -> Iterator[Complaint]:
    named: list[tuple[str, str, list[str]]] = [
        ("fleet", "group", [group.group for group in scenario.fleet]),
        ("bundles", "version", [bundle.reference for bundle in scenario.bundles]),
        ("rollouts", "id", [rollout.id for rollout in scenario.rollouts]),
        ("experiments", "id", [one.id for one in scenario.experiments]),
        ("experiments", "group", [one.group for one in scenario.experiments]),
        ("timeline", "id", [action.id or "" for action in scenario.timeline]),
    ]
    for part, key, names in named:
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if not name:
                continue
            if name in first:
                refusal = Refusal(
                    f"a name of its own for each entry of {part}",
                    found=f"{name!r} again, as in {part}.{first[name]}",
                    advice="rename one of the two",
                )
                yield (part, index, key), refusal
            first.setdefault(name, index)


def _fleet(
    scenario: Scenario, profiles: Collection[str] | None, links: Collection[str] | None
) -> Iterator[Complaint]:
    references = [bundle.reference for bundle in scenario.bundles]
    where = "profiles and links are files below scenarios/profiles"
    for index, group in enumerate(scenario.fleet):
        at: Path = ("fleet", index)
        if profiles is not None and group.profile not in profiles:
            yield (*at, "profile"), _unknown("a profile", group.profile, profiles, where)
        if links is not None:
            for link in group.links:
                if link not in links and not link.startswith(TRACE):
                    mixed = len(group.links) > 1
                    refusal = _unknown("a link class", link, links, where)
                    refusal.key = mixed
                    yield (*at, "link", *(("mix", link) if mixed else ())), refusal
        if group.region is not None and group.region not in scenario.regions:
            yield (*at, "region"), _unknown("a region", group.region, scenario.regions)
        if group.bundle is not None and group.bundle not in references:
            yield (*at, "bundle"), _unknown("a bundle", group.bundle, references)
        for label in group.labels:
            if label in BUILT_IN_LABELS:
                refusal = Refusal(
                    f"a label of our own; {choices(BUILT_IN_LABELS)} are given",
                    found=show(label),
                    advice="choose another name",
                    key=True,
                )
                yield (*at, "labels", label), refusal


def _releases(scenario: Scenario) -> Iterator[Complaint]:
    references = [bundle.reference for bundle in scenario.bundles]
    for index, rollout in enumerate(scenario.rollouts):
        if rollout.bundle not in references:
            yield (
                ("rollouts", index, "bundle"),
                _unknown("a bundle", rollout.bundle, references, "list it under bundles"),
            )
    for index, key, name, known in misnamed(scenario):
        yield ("experiments", index, key), _unknown(f"a {_KIND_OF[key]}", name, known)
    flags = list(dict.fromkeys(name for step in scenario.flags for name in step.settings))
    for index, step in enumerate(scenario.flags):
        if step.kill is not None and step.kill not in flags:
            yield ("flags", index, "kill"), _unknown("a flag that is set", step.kill, flags)
    for index, bundle in enumerate(scenario.bundles):
        crashes = bundle.costs.crashes
        if crashes is not None and crashes.flag is not None and crashes.flag not in flags:
            refusal = _unknown("a flag that is set", crashes.flag, flags, "set it under flags")
            yield ("bundles", index, "costs", "crashes", "flag"), refusal
    for index, action in enumerate(scenario.timeline):
        bundle_name = action.bundle if isinstance(action, BootLoop) else None
        if bundle_name is not None and bundle_name not in references:
            yield ("timeline", index, "bundle"), _unknown("a bundle", bundle_name, references)


def _paces(scenario: Scenario) -> Iterator[Complaint]:
    """What rollouts say of budgets and approvals, and devices of their zones."""
    labels = [*_known_labels(scenario), *REGISTRY_LABELS]
    for index, rollout in enumerate(scenario.rollouts):
        for budget in rollout.budgets:
            if budget.label not in labels:
                refusal = _unknown("a label", budget.label, labels)
                refusal.key = True
                yield ("rollouts", index, "budgets", budget.label), refusal
        for number, approval in enumerate(rollout.approvals):
            if approval.wave >= len(rollout.waves):
                most = len(rollout.waves) - 1
                refusal = Refusal(f"a wave from 0 to {most}", found=show(approval.wave))
                yield ("rollouts", index, "approvals", number, "wave"), refusal
    for index, group in enumerate(scenario.fleet):
        for zone in group.labels.get(ZONE_LABEL, ()):
            if WorldZones().offset_s(zone, 0) is None:
                yield ("fleet", index, "labels", ZONE_LABEL), _unknown("a time zone", zone, ZONES)


def _known_labels(scenario: Scenario) -> dict[str, list[str]]:
    """List the values that each label can have; ``id`` is checked by its form."""
    known: dict[str, list[str]] = {
        "id": [],
        "group": [group.group for group in scenario.fleet],
        "profile": [group.profile for group in scenario.fleet],
        "link": [link for group in scenario.fleet for link in group.links],
        "region": list(scenario.regions) or [NOWHERE],
    }
    for group in scenario.fleet:
        for label, mix in group.labels.items():
            known.setdefault(label, []).extend(mix)
    return {label: list(dict.fromkeys(values)) for label, values in known.items()}


def _selectors(scenario: Scenario) -> Iterator[Complaint]:
    known = _known_labels(scenario)
    found: list[tuple[Path, Selector]] = [
        (("rollouts", index, "target"), rollout.target)
        for index, rollout in enumerate(scenario.rollouts)
    ]
    found += [
        (("flags", index, "set", name, "target"), setting.target)
        for index, step in enumerate(scenario.flags)
        for name, setting in step.settings.items()
    ]
    found += [
        (("timeline", index, "target"), action.target)
        for index, action in enumerate(scenario.timeline)
        if action.target is not None
    ]
    found += [
        (("checks", "verdicts", index, "who"), told.who)
        for index, told in enumerate(scenario.checks.verdicts)
    ]
    if scenario.checks.liveness is not None:
        found.append((("checks", "liveness", "core"), scenario.checks.liveness.core))
    for path, selector in found:
        for node in walk(selector.node):
            if isinstance(node, Where) and (refusal := _wrong_label(node, known)):
                refusal.offset = node.offset
                yield path, refusal


def _wrong_label(node: Where, known: dict[str, list[str]]) -> Refusal | None:
    if node.label not in known:
        return _unknown("a label", node.label, known)
    values = known[node.label]
    if node.label == "id":
        group, _, number = node.value.rpartition("-")
        if node.sign in ("=", "!=") and not (group in known["group"] and number.isdigit()):
            return Refusal(
                "a device id: group-number, such as " + known["group"][0] + "-0000",
                found=show(node.value),
                nearest=nearest_word(group, known["group"]),
            )
        return None
    exact = node.sign in ("=", "!=")
    hit = node.value in values if exact else any(node.value in value for value in values)
    if hit:
        return None
    if exact:
        return _unknown(f"a {node.label}", node.value, values)
    refusal = _unknown(f"a part of the name of a {node.label}", node.value, values)
    refusal.nearest = nearest_word(node.value, [w for value in values for w in value.split("-")])
    return refusal


def _triggers(scenario: Scenario) -> Iterator[Complaint]:
    known: dict[str, list[str]] = {
        "group": [group.group for group in scenario.fleet],
        "region": list(scenario.regions) or [NOWHERE],
        "rollout": [rollout.id for rollout in scenario.rollouts],
        "action": [action.id for action in scenario.timeline if action.id is not None],
    }
    for path, metric in _metrics(scenario):
        if metric.subject is None:
            continue
        kind, name = metric.subject
        if name not in known[kind]:
            advice = "give the action an `id`" if kind == "action" else ""
            refusal = _unknown(f"a {kind}", name, known[kind], advice)
            refusal.offset = metric.offset
            yield path, refusal


def _metrics(scenario: Scenario) -> Iterator[tuple[Path, Metric]]:
    """Every metric of a trigger or an expression, with its place."""
    for index, action in enumerate(scenario.timeline):
        for metric in action.when.metrics() if action.when else ():
            yield ("timeline", index, "when"), metric
    checks = scenario.checks
    parts: dict[str, Collection[object]] = {
        "always": checks.always, "sometimes": checks.sometimes, "eventually": checks.eventually,
        "finally": checks.at_end, "slo": checks.slo,
    }  # fmt: skip
    for part, items in parts.items():
        mine = sum(isinstance(item, Promise) for item in items)
        # `always` may stand beside the whole vocabulary, which is not in the file
        unwritten = len(ALWAYS) if part == "always" and len(items) == mine + len(ALWAYS) else 0
        for index, item in enumerate(items):
            if isinstance(item, Promise):
                for metric in item.expect.metrics():
                    yield ("checks", part, index - unwritten, "expect"), metric


def _waits_for(action: Action) -> list[str]:
    """List the ids of the actions that this one's trigger looks at."""
    metrics = action.when.metrics() if action.when else []
    return [m.subject[1] for m in metrics if m.subject is not None and m.subject[0] == "action"]


def _circles(scenario: Scenario) -> Iterator[Complaint]:
    """Find triggers that wait for each other: none of them would ever begin."""
    ids = {action.id: index for index, action in enumerate(scenario.timeline) if action.id}
    edges = {
        name: [other for other in _waits_for(scenario.timeline[index]) if other in ids]
        for name, index in ids.items()
    }
    reported: list[str] = []
    for start in edges:
        if start in reported:
            continue
        circle = _circle_from(start, edges)
        if circle:
            reported += circle
            refusal = Refusal(
                "a trigger that does not wait for itself",
                found=" waits for ".join([*circle, circle[0]]),
                advice="let one of them begin with `at`",
            )
            yield ("timeline", ids[start], "when"), refusal


def _circle_from(start: str, edges: dict[str, list[str]]) -> list[str]:
    """Find a way from `start` back to itself, shortest first."""
    ways = [[start]]
    seen: dict[str, None] = {}
    while ways:
        way = ways.pop(0)
        for target in edges[way[-1]]:
            if target == start:
                return way
            if target not in seen:
                seen[target] = None
                ways.append([*way, target])
    return []


def _afters(scenario: Scenario) -> Iterator[Complaint]:
    keys = [key for action in scenario.timeline for key in (action.verb, action.id) if key]
    afters = [("eventually", i, item.after) for i, item in enumerate(scenario.checks.eventually)]
    afters += [("verdicts", i, item.after) for i, item in enumerate(scenario.checks.verdicts)]
    for part, index, after in afters:
        if after is not None and after not in keys:
            refusal = _unknown("a verb or id on the timeline", after, set(keys))
            yield ("checks", part, index, "after"), refusal


def _liveness(scenario: Scenario) -> Iterator[Complaint]:
    """The core must have its time before the run is over."""
    liveness, lasts = scenario.checks.liveness, scenario.clock.duration_ns
    if liveness is not None and liveness.at_ns + liveness.within_ns > lasts:
        refusal = Refusal(
            f"an instant that leaves {format_duration(liveness.within_ns)} (within) of the "
            f"{format_duration(lasts)} that the run lasts",
            found=format_duration(liveness.at_ns),
            advice="begin earlier, or make clock.duration longer",
        )
        yield ("checks", "liveness", "at"), refusal
