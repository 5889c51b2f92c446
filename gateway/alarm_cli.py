"""Commands ``fleetdrill alarm ...``: what is wrong, who looks after it, and who does not want to hear of it.

Decides options and words. Leaves out talking to the gateway (cli.py, runtime/knock.py) and what an alarm is
(gateway/core/alarms).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import STATE, AsJson, State, _ask, _knock, _said

alarm_app = typer.Typer(no_args_is_help=True, help="Alarms: look, acknowledge, silence.")
Alarm = Annotated[int, typer.Argument(metavar="ID", help="The alarm's id, as `list` shows it.")]
Why = Annotated[str, typer.Option(help="For the others, and for the audit log.")]
PAGE = 1_000


@alarm_app.command("list")
def alarms(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    kind: Annotated[str, typer.Option(help="Such as broker_down.")] = "",
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Show open alarms, the newest first."""

    def show(found: dict[str, Any]) -> str:
        return "\n".join(_line(one) for one in found["alarms"]) or "no alarms"

    said = {
        "verb": "alarm.list",
        "limit": PAGE,
        "kind": kind,
        "state": "" if everything else "open",
    }
    _ask(lambda: _asked(state, said), as_json=as_json, show=show)


@alarm_app.command("show")
def show_alarm(alarm: Alarm, *, state: State = STATE, as_json: AsJson = False) -> None:
    """Show one alarm."""
    _ask(
        lambda: _asked(state, {"verb": "alarm.show", "alarm": alarm}), as_json=as_json, show=_whole
    )


@alarm_app.command("ack")
def acknowledge(
    alarm: Alarm, *, why: Why = "", state: State = STATE, as_json: AsJson = False
) -> None:
    """Say that you look after it."""
    said = {"verb": "alarm.ack", "alarm": alarm, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


@alarm_app.command("silence")
def silence(
    alarm: Alarm,
    *,
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 8h; 0s ends it.")] = "1h",
    why: Why = "",
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Tell webhook and MQTT nothing of it for a while, unless it gets worse or is over."""
    said = {"verb": "alarm.silence", "alarm": alarm, "lasts": lasts, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


def _asked(state: Path, said: dict[str, Any]) -> Any:
    import msgspec

    from gateway.runtime import verbs

    return _knock(state, msgspec.convert(said, verbs.AnyVerb))


def _line(one: dict[str, Any]) -> str:
    state = "silent" if one["silent_until_ms"] and one["state"] != "cleared" else one["state"]
    return (
        f"{one['id']}  {one['severity']:8}  {state:12}  {_instant(one['raised_ms'])}  {one['says']}"
    )


def _whole(one: dict[str, Any]) -> str:
    lines = [
        f"{one['id']}  {one['kind']}  {one['severity']}  {one['state']}",
        f"  {one['says']}",
        f"  raised {one['count']} time{'' if one['count'] == 1 else 's'}, first {_instant(one['first_ms'])}, last {_instant(one['raised_ms'])}",
        f"  last seen {_instant(one['last_ms'])}",
    ]
    if one["acknowledged_by"]:
        when = _instant(one["acknowledged_ms"])
        lines.append(
            f"  acknowledged {when} by {one['acknowledged_by']}: {one['acknowledged_why']}"
        )
    if one["silent_until_ms"]:
        until = _instant(one["silent_until_ms"])
        lines.append(f"  silent until {until} by {one['silenced_by']}: {one['silenced_why']}")
    if one["cleared_ms"]:
        lines.append(f"  over {_instant(one['cleared_ms'])}")
    return "\n".join(lines)


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
