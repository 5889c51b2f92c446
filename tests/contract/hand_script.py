"""What a hand-written script is, and the two tables it may stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

TABLE: list[HandScript] = []
"""Played on one broker after the other."""
RESTARTS: list[HandScript] = []
"""Each needs a broker of its own."""


@dataclass
class HandScript:
    """What is played, what each client must have been told, and where mosquitto differs and why."""

    play: Callable
    expect: dict[str, list[str]]
    mosquitto: dict[str, list[str]] = field(default_factory=dict)
    because: str = ""

    @property
    def name(self) -> str:
        return self.play.__name__


def script(table=TABLE, mosquitto=None, because="", **expect):
    def add(play: Callable) -> Callable:
        table.append(HandScript(play, expect, mosquitto or {}, because))
        return play

    return add
