"""``fleetdrill rollout watch``: look on while a rollout goes on.

Decides when to leave, with which exit code, and how a change is told: a picture that is drawn anew on a terminal, a line in
a pipe, a JSON object a line with ``--json``. Leaves out how changes are heard of (gateway/client/follow.py) and the picture
(live.py).

Exit codes: 0 it came to what was waited for; 1 it ended otherwise; 130 Ctrl-C (the rollout goes on); and those of
asking.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from gateway.commands.asking import EXIT_DONE, EXIT_REFUSED, Ask, _sleep, asks
from gateway.commands.completing import rollout_ids
from gateway.commands.words import clean, instant

ENDS: Final = ("completed", "halted", "aborted")
STATES: Final = ("waiting", "running", "paused", *ENDS)
UNTIL: Final = "completed, halted, aborted, paused, running, approval or ended"
_APPROVAL, _ENDED = "approval", "ended"
Show = Callable[[dict[str, Any]], None]


@asks
def watch(
    ask: Ask,
    name: Annotated[
        str,
        typer.Argument(metavar="ROLLOUT", help="Id of the rollout.", autocompletion=rollout_ids),
    ],
    *,
    until: Annotated[str, typer.Option(help=f"Leave when it is {UNTIL}.")] = "completed",
) -> int:
    """Look on while a rollout goes on: waves, gates, evidence; Ctrl-C leaves, and it goes on."""
    return look_on(ask, name, until)


def look_on(ask: Ask, name: str, until: str) -> int:
    """Show a rollout until it is what was waited for, or has ended; returns the exit code.

    Raises:
        ValueError: `until` is nothing to wait for.
    """
    from gateway.client.follow import follow

    if until not in {*STATES, _APPROVAL, _ENDED}:
        raise ValueError(f"expected --until {UNTIL}, found {until!r}")
    with _shown(as_json=ask.as_json) as (show, trouble):
        for view in follow(ask.way, name, _sleep, trouble):
            show(view)
            if reached(view, until):
                return EXIT_DONE
            if view["state"] in ENDS:
                return EXIT_REFUSED
    raise AssertionError("states of a rollout end with it")


def reached(view: dict[str, Any], until: str) -> bool:
    """Whether a rollout is what was waited for."""
    if until == _APPROVAL:
        return view["approval"] is not None
    if until == _ENDED:
        return view["state"] in ENDS
    return bool(view["state"] == until)


def line_of(view: dict[str, Any]) -> str:
    """A rollout in one line."""
    waves = view["waves"]
    words = [view["id"], view["state"]]
    if waves:
        wave = waves[-1]
        counts = ", ".join(
            f"{wave[key]} {word}"
            for key, word in (
                ("committed", "committed"), ("failed", "failed"), ("rolled_back", "rolled back"),
                ("unreached", "not reached"),
            ) if wave[key] or key == "committed"
        )  # fmt: skip
        words.append(f"wave {len(waves) - 1}: {counts} of {wave['size']}")
        words.append(f"e-value {wave['e_value']:.3g}")
    if view["why"]:
        words.append(view["why"])
    return clean("; ".join([" ".join(words[:2]), *words[2:]]))


@contextmanager
def _shown(*, as_json: bool) -> Iterator[tuple[Show, Callable[[str], None]]]:
    """How a state, and why none is heard, is shown."""
    if as_json:
        yield (lambda view: typer.echo(json.dumps(view))), _said
    elif sys.stdout.isatty():
        from gateway.commands.live import picture

        with picture() as (draw, trouble):
            yield draw, trouble
    else:
        yield _Lines(), _said


def _said(why: str) -> None:
    typer.echo(f"fleetdrill: {why}; trying again", err=True)


class _Lines:
    """A line for each change that can be seen in it."""

    def __init__(self) -> None:
        from devicesdk.aio.clock import RealClock

        self._clock, self._last = RealClock(), ""

    def __call__(self, view: dict[str, Any]) -> None:
        """Print a state, unless its line is the last one."""
        line = line_of(view)
        if line != self._last:
            self._last = line
            typer.echo(f"{instant(self._clock.wall_ms())}  {line}")
            sys.stdout.flush()
