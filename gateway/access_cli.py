"""Commands ``fleetdrill token ...`` and ``fleetdrill approval ...``: who may come in, and what a second person decides.

Decides options and words. Leaves out talking to the gateway (cli.py, runtime/knock.py) and the rules
(gateway/core/access).

Rule: the text of a token goes to standard output once and nowhere else, so that it can be piped into a file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.cli import STATE, AsJson, State, _ask, _knock, _pairs, _said

token_app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API.")
approval_app = typer.Typer(no_args_is_help=True, help="Requests that somebody else has to approve.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the request.")]
Why = Annotated[str, typer.Option(help="Why; it is kept in the audit log.")]


def register(app: typer.Typer) -> None:
    """Add both groups."""
    from gateway.alarm_cli import alarm_app

    app.add_typer(alarm_app, name="alarm")
    app.add_typer(token_app, name="token")
    app.add_typer(approval_app, name="approval")


@token_app.command("make")
def make(
    name: Name,
    *,
    role: Annotated[str, typer.Option(help="viewer, operator, releaser, security or admin.")],
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 90d.")] = "90d",
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only for devices with it; repeatable."),
    ] = None,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it; it is not kept and cannot be printed again."""

    def work() -> Any:
        said = {"verb": "token.make", "name": name, "role": role, "lasts": lasts}
        return _asked(state, {**said, "labels": _pairs(label)})

    _ask(work, as_json=as_json, show=lambda found: str(found["token"]))


@token_app.command("list")
def tokens(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Show all tokens, ended ones too, and nothing of their secrets."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            end = f"ends {_instant(view['expires_ms'])}"
            if view["revoked_ms"]:
                end = f"revoked {_instant(view['revoked_ms'])} by {view['revoked_by']}"
            scope = " ".join(f"{key}={value}" for key, value in view["labels"].items())
            lines.append(
                f"{view['name']}  {view['role']}  {scope or 'whole fleet'}  made by {view['made_by']}  {end}"
            )
        return "\n".join(lines) or "no tokens"

    _ask(lambda: _asked(state, {"verb": "token.list"}), as_json=as_json, show=show)


@token_app.command("revoke")
def revoke(name: Name, *, state: State = STATE, as_json: AsJson = False) -> None:
    """End a token now."""
    said = {"verb": "token.revoke", "name": name}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


@approval_app.command("list")
def approvals(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Show requests that wait, and those decided lately."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            asked = {key: value for key, value in view["verb"].items() if key != "verb"}
            lines.append(f"{view['number']}  {view['state']}  {view['verb']['verb']}  {asked}")
            lines.append(
                f"  asked {_instant(view['asked_ms'])} by {view['asked_by']} ({view['role']})"
            )
            if view["decided_by"]:
                decided = (
                    f"  {view['state']} {_instant(view['decided_ms'])} by {view['decided_by']}"
                )
                lines.append(f"{decided}: {view['why']}".rstrip(": "))
        return "\n".join(lines) or "no requests"

    _ask(lambda: _asked(state, {"verb": "approval.list"}), as_json=as_json, show=show)


@approval_app.command("approve")
def approve(
    number: Number, *, why: Why = "", state: State = STATE, as_json: AsJson = False
) -> None:
    """Agree, and have it done."""
    said = {"verb": "approval.decide", "number": number, "approve": True, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


@approval_app.command("deny")
def deny(number: Number, *, why: Why = "", state: State = STATE, as_json: AsJson = False) -> None:
    """Say no; it is not done."""
    said = {"verb": "approval.decide", "number": number, "approve": False, "why": why}
    _ask(lambda: _asked(state, said), as_json=as_json, show=_said)


def _asked(state: Any, said: dict[str, Any]) -> Any:
    import msgspec

    from gateway.runtime import verbs

    return _knock(state, msgspec.convert(said, verbs.AnyVerb))


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
