"""What a device's folder says is installed, for people and for programs.

Decides the words. Reads the saved state and nothing else, so it may be asked while the device runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.snapshot import DebugMode, Slot, State, StateUnreadable, decode_state
from devicesdk.host.boots import BOOT_FILE


class NoDeviceError(RuntimeError):
    """The folder holds no device, or one whose state cannot be read."""


def installed(folder: Path) -> dict[str, Any]:
    """What is known of the device in `folder`, as JSON can say it.

    Raises:
        NoDeviceError: nothing readable is there.
    """
    try:
        data = (folder / STATE_FILE).read_bytes()
        state = decode_state(data)
    except OSError as error:
        raise NoDeviceError(
            f"expected the state of a device in {folder}, found: {error.strerror}; it is written with "
            "the first update"
        ) from error
    except StateUnreadable as error:
        raise NoDeviceError(
            f"{folder / STATE_FILE}: {error}; the device runs nothing until its next update"
        ) from error
    return {"boot": _boot(folder), **_known(state)}


def _known(state: State) -> dict[str, Any]:
    trial = state.trial
    return {
        "runs": trial.slot if trial is not None else state.committed,
        "committed": state.committed,
        "trial": None
        if trial is None
        else {
            "slot": trial.slot,
            "deployment": trial.deployment,
            "generation": trial.generation,
            "boots": trial.boots,
        },
        "slots": {"a": _slot(state.a), "b": _slot(state.b)},
        "update": {
            "state": state.status.state.name,
            "reason": state.status.reason,
            "generation": state.status.generation,
        },
        "quarantine": [bad.manifest.hex() for bad in state.bad if bad.banned],
        "kill_version": state.kill_version,
        "killed": list(state.killed),
        "flags_rev": state.flags_rev,
        "events_unsent": len(state.events),
        "debug": _debug(state.debug),
    }


def _debug(mode: DebugMode | None) -> dict[str, Any] | None:
    """Debug mode, for whoever owns the device."""
    if mode is None:
        return None
    return {
        "grant": mode.number,
        "until_ms": mode.until_ms,
        "rows_left": mode.rows_left,
        "by": mode.by,
        "why": mode.why,
    }


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "manifest": slot.manifest.hex(),
        "variant": slot.variant,
        "image": slot.image.hex(),
        "size_bytes": slot.size_bytes,
        "verified": slot.verified,
        "proven": slot.proven,
    }


def _boot(folder: Path) -> int | None:
    try:
        return int((folder / BOOT_FILE).read_bytes())
    except (OSError, ValueError):
        return None


def in_words(known: dict[str, Any]) -> list[str]:
    """Lines for people."""
    update, trial = known["update"], known["trial"]
    lines = [f"boot        {known['boot'] if known['boot'] is not None else 'unknown'}"]
    for name, slot in known["slots"].items():
        marks = [word for word in ("verified", "proven") if slot[word]]
        if name == known["committed"]:
            marks.append("committed")
        if name == known["runs"]:
            marks.append("runs")
        what = f"{slot['manifest'][:16]} {slot['variant']} {slot['size_bytes']} B"
        lines.append(f"slot {name}      {what if slot['manifest'] else 'empty'}  {' '.join(marks)}")
    if trial is not None:
        lines.append(f"trial       {trial['deployment']} in slot {trial['slot']}")
    lines.append(
        f"update      {update['state']} of generation {update['generation']} {update['reason']}"
    )
    lines.append(
        f"kill list   version {known['kill_version']}: {', '.join(known['killed']) or '-'}"
    )
    lines.append(f"flags       rev {known['flags_rev']}")
    debug = known["debug"]
    if debug is not None:
        until = datetime.fromtimestamp(debug["until_ms"] / 1000, UTC).isoformat(timespec="seconds")
        lines.append(f"DEBUG MODE  until {until}, for {debug['by'] or '?'}: {debug['why'] or '?'}")
    lines.extend(f"quarantine  {digest}" for digest in known["quarantine"])
    return [line.rstrip() for line in lines]
