"""Commands ``fleetdrill alarm ...``: what is wrong, who looks after it, and who does not want to hear of it.

Decides options and words. Leaves out talking to the gateway (asking.py) and what an alarm is
(gateway/core/alarms).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.commands.asking import Ask, asks, changes
from gateway.commands.words import instant

alarm_app = typer.Typer(no_args_is_help=True, help="Alarms: look, acknowledge, silence.")
Alarm = Annotated[int, typer.Argument(metavar="ID", help="The alarm's id, as `list` shows it.")]
Why = Annotated[str, typer.Option(help="For the others, and for the audit log.")]
PAGE = 1_000


@alarm_app.command("list")
@asks
def alarms(
    ask: Ask,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    kind: Annotated[str, typer.Option(help="Such as broker_down.")] = "",
) -> None:
    """Show open alarms: critical ones first, then the newest; with --all the newest first."""
    from gateway.runtime import verbs

    def show(found: dict[str, Any]) -> str:
        shown = found["alarms"]
        if not everything:
            shown = sorted(shown, key=lambda one: one["severity"] != "critical")
        return "\n".join(_line(one) for one in shown) or "no alarms"

    verb = verbs.ListAlarms(limit=PAGE, kind=kind, state="" if everything else "open")
    ask.tell(ask.way.page(verb).found, show)


@alarm_app.command("show")
@asks
def show_alarm(ask: Ask, alarm: Alarm) -> None:
    """Show one alarm."""
    ask.tell(ask.do({"verb": "alarm.show", "alarm": alarm}), _whole)


@alarm_app.command("ack")
@changes
def acknowledge(ask: Ask, alarm: Alarm, *, why: Why = "") -> None:
    """Say that you look after it."""
    ask.change({"verb": "alarm.ack", "alarm": alarm, "why": why})


@alarm_app.command("silence")
@changes
def silence(
    ask: Ask,
    alarm: Alarm,
    *,
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 8h; 0s ends it.")] = "1h",
    why: Why = "",
) -> None:
    """Tell webhook and MQTT nothing of it for a while, unless it gets worse or is over."""
    ask.change({"verb": "alarm.silence", "alarm": alarm, "lasts": lasts, "why": why})


def _line(one: dict[str, Any]) -> str:
    state = "silent" if one["silent_until_ms"] and one["state"] != "cleared" else one["state"]
    return (
        f"{one['id']}  {one['severity']:8}  {state:12}  {instant(one['raised_ms'])}  {one['says']}"
    )


def _whole(one: dict[str, Any]) -> str:
    lines = [
        f"{one['id']}  {one['kind']}  {one['severity']}  {one['state']}",
        f"  {one['says']}",
        f"  raised {one['count']} time{'' if one['count'] == 1 else 's'}, first {instant(one['first_ms'])}, last {instant(one['raised_ms'])}",
        f"  last seen {instant(one['last_ms'])}",
    ]
    if one["acknowledged_by"]:
        when = instant(one["acknowledged_ms"])
        lines.append(
            f"  acknowledged {when} by {one['acknowledged_by']}: {one['acknowledged_why']}"
        )
    if one["silent_until_ms"]:
        until = instant(one["silent_until_ms"])
        lines.append(f"  silent until {until} by {one['silenced_by']}: {one['silenced_why']}")
    if one["cleared_ms"]:
        lines.append(f"  over {instant(one['cleared_ms'])}")
    return "\n".join(lines)
