"""Commands ``fleetdrill token ...`` and ``fleetdrill approval ...``: who may come in, and what a second person decides.

Decides options and words. Leaves out talking to the gateway (asking.py) and the rules
(gateway/core/access).

Rule: the text of a token goes to standard output once and nowhere else, so that it can be piped into a file.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.commands.asking import Ask, Label, Why, asks, changes, pairs
from gateway.commands.words import instant, pairs_of, table

token_app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API.")
approval_app = typer.Typer(no_args_is_help=True, help="Requests that somebody else has to approve.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the request.")]


def register(app: typer.Typer) -> None:
    """Add both groups."""
    app.add_typer(token_app, name="token")
    app.add_typer(approval_app, name="approval")


@token_app.command("make")
@asks
def make(
    ask: Ask,
    name: Name,
    *,
    role: Annotated[str, typer.Option(help="viewer, operator, releaser, security or admin.")],
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 90d.")] = "90d",
    label: Label = None,
) -> None:
    """Make a token and print it; it is not kept and cannot be printed again."""
    said = {"verb": "token.make", "name": name, "role": role, "lasts": lasts}
    ask.tell(ask.do({**said, "labels": pairs(label)}), lambda found: str(found["token"]))


@token_app.command("list")
@asks
def tokens(ask: Ask) -> None:
    """Show all tokens, ended ones too, and nothing of their secrets."""

    def show(found: list[dict[str, Any]]) -> str:
        rows = []
        for view in found:
            end = f"ends {instant(view['expires_ms'])}"
            if view["revoked_ms"]:
                end = f"revoked {instant(view['revoked_ms'])} by {view['revoked_by']}"
            scope = pairs_of(view["labels"]) or "whole fleet"
            rows.append((view["name"], view["role"], scope, view["made_by"], end))
        return table(("token", "role", "scope", "made by", ""), rows, "no tokens")

    ask.tell(ask.do({"verb": "token.list"}), show)


@token_app.command("revoke")
@changes
def revoke(ask: Ask, name: Name) -> None:
    """End a token now."""
    ask.change({"verb": "token.revoke", "name": name})


@token_app.command("whoami")
@asks
def whoami(ask: Ask) -> None:
    """Show whom the gateway takes you for, and what you may."""

    def show(found: dict[str, Any]) -> str:
        scope = pairs_of(found["labels"]) or "whole fleet"
        may = " ".join(found["permissions"])
        return f"{found['name']}  {found['role']}  {scope}\nmay {may}"

    ask.tell(ask.way.whoami(), show)


@approval_app.command("list")
@asks
def approvals(ask: Ask) -> None:
    """Show requests that wait, and those decided lately."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            asked = {key: value for key, value in view["verb"].items() if key != "verb"}
            lines.append(f"{view['number']}  {view['state']}  {view['verb']['verb']}  {asked}")
            lines.append(
                f"  asked {instant(view['asked_ms'])} by {view['asked_by']} ({view['role']})"
            )
            if view["decided_by"]:
                decided = f"  {view['state']} {instant(view['decided_ms'])} by {view['decided_by']}"
                lines.append(f"{decided}: {view['why']}".rstrip(": "))
        return "\n".join(lines) or "no requests"

    ask.tell(ask.do({"verb": "approval.list"}), show)


@approval_app.command("approve")
@asks
def approve(ask: Ask, number: Number, *, why: Why = "") -> None:
    """Agree, and have it done."""
    ask.change({"verb": "approval.decide", "number": number, "approve": True, "why": why})


@approval_app.command("deny")
@asks
def deny(ask: Ask, number: Number, *, why: Why = "") -> None:
    """Say no; it is not done."""
    ask.change({"verb": "approval.decide", "number": number, "approve": False, "why": why})
