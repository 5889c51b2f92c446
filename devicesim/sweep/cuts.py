"""Ways to make a scenario smaller.

Decides what can be taken away or made simpler, and in which order it is tried: a scenario is plain data here,
as it stands in the file, and every cut gives new data. Leaves out whether the result is valid and still fails
(shrink.py): a cut may well produce nonsense, such as a trigger on an action that is gone.

Rules: nothing is added but values that are simpler than those they replace; the seed is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from devicesdk.wire.timebase import MINUTE, SECOND, format_duration, parse_duration
from devicesim.scenario import Scenario
from devicesim.scenario.population import group_count
from devicesim.sweep.task import BROKEN_KIND

Data = dict[str, Any]
Entry = tuple[str, int]
"""Section of the file, position in it."""

SECTIONS: Final = ("timeline", "flags", "rollouts", "experiments", "fleet", "bundles")
COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096,
                 8192, 16384, 65536)  # fmt: skip
DURATIONS: Final = ("10s", "1m", "5m", "15m")
KEPT_KEYS: Final = frozenset({
    "scenario", "seed", "fleet", "clock", "duration", "count", "profile", "link", "for", "telemetry",
    "window", "frames", "checks", "do", "bundles", "path", "version", "mode",
})  # fmt: skip
"""Keys that are never dropped: needed, or their default is no simpler than what stands there."""
_KEY_OF_KIND: Final = {"eventually": "eventually", "finally": "at_end", "slo": "slo"}


def plain(data: Data, scenario: Scenario) -> Data:
    """The data of a scenario with its scale worked in, and without what is for readers alone."""
    out = deepcopy(data)
    for item, group in zip(out["fleet"], scenario.fleet, strict=True):
        item["count"] = group_count(group, scenario.scale)
    for key in ("scale", "description", "title"):
        out.pop(key, None)
    return out


def only_check(data: Data, scenario: Scenario, identity: tuple[str, str]) -> Data:
    """Keep the one check that fails."""
    name, kind = identity
    out = deepcopy(data)
    checks: Data = {"always": []}
    said = data.get("checks") or {}
    if kind == "always":
        checks = {"always": [name]}
    elif kind in _KEY_OF_KIND:
        read = getattr(scenario.checks, _KEY_OF_KIND[kind])
        same = [index for index, must in enumerate(read) if str(must) == name]
        kept = [said[kind][index] for index in same[:1]] if same else list(said.get(kind, ()))
        told = list(said.get("verdicts", ())) if not same and kind == "eventually" else []
        checks |= {kind: kept} | ({"verdicts": told} if told else {})
    elif kind != BROKEN_KIND:
        checks |= {kind: said.get(kind)}
    out["checks"] = checks
    return out


def shorter(data: Data, first_bad_ns: int | None) -> Iterator[Data]:
    """End sooner: just past the first bad minute, else at a part of the present length."""
    duration_ns = _duration_ns(data)
    ends = [duration_ns // 8, duration_ns // 4, duration_ns // 2, 3 * duration_ns // 4]
    if first_bad_ns is not None:
        ends.insert(0, first_bad_ns + 1)
    for end in dict.fromkeys(-(-end // MINUTE) * MINUTE for end in ends):
        if 0 < end < duration_ns:
            out = deepcopy(data)
            out.setdefault("clock", {})["duration"] = format_duration(end)
            yield out


def _duration_ns(data: Data) -> int:
    said = (data.get("clock") or {}).get("duration", "24h")
    return parse_duration(said)


def one_group(data: Data, group: str) -> Iterator[Data]:
    """The group of the device that was seen failing, alone; with it goes what names another one."""
    if len(data["fleet"]) < 2 or not any(item["group"] == group for item in data["fleet"]):
        return
    out = deepcopy(data)
    out["fleet"] = [item for item in out["fleet"] if item["group"] == group]
    out.pop("regions", None) if all("region" not in item for item in out["fleet"]) else None
    yield out
    alone = deepcopy(out)
    others = [item["group"] for item in data["fleet"] if item["group"] != group]
    for section in ("timeline", "rollouts", "flags", "experiments"):
        kept = [item for item in alone.get(section) or () if not _names(item, others)]
        alone[section] = kept
    yield alone


def _names(item: Any, words: list[str]) -> bool:
    text = str(item)
    return any(f"group={word}" in text or f"'{word}'" in text for word in words)


def fewer(data: Data) -> Iterator[Data]:
    """Fewer devices in all groups at once, smallest first; then in one group."""
    groups = data["fleet"]
    most = max(item["count"] for item in groups)
    for count in COUNTS:
        if count < most:
            yield _with_counts(data, [min(item["count"], count) for item in groups])
    if len(groups) > 1:
        for position, item in enumerate(groups):
            for count in COUNTS:
                if count < item["count"]:
                    counts = [one["count"] for one in groups]
                    counts[position] = count
                    yield _with_counts(data, counts)


def _with_counts(data: Data, counts: list[int]) -> Data:
    out = deepcopy(data)
    for item, count in zip(out["fleet"], counts, strict=True):
        item["count"] = count
    return out


def entries(data: Data) -> list[Entry]:
    """Everything that stands in a list and might be spared."""
    return [(section, n) for section in SECTIONS for n in range(len(data.get(section) or ()))]


def with_entries(data: Data, kept: list[Entry]) -> Data:
    """The data with those entries alone."""
    out = deepcopy(data)
    for section in SECTIONS:
        if data.get(section):
            out[section] = [deepcopy(data[section][n]) for part, n in kept if part == section]
            if not out[section]:
                del out[section]
    return out


def spared_keys(data: Data) -> list[tuple[str | int, ...]]:
    """Paths of keys that may have a default; longer ones after the ones that contain them."""
    return list(_walk(data, ()))


def _walk(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if path[:1] == ("checks",) or (not path and key in ("checks", "bundles")):
                continue
            if key not in KEPT_KEYS and not (not path and key in SECTIONS):
                yield (*path, key)
            yield from _walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, (*path, index))


def without_keys(data: Data, gone: list[tuple[str | int, ...]]) -> Data:
    """The data without those keys."""
    out = deepcopy(data)
    for path in gone:
        place: Any = out
        for part in path[:-1]:
            inside = isinstance(place, list) or (isinstance(place, dict) and part in place)
            place = place[part] if inside else None
        if isinstance(place, dict):
            place.pop(path[-1], None)
    return out


def simpler(data: Data) -> Iterator[Data]:
    """One value at a time made simpler: shorter faults, plain targets and links, one wave."""
    for section in ("timeline", "rollouts", "flags", "fleet", "experiments"):
        for index, item in enumerate(data.get(section) or ()):
            for key, value in _simpler_values(item):
                out = deepcopy(data)
                out[section][index][key] = value
                yield out


def _simpler_values(item: Data) -> Iterator[tuple[str, Any]]:
    for key in ("for", "soak", "jitter"):
        if isinstance(said := item.get(key), str):
            for text in _shorter_than(said):
                yield key, text
    target = item.get("target")
    if isinstance(target, str) and target != "all":
        yield "target", "all"
    if isinstance(waves := item.get("waves"), list) and len(waves) > 1:
        yield "waves", ["100%"]
        yield "waves", [waves[0], "100%"]
    link = item.get("link")
    if isinstance(link, dict):
        for name in link.get("mix") or ():
            yield "link", name


def _shorter_than(text: str) -> Iterator[str]:
    try:
        now_ns = parse_duration(text)
    except ValueError:
        return
    half_ns = now_ns // 2 // SECOND * SECOND
    for shorter_text in (*DURATIONS, *([format_duration(half_ns)] if half_ns else ())):
        if parse_duration(shorter_text) < now_ns:
            yield shorter_text


class Size:
    """How large a scenario is."""

    __slots__ = ("devices", "duration_ns", "entries", "groups", "timeline")

    def __init__(self, data: Data) -> None:
        self.devices = sum(item["count"] for item in data["fleet"])
        self.groups = len(data["fleet"])
        self.timeline = len(data.get("timeline") or ())
        self.entries = sum(len(data.get(s) or ()) for s in ("flags", "rollouts", "experiments"))
        self.duration_ns = _duration_ns(data)

    def __str__(self) -> str:
        devices = "device" if self.devices == 1 else "devices"
        lines = "entry" if self.timeline == 1 else "entries"
        other = f", {self.entries} of rollouts, flags, experiments" if self.entries else ""
        return (
            f"{self.devices} {devices}, {self.timeline} timeline {lines}{other}, "
            f"{format_duration(self.duration_ns)}"
        )
