"""A live registry's shape and a plan become a scenario.

Decides what the virtual fleet is made of, what is assumed where the registry does not say, which hardships it meets, and
what must hold. Leaves out bundles (bundles.py), running it (work.py) and the verdict (verdict.py).

Rules: what was assumed is told, one line each, and nothing is assumed in silence; the plan is not translated: the virtual
gateway is given the very plan that the real one was, with two changes that are told where they are made
(`virtual_plan`): whom it is for and by which names its budgets go; the scenario is a file like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import yaml

from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND
from devicesim.models.link_class import LinkBook
from devicesim.models.profile import Profile
from gateway.core.control.shape import Shape, ShapeGroup
from gateway.core.pace import Budget
from gateway.core.rehearsals.job import ASSUMPTIONS_MAX, Job, cut
from gateway.core.stimuli import RolloutPlan
from gateway.core.zones import fixed_offset_s

NAME: Final = "rehearsal"
ROLLOUT: Final = "plan"
PROFILE: Final = "rpi4-kiosk"
MEANT: Final = "in-the-plan"
"""Label of the devices that the plan is for."""
ASLEEP_H: Final = 2
"""Who is offline now comes back when this long has passed, one by one over half as long."""
SETTLED: Final = 15 * MINUTE
"""Between the fleet's first boot and the rollout."""
_BUILT_IN: Final = (
    "id",
    "group",
    "profile",
    "link",
    "region",
    "hardware",
    "power",
    "factory",
    "tz",
)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


class Composed(msgspec.Struct, frozen=True):
    """A scenario, and what was assumed for it."""

    text: str
    plan: RolloutPlan
    devices: int
    assumptions: tuple[str, ...]


class Composer:
    """Makes the scenario of one job.

    Args:
        job: what is asked.
        factory: bundle of the virtual fleet by what devices run now.
        candidate: the bundle that is rolled out.
        profiles: kinds of devices by name.
        links: classes of links.
    """

    def __init__(
        self,
        job: Job,
        factory: Mapping[str, str],
        candidate: str,
        profiles: Mapping[str, Profile],
        links: LinkBook,
    ) -> None:
        self._job, self._factory, self._candidate = job, factory, candidate
        self._profiles, self._links = profiles, links
        self._told: dict[str, None] = {}

    def compose(self, bundles: Mapping[str, str]) -> Composed:
        """The scenario.

        Args:
            bundles: directory by ``id@semver``.
        """
        job = self._job
        scale = self._scale(job.shape)
        groups = [self._group(number, one, scale) for number, one in enumerate(job.shape.groups)]
        plan = virtual_plan(job)
        start = start_of(job)
        document: dict[str, Any] = {
            "scenario": NAME,
            "title": cut(f"Rehearsal {job.number}: {job.plan.id}, {job.plan.bundle}")[:120],
            "seed": job.seeds[0],
            "clock": {"start": _spelled(start), "duration": f"{job.hours_max}h"},
            **self._regions(job.shape),
            "fleet": groups,
            "telemetry": {"window": "5m", "frames": 4},
            "bundles": [_bundle(name, path) for name, path in bundles.items()],
            "rollouts": [self._rollout(plan)],
            "timeline": self._timeline(job.shape),
            "checks": {
                "finally": [
                    {"halted": "== 0"},
                    {"open_rollouts": "== 0"},
                    {"bricked": "== 0"},
                    {"stuck": "== 0"},
                    {"loss": "== 0"},
                ]
            },
        }
        if not document["timeline"]:
            del document["timeline"]
        self._say(
            "batteries, chips, flash and weather are those of the profiles, not of the devices"
        )
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        devices = sum(group["count"] for group in groups)
        return Composed(_HEAD + text, plan, devices, tuple(self._told)[:ASSUMPTIONS_MAX])

    def _say(self, assumption: str) -> None:
        self._told[cut(assumption)] = None

    def _scale(self, shape: Shape) -> float:
        told = sum(group.devices for group in shape.groups)
        if shape.left_out:
            self._say(f"{shape.left_out} devices of small groups are left out")
        wanted = min(max(told, self._job.devices_min), self._job.devices_max)
        if wanted != told:
            self._say(f"{told} devices are rehearsed with about {wanted} of the same shape")
            pace = self._job.plan.pace
            if pace is not None and any(budget.count for budget in pace.budgets):
                self._say("budgets by count stay as they are, however many devices there are")
        return wanted / max(1, told)

    # -- devices ----------------------------------------------------------------------------------

    def _group(self, number: int, one: ShapeGroup, scale: float) -> dict[str, Any]:
        profile = self._profile(one)
        group: dict[str, Any] = {
            "group": f"g{number:02}",
            "count": max(1, round(one.devices * scale)),
            "profile": profile,
            "link": self._link(one, profile),
            "region": _word(one.region or "everywhere"),
            "bundle": self._runs(one),
            "labels": {MEANT: "yes" if one.selected else "no", **_labels(one)},
        }
        known = self._profiles[profile].hardware.hardware_class
        if one.hardware and one.hardware != known:
            group["registered_as"] = one.hardware
        return group

    def _profile(self, one: ShapeGroup) -> str:
        if one.profile in self._profiles:
            return one.profile
        same = [
            name
            for name, profile in sorted(self._profiles.items())
            if profile.hardware.hardware_class == one.hardware
        ]
        found = PROFILE if PROFILE in same or not same else same[0]
        why = f"of hardware {one.hardware or 'unknown'}" + (
            f" and profile {one.profile}" if one.profile else ""
        )
        self._say(f"devices {why} behave like {found}; label them `profile` to say better")
        return found

    def _link(self, one: ShapeGroup, profile: str) -> str:
        if one.link in self._links.links:
            return one.link
        usual = self._profiles[profile].default_link
        named = f"link {one.link}" if one.link else "no label `link`"
        self._say(f"devices with {named} are on {usual}, as usual for {profile}")
        return usual

    def _runs(self, one: ShapeGroup) -> str:
        found = self._factory.get(one.running)
        if found is not None:
            return found
        usual = next(iter(self._factory.values()))
        shown = one.running[:16] or "nothing"
        self._say(f"devices that run {shown} are rehearsed with {usual}")
        return usual

    def _regions(self, shape: Shape) -> dict[str, Any]:
        names = dict.fromkeys(_word(group.region or "everywhere") for group in shape.groups)
        offsets: dict[str, dict[str, int]] = {name: {} for name in names}
        for group in shape.groups:
            counts = offsets[_word(group.region or "everywhere")]
            for zone, devices in group.offsets.items():
                counts[zone] = counts.get(zone, 0) + devices
        return {
            "regions": {
                name: {"share": 1 / len(names), "utc_offset_h": _hours(counts)}
                for name, counts in offsets.items()
            }
        }

    def _timeline(self, shape: Shape) -> list[dict[str, Any]]:
        """Who is offline now is so at the start, and comes back."""
        actions: list[dict[str, Any]] = []
        for number, group in enumerate(shape.groups):
            away = 1 - group.online / group.devices
            if away > 0:
                target = f"sample(group=g{number:02}, {100 * away:.4g}%)"
                actions.append({"at": "0s", "do": "partition", "target": target})
        if actions:
            away = shape.devices - shape.online
            self._say(
                f"the {away} devices that are offline now come back within {1.5 * ASLEEP_H:g} h"
            )
            order = f"swizzle({ASLEEP_H * 30}m)"
            actions.append({"at": f"{ASLEEP_H}h", "do": "heal", "target": "all", "order": order})
        return actions

    # -- the plan ---------------------------------------------------------------------------------

    def _rollout(self, plan: RolloutPlan) -> dict[str, Any]:
        waves = list(plan.waves) if plan.waves[-1] == 1.0 else [*plan.waves, 1.0]
        said: dict[str, Any] = {
            "id": ROLLOUT,
            "bundle": self._candidate,
            "at": f"{SETTLED // MINUTE}m",
            "target": f"{MEANT}=yes",
            "waves": waves,
            "soak": f"{plan.soak_ns // MS}ms",
            "jitter": f"{plan.jitter_ms}ms",
            "on_halt": "revert" if plan.on_halt == "revert" else "keep",
        }
        pace = plan.pace
        if pace is not None and pace.approvals:
            said["approvals"] = [{"wave": wave, "at": "0s"} for wave in pace.approvals]
            self._say("each wave that waits for a person is approved as soon as it waits")
        return said


