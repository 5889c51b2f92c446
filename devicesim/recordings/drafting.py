"""A recording becomes a scenario of its own: a folder with everything that one needs to run it.

Decides groups, duration, title, the checks that hold by default, and what people are told about where it
came from. Leaves out reading the recording (reading.py) and running the scenario.

Rules: what is written loads; a fleet's devices play those of the recording in their natural order; the
scenario is a beginning: comments say what to add to it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.wire.timebase import MS, SECOND, format_duration
from devicesim.recordings.curve import online_curve
from devicesim.recordings.grouping import grouped, made_up, natural
from devicesim.recordings.instants import spell
from devicesim.recordings.intervals import Recording, RecordingError
from devicesim.recordings.native import write_recording

SCENARIO: Final = "scenario.yaml"
PRESENCE: Final = "presence.csv"
README: Final = "README.md"
PROFILE: Final = "rpi4-kiosk"
LINK: Final = "ethernet"
DEVIATION_MAX: Final = 0.02
TITLE_CHARS_MAX: Final = 120


class Draft(msgspec.Struct, kw_only=True):
    """What a scenario is made of."""

    name: str
    recording: Recording
    counts: dict[str, int]
    """Devices by group."""
    ignored: int = 0
    """Clients whose names a library made up."""
    profile: str = PROFILE
    link: str = LINK
    """A link class, or a mapping in YAML."""
    title: str = ""


def chosen(
    recording: Recording, *, only: str = "", ignore: str = "", keep_made_up: bool = False
) -> tuple[Recording, int]:
    """The devices that one wants, in groups and in their natural order; and how many were left out.

    Args:
        recording: everybody.
        only: regular expression that the ids of devices match somewhere.
        ignore: the same for those that are left out.
        keep_made_up: also clients whose name a library drew.

    Raises:
        RecordingError: nobody is left, or not a regular expression.
    """
    try:
        wanted, unwanted = re.compile(only), re.compile(ignore) if ignore else None
    except re.error as error:
        raise RecordingError(
            f"expected a regular expression, found one with an error: {error}"
        ) from error
    kept = [
        device
        for device in recording.edges
        if wanted.search(device)
        and not (unwanted and unwanted.search(device))
        and (keep_made_up or not made_up(device))
    ]
    if not kept:
        raise RecordingError(
            f"expected devices, found {len(recording.edges)} clients and left all of them out: loosen "
            "--only and --ignore, or --keep-made-up"
        )
    guessed = grouped(kept)
    groups = {device: _name(recording.groups.get(device) or guessed[device]) for device in kept}
    ordered = sorted(kept, key=lambda device: (groups[device], natural(device)))
    edges = {device: recording.edges[device] for device in ordered}
    mine = {device: groups[device] for device in ordered}
    one = msgspec.structs.replace(recording, edges=edges, groups=mine)
    return one, len(recording.edges) - len(kept)


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:40] or "device"


def counts_of(recording: Recording) -> dict[str, int]:
    """Devices by group, in order."""
    counts: dict[str, int] = {}
    for group in recording.groups.values():
        counts[group] = counts.get(group, 0) + 1
    return counts


def title_of(recording: Recording) -> str:
    """One line that says what was recorded."""
    low, at = lowest(recording)
    devices = len(recording.edges)
    what = f"{devices} devices over {format_duration(whole_seconds(recording.length_ns))}"
    return f"Recorded: {what}, down to {low:.0f} at {format_duration(at) if at else '0s'}"


def lowest(recording: Recording) -> tuple[float, int]:
    """The fewest online on average over a stretch, and when that stretch begins (ns).

    What comes before the first time that half of the greatest number is reached is a beginning and no
    outage; a stretch lasts a hundredth of the recording, ten seconds at least.
    """
    step = max(10 * SECOND, recording.length_ns // 100 // SECOND * SECOND)
    curve = online_curve(recording.edges.values(), recording.length_ns, step)
    peak = max(curve)
    begun = next(number for number, value in enumerate(curve) if value >= peak / 2)
    number = min(range(begun, len(curve)), key=lambda each: curve[each])
    return curve[number], number * step


def whole_seconds(ns: int) -> int:
    """Rounded up."""
    return -(-ns // SECOND) * SECOND


def scenario_text(draft: Draft) -> str:
    """The scenario, as YAML with comments."""
    recording = draft.recording
    length = format_duration(whole_seconds(recording.length_ns))
    title = (draft.title or title_of(recording))[:TITLE_CHARS_MAX]
    start = spell(recording.start_unix_ns // MS * MS)
    fleet = "".join(
        f"  - {{group: {json.dumps(group)}, count: {count}, profile: {draft.profile}, link: {draft.link}, "
        f"presence: {PRESENCE}}}\n"
        for group, count in draft.counts.items()
    )
    return f"""\
# Replays a recording: each device of the fleet is connected when {PRESENCE} says that its model was.
# Made by `fleetdrill import`; {README} says from what. From here on it is a scenario like any other.
scenario: {draft.name}
title: {json.dumps(title)}
description: >-
  A recorded fleet comes and goes as it did. What would the next one have met: a rollout, a kill, other
  settings? Add them here, and hold the runs against each other.
seed: 1
clock: {{start: {start}, duration: {length}}}

fleet:
{fleet}
# With `presence: {{file: {PRESENCE}, reconnect: agent}}` the recording says when there was a network, and the
# agent's own back-off when a device was back: compare back-offs that way.
telemetry: {{window: 15m, frames: 0}}

# A rollout in the middle of it:
# bundles:
#   - {{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}}
#   - {{id: gauge, version: 1.1.0, path: models/gauge/1.1.0}}
# rollouts: [{{id: r1, bundle: gauge@1.1.0, at: 1m, waves: [10%, 100%], soak: 1m}}]

checks:
  finally:
    - {{presence_deviation: '<= {DEVIATION_MAX:g}'}}   # of the devices, in any minute
    - {{bricked: '== 0'}}
    - {{loss: '== 0'}}
"""


def readme_text(draft: Draft, facts: Mapping[str, str]) -> str:
    """What people read who find the folder."""
    rows = "".join(f"| {key} | {_cell(value)} |\n" for key, value in facts.items())
    groups = "".join(f"| {group} | {count:,} |\n" for group, count in draft.counts.items())
    return f"""\
# {draft.name}

A recorded fleet, to be replayed: `fleetdrill run {SCENARIO}`.

| | |
|---|---|
{rows}
| group | devices |
|---|---|
{groups}
`{PRESENCE}` holds who was connected from when to when, as the broker saw it, in seconds since the start. The
first device of a group in the scenario plays the first of that group in the file, and so on. It names the
clients of the fleet: look before you give it away.
"""


def _cell(text: str) -> str:
    return re.sub(r"[\x00-\x1f|`<>]+", " ", text)


def write_draft(draft: Draft, folder: Path, facts: Mapping[str, str]) -> None:
    """Write the folder; what is in it already is replaced, and nothing else touched.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_recording(draft.recording, folder / PRESENCE)
    (folder / SCENARIO).write_text(scenario_text(draft), encoding="utf-8")
    (folder / README).write_text(readme_text(draft, facts), encoding="utf-8")


def share_text(value: float) -> str:
    """A share in percent, for people."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "unknown"
