"""Commands ``fleetdrill gateway debug ...``: look closer at one device for a while, and leave a trace of it.

Decides options and words. Leaves out talking to the gateway (cli.py, runtime/knock.py), what a grant is
(gateway/core/control/debugging.py) and whether the device agrees (devicesdk/agent/debug.py).
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import STATE, AsJson, State, _ask, _knock, _said

debug_app = typer.Typer(
    no_args_is_help=True, help="Grant debug mode to one device for a while; every grant is kept."
)
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.")]
Why = Annotated[str, typer.Option(help="Why; the owner of the device can read it.")]
By = Annotated[
    str, typer.Option(default_factory=getpass.getuser, help="Who asks; the user's name by default.")
]


@debug_app.command("grant")
def grant(
    device: Device,
    *,
    why: Why,
    by: By,
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 30m.")] = "30m",
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Let a device tell more for a while, if its owner agreed."""
    said = {"verb": "debug.grant", "device": device, "lasts": lasts, "by": by, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


@debug_app.command("revoke")
def revoke(
    device: Device, *, why: Why, by: By, state: State = STATE, as_json: AsJson = False
) -> None:
    """End a device's debug mode before its time."""
    said = {"verb": "debug.revoke", "device": device, "by": by, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


@debug_app.command("list")
def grants(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Show all grants: who, why, when, and how they ended."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            lines.append(
                f"{view['device']}  {view['number']}  {view['state']}  {view['ended']}".rstrip()
            )
            lines.append(f"  granted {_instant(view['granted_ms'])} by {view['by']}: {view['why']}")
            if view["begun_ms"]:
                lines.append(f"  began   {_instant(view['begun_ms'])}")
            if view["revoked_by"]:
                lines.append(f"  revoked by {view['revoked_by']}: {view['revoked_why']}")
            over = view["ended_ms"] or view["until_ms"]
            word = "ended " if view["ended_ms"] else "ends by"
            lines.append(f"  {word}  {_instant(over)}")
        return "\n".join(lines) or "no grants"

    _ask(lambda: _asked(state, {"verb": "debug.list"}), as_json=as_json, show=show)


@debug_app.command("told")
def told(device: Device, *, state: State = STATE, as_json: AsJson = False) -> None:
    """Show what a device told in debug mode: classes and bins of frames, never a picture."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            lines.append(
                f"{_instant(view['heard_ms'])}  grant {view['grant']}  boot {view['boot_id']}  window "
                f"{view['seq']}  bundle {view['bundle']}  {len(view['told'])} of {view['frames']} frames"
            )
            lines += [
                f"  reading {frame['reading']}/32  confidence {frame['confidence']}  entropy "
                f"{frame['entropy']}  features {' '.join(map(str, frame['features']))}  error "
                f"{frame['error']}"
                for frame in view["told"]
            ]
        return "\n".join(lines) or "nothing was told"

    said = {"verb": "debug.told", "device": device}
    _ask(lambda: _asked(state, said), as_json=as_json, show=show)


def _asked(state: Path, said: dict[str, Any]) -> Any:
    import msgspec

    from gateway.runtime import verbs

    return _knock(state, msgspec.convert(said, verbs.AnyVerb))


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
