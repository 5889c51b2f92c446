"""Commands ``fleetdrill flag set|get|list`` and ``fleetdrill kill``.

Decides options, and that ``on`` and ``off`` are short for a switch. Leaves out what a flag means (devicesdk/agent) and
how it is signed and sent (gateway/core/control).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from gateway.commands.asking import EXIT_DONE, Ask, asks, changes
from gateway.commands.completing import feature_names, flag_names, segment_names
from gateway.commands.words import clean, table

flag_app = typer.Typer(no_args_is_help=True, help="Set feature flags, and look at them.")
SWITCH: Final = {"state": "ENABLED", "variants": {"on": True, "off": False}}
EXAMPLE: Final = json.dumps({**SWITCH, "defaultVariant": "on"})
FOUND_CHARS_MAX: Final = 60
Segment = Annotated[
    str, typer.Argument(help="Segment of devices, such as all.", autocompletion=segment_names)
]


@flag_app.command("set")
@changes
def flag_set(
    ask: Ask,
    segment: Segment,
    flag: Annotated[str, typer.Argument(help="Name of the flag.", autocompletion=flag_names)],
    definition: Annotated[str, typer.Argument(help="on, off, or a flagd flag definition as JSON.")],
) -> None:
    """Set one flag of a segment."""
    said = {"segment": segment, "flag": flag, "definition": definition_of(definition)}
    ask.change({"verb": "flag.set", **said})


def definition_of(said: str) -> dict[str, Any]:
    """The flagd definition that a word or a JSON object says.

    Raises:
        ValueError: it is neither.
    """
    import msgspec

    if said in SWITCH["variants"]:
        return {**SWITCH, "defaultVariant": said}
    try:
        return msgspec.json.decode(said, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(
            f"expected on, off, or a flagd flag definition as JSON such as {EXAMPLE!r}, found "
            f"{said[:FOUND_CHARS_MAX]!r} ({error}); quote JSON for the shell"
        ) from error


@flag_app.command("get")
@asks
def flag_get(
    ask: Ask,
    segment: Segment,
    flag: Annotated[
        str | None, typer.Argument(help="Name of the flag; all.", autocompletion=flag_names)
    ] = None,
) -> None:
    """Show one flag of a segment, or all of them, as flagd definitions."""
    from gateway.runtime.verbs import VerbError

    found = ask.do({"verb": "flag.show", "segment": segment})
    if flag is not None:
        if flag not in found["flags"]:
            raise VerbError("unknown", f"expected a flag of the segment {segment}, found {flag!r}")
        found = found["flags"][flag]
    ask.tell(found, lambda found: json.dumps(found, indent=2))


@flag_app.command("list")
@asks
def flag_list(ask: Ask) -> None:
    """Show all segments with the names of their flags."""

    def show(found: list[dict[str, Any]]) -> str:
        rows = [(one["segment"], one["rev"], " ".join(one["flags"])) for one in found]
        return table(("segment", "revision", "flags"), rows, "no flags")

    ask.tell(ask.do({"verb": "flag.list"}), show)


@changes
def kill(
    ask: Ask,
    feature: Annotated[
        str | None,
        typer.Argument(
            metavar="[FEATURE]",
            help="Feature to kill on all devices; without one: show what is killed.",
            autocompletion=feature_names,
        ),
    ] = None,
    *,
    revive: Annotated[bool, typer.Option("--revive", help="Let it run again.")] = False,
) -> int:
    """Kill a feature on all devices, now."""
    if feature is not None:
        ask.change({"verb": "kill", "feature": feature, "alive": revive})
        return EXIT_DONE
    if revive:
        raise ValueError(
            "expected a feature that shall run again, found none: see `fleetdrill kill`"
        )

    def show(found: dict[str, Any]) -> str:
        return "\n".join(map(clean, found["features"])) or "nothing is killed"

    ask.tell(ask.do({"verb": "kill.list"}), show)
    return EXIT_DONE
