"""Commands ``fleetdrill debug ...``: look closer at one device for a while, and leave a trace of it.

Decides options and words. Leaves out talking to the gateway (asking.py), what a grant is
(gateway/core/control/debugging.py) and whether the device agrees (devicesdk/agent/debug.py).
"""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from gateway.commands.asking import Ask, asks, changes
from gateway.commands.completing import device_ids
from gateway.commands.words import instant

debug_app = typer.Typer(
    no_args_is_help=True, help="Grant debug mode to one device for a while; every grant is kept."
)
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.", autocompletion=device_ids)]  # fmt: skip
Why = Annotated[str, typer.Option(help="Why; the owner of the device can read it.")]
By = Annotated[
    str,
    typer.Option(
        default_factory=getpass.getuser,
        help="Who asks, by the door; over HTTP it is the token's name.",
    ),
]


@debug_app.command("grant")
@changes
def grant(
    ask: Ask,
    device: Device,
    *,
    why: Why,
    by: By,
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 30m.")] = "30m",
) -> None:
    """Let a device tell more for a while, if its owner agreed."""
    ask.change({"verb": "debug.grant", "device": device, "lasts": lasts, "by": by, "why": why})


@debug_app.command("revoke")
@changes
def revoke(ask: Ask, device: Device, *, why: Why, by: By) -> None:
    """End a device's debug mode before its time."""
    ask.change({"verb": "debug.revoke", "device": device, "by": by, "why": why})


@debug_app.command("list")
@asks
def grants(ask: Ask) -> None:
    """Show all grants: who, why, when, and how they ended."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            lines.append(
                f"{view['device']}  {view['number']}  {view['state']}  {view['ended']}".rstrip()
            )
            lines.append(f"  granted {instant(view['granted_ms'])} by {view['by']}: {view['why']}")
            if view["begun_ms"]:
                lines.append(f"  began   {instant(view['begun_ms'])}")
            if view["revoked_by"]:
                lines.append(f"  revoked by {view['revoked_by']}: {view['revoked_why']}")
            over = view["ended_ms"] or view["until_ms"]
            word = "ended " if view["ended_ms"] else "ends by"
            lines.append(f"  {word}  {instant(over)}")
        return "\n".join(lines) or "no grants"

    ask.tell(ask.do({"verb": "debug.list"}), show)


@debug_app.command("told")
@asks
def told(ask: Ask, device: Device) -> None:
    """Show what a device told in debug mode: classes and bins of frames, never a picture."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            lines.append(
                f"{instant(view['heard_ms'])}  grant {view['grant']}  boot {view['boot_id']}  window "
                f"{view['seq']}  bundle {view['bundle']}  {len(view['told'])} of {view['frames']} frames"
            )
            lines += [
                f"  reading {frame['reading']}/32  confidence {frame['confidence']}  entropy "
                f"{frame['entropy']}  features {' '.join(map(str, frame['features']))}  error "
                f"{frame['error']}"
                for frame in view["told"]
            ]
        return "\n".join(lines) or "nothing was told"

    ask.tell(ask.do({"verb": "debug.told", "device": device}), show)