_HEAD: Final = """\
# The rehearsal of a rollout: made from a live registry's shape and a plan by `fleetdrill rehearse`.
# The virtual gateway is given the plan in the file beside this one, gate and pace included.
"""


def virtual_plan(job: Job) -> RolloutPlan:
    """The plan as the virtual gateway gets it: for devices with a label that stands for the selector, and with
    budgets by labels that a scenario may give."""
    plan, pace = job.plan, job.plan.pace
    if pace is not None:
        budgets = tuple(Budget(_label(b.label), b.count, b.share) for b in pace.budgets)
        pace = msgspec.structs.replace(pace, budgets=budgets, zone=job.zone_offset)
    return msgspec.structs.replace(
        plan, id=ROLLOUT, selector=((MEANT, "yes"),), initial=False, pace=pace
    )


def start_of(job: Job) -> int:
    """When the virtual clock begins, Unix ms: now, or shortly before a scheduled start."""
    pace = job.plan.pace
    starts_ms = 0 if pace is None else pace.start_at_ns // MS
    return max(job.shape.at_ms, starts_ms - 2 * SETTLED // MS) // 60_000 * 60_000


def _bundle(name: str, path: str) -> dict[str, str]:
    bundle, _, version = name.partition("@")
    return {"id": bundle, "version": version, "path": path}


def _labels(one: ShapeGroup) -> dict[str, Any]:
    """Labels by which budgets go, and the clocks of the devices."""
    labels = {_label(name): _mix(values) for name, values in one.labels.items() if values}
    if one.offsets:
        labels["tz"] = _mix(one.offsets)
    return labels


def _label(name: str) -> str:
    """A budget's label under a name that a scenario may give."""
    if name not in _BUILT_IN and _WORD.fullmatch(name):
        return name
    return f"label-{_word(name)}"


def _mix(values: Mapping[str, int]) -> Any:
    if len(values) == 1:
        return next(iter(values))
    total = sum(values.values())
    return {"mix": {value: devices / total for value, devices in values.items()}}


def _word(text: str) -> str:
    """A text as a name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:40] or "unnamed"


def _hours(offsets: Mapping[str, int]) -> float:
    """The distance from UTC of most."""
    most = max(offsets, key=lambda zone: (offsets[zone], zone), default="UTC")
    return min(14.0, max(-12.0, (fixed_offset_s(most) or 0) * SECOND / HOUR))


def _spelled(unix_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    return moment.isoformat().replace("+00:00", "Z")
