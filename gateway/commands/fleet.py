"""Commands ``fleetdrill fleet list|show|enroll|drift|transfers``: devices, and what their data looks like.

Decides options and words. Leaves out how drift is judged (gateway/core/collect; docs/explanation says what a verdict means).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from gateway.commands.asking import Ask, Label, asks, changes, pairs
from gateway.commands.completing import cohort_names, device_ids
from gateway.commands.words import clock, curve, digest, facts, instant, pairs_of, percent, table

fleet_app = typer.Typer(no_args_is_help=True, help="Look at devices, and enrol them.")
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.", autocompletion=device_ids)]  # fmt: skip
COHORT_HEX: Final = 16
_MEANS: Final = {
    "none": "as ever",
    "data": "what the devices see has changed, and they compute as they should: look at the world, then at the model",
    "hardware": "this hardware computes otherwise on what it sees: look at the release's variant, hold its rollout",
    "both": "what the devices see has changed, and a probe fails on them, too",
    "sensor": "single devices see something else than their cohort: look at their sensors",
}


@fleet_app.command("list")
@asks
def devices(
    ask: Ask,
    *,
    label: Label = None,
    online: Annotated[
        bool | None, typer.Option("--online/--offline", help="Only those.", show_default=False)
    ] = None,
    doing: Annotated[str, typer.Option(help="Only those that say so, such as downloading.")] = "",
    version: Annotated[str, typer.Option(help="Only those that run it: id@version.")] = "",
    after: Annotated[str, typer.Option(help="Go on where the last page said.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
) -> None:
    """List devices."""
    from gateway.runtime import verbs

    verb = verbs.ListDevices(
        limit=limit, labels=pairs(label), online=online, state=doing, version=version
    )
    page = ask.way.page(verb, after)
    names = {} if ask.as_json or not page.found["devices"] else _bundles(ask)
    ask.tell({**page.found, "next": page.next or None}, lambda found: _devices(found, names))


def _devices(found: dict[str, Any], names: dict[str, str]) -> str:
    rows = [
        (
            view["id"],
            "online" if view["online"] else "offline",
            view["state"],
            names.get(view["running"][:COHORT_HEX]) or digest(view["running"]),
            view["outcome"] or "-",
            pairs_of(view["labels"]),
        )
        for view in found["devices"]
    ]
    lines = [table(("device", "", "state", "running", "outcome", "labels"), rows, "no devices")]
    if found["next"]:
        lines.append(f"more: --after {found['next']}")
    return "\n".join(lines)


@fleet_app.command("show")
@asks
def device(
    ask: Ask,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[DEVICE]", help="One device.", autocompletion=device_ids),
    ] = None,
) -> None:
    """Show one device, or the fleet at a glance."""
    from gateway.runtime import verbs

    if name is None:
        ask.tell(ask.way.ask(verbs.Overview()), lambda found: facts(found["fleet"]))
        return
    found = ask.way.ask(verbs.ShowDevice(device=name))
    names = {} if ask.as_json else _bundles(ask)
    ask.tell(found, lambda found: facts({**found, **_releases(found, names)}))


def _releases(view: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    """What a device runs and should run, with names where the gateway knows them."""
    found = {}
    for what in ("wanted", "running"):
        known = names.get(view[what][:COHORT_HEX])
        found[what] = f"{known} ({view[what]})" if known else view[what]
    return found


@fleet_app.command("enroll")
@changes
def enroll(
    ask: Ask,
    name: Device,
    *,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; repeatable.")
    ] = None,
) -> None:
    """Take a device into the registry, or change its labels."""
    ask.change({"verb": "device.enroll", "device": name, "labels": pairs(label)})


@fleet_app.command("transfers")
@asks
def transfers(ask: Ask) -> None:
    """Show how many devices are being served, and how much was sent."""
    ask.tell(ask.do({"verb": "transfer.show"}), facts)


# -- drift -----------------------------------------------------------------------------------------


@fleet_app.command("drift")
@asks
def drift(
    ask: Ask,
    cohort: Annotated[
        str | None,
        typer.Argument(
            metavar="[COHORT]", help="One cohort, feature by feature.", autocompletion=cohort_names
        ),
    ] = None,
    *,
    feature: Annotated[str, typer.Option(help="The scores of one of its features, by time.")] = "",
    alarms: Annotated[
        bool, typer.Option("--alarms", help="Only cohorts with a verdict or an alarm.")
    ] = False,
) -> None:
    """Show whether devices still see and answer what they did: a verdict for each cohort.

    A cohort is what has bundle, hardware and region in common. Its data is compared with that of the release's first
    days: PSI says how much it has changed (from 0.2 on: much), p how likely chance alone does that.
    """
    if feature and cohort is None:
        raise ValueError("expected a cohort with --feature: `fleetdrill fleet drift` names them")
    if cohort is not None and feature:
        said = {"verb": "drift.scores", "cohort": cohort, "feature": feature}
        ask.tell(ask.do(said), _scores)
        return
    found = _cohorts(ask)
    if cohort is not None:
        ask.tell(_one(found["cohorts"], cohort), _cohort)
        return
    if alarms:
        found["cohorts"] = [
            one for one in found["cohorts"] if one["verdict"] != "none" or one["alarms"]
        ]
    names = {} if ask.as_json else _bundles(ask)
    ask.tell(found, lambda found: _verdicts(found, names))


def _bundles(ask: Ask) -> dict[str, str]:
    """Names of bundles by the beginning of their digests, which is all that cohorts have."""
    from gateway.client.way import each_page
    from gateway.runtime import verbs

    pages = each_page(ask.way, verbs.ListBundles())
    return {one["digest"][:COHORT_HEX]: one["name"] for page in pages for one in page["bundles"]}


def _cohorts(ask: Ask) -> dict[str, Any]:
    from gateway.client.way import each_page
    from gateway.runtime import verbs

    first: dict[str, Any] = {}
    cohorts: list[dict[str, Any]] = []
    for page in each_page(ask.way, verbs.ShowDrift()):
        first = first or page
        cohorts += page["cohorts"]
    return {**first, "cohorts": cohorts, "next": None}


def _one(cohorts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    from difflib import get_close_matches

    from gateway.runtime.verbs import VerbError

    for one in cohorts:
        if one["name"] == name:
            return one
    near = get_close_matches(name, [one["name"] for one in cohorts], n=1)
    hint = f"did you mean {near[0]}?" if near else "`fleetdrill fleet drift` names them"
    raise VerbError("unknown", f"expected a cohort, found {name!r}: {hint}")


def _verdicts(found: dict[str, Any], names: dict[str, str]) -> str:
    """All cohorts, and what their verdicts mean."""
    rows = [
        (
            one["name"],
            one["verdict"],
            _worst(one),
            " ".join(one["alarms"]) or "-",
            one["probe"],
            one["devices"],
            one["frames"],
            names.get(one["bundle"][:COHORT_HEX], "-"),
        )
        for one in found["cohorts"]
    ]
    head = ("cohort", "verdict", "most changed", "alarms", "probe", "devices", "frames", "bundle")
    nothing = "no cohort has spoken yet: devices tell what they see window by window"
    lines = [table(head, rows, nothing)]
    told = sorted({one["verdict"] for one in found["cohorts"]} - {"none"})
    lines += [f"{verdict}: {_MEANS.get(verdict, verdict)}" for verdict in told]
    if found.get("closed_ms"):
        lines.append(f"newest window closed {instant(found['closed_ms'])}")
    return "\n".join(lines)


def _worst(cohort: dict[str, Any]) -> str:
    """The feature that has changed most."""
    scores = cohort["scores"]
    if not scores:
        return "-"
    worst = max(scores, key=lambda score: score["psi"])
    return f"{worst['feature']} {worst['psi']:.2f}"


def _cohort(one: dict[str, Any]) -> str:
    """One cohort, feature by feature."""
    shown = {
        "cohort": one["name"],
        "verdict": f"{one['verdict']}: {_MEANS.get(one['verdict'], '')}".rstrip(": "),
        "hardware": one["hardware"],
        "region": one["region"],
        "bundle": digest(one["bundle"]),
        "probe": one["probe"],
        "devices": one["devices"],
        "frames": one["frames"],
    }
    if one["sensors"]:
        shown["sensors"] = [f"{device} {feature}" for device, feature in one["sensors"]]
    rows = [
        (
            score["feature"],
            f"{score['psi']:.3f}",
            f"{score['p']:.3g}",
            f"since {instant(one['alarms'][score['feature']])}"
            if score["feature"] in one["alarms"]
            else "-",
        )
        for score in one["scores"]
    ]
    return (
        f"{facts(shown)}\n\n{table(('feature', 'PSI', 'p', 'alarm'), rows, 'no window has closed')}"
    )


def _scores(found: list[dict[str, Any]]) -> str:
    """Scores by time, and their curve."""
    rows = [
        (
            clock(score["closed_ms"]),
            f"{score['psi']:.3f}",
            f"{score['p']:.3g}",
            "alarm" if score["alarm"] else "-",
            score["verdict"],
        )
        for score in found
    ]
    shown = table(("closed", "PSI", "p", "", "verdict"), rows, "no window has closed")
    line = curve([score["psi"] for score in found], 0.2)
    raised = sum(score["alarm"] for score in found)
    share = percent(raised / len(found)) if found else percent(0)
    return f"{shown}\n{line}  alarm in {share} of windows" if line else shown
