"""``fleetdrill keys publish``: hand role metadata that was signed offline to a gateway.

Decides what is told of each file. Leaves out signing (gateway/roles_cli.py, gateway/adapters/ceremony.py).

Rule: files are handed over in the order in which they were named, because each needs the one before: a root first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands.asking import Ask, changes, said_of


@changes
def publish(
    ask: Ask, files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)]
) -> None:
    """Hand signed roots and targets to a gateway, in this order."""
    from gateway.adapters import ceremony
    from gateway.runtime import verbs

    said: list[str] = []
    for file in files:
        digest = ask.way.store(ceremony.read(file), _nobody)
        found: dict[str, Any] = ask.way.ask(verbs.RegisterRole(digest=digest.hex()))
        said += found["said"]
    ask.tell({"said": said}, said_of)


def _nobody(_: int) -> None:
    """Such files are small: nobody waits."""
