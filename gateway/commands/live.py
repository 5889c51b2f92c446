"""The picture that ``fleetdrill rollout watch`` draws on a terminal: waves, gates, evidence, and the curve so far.

Decides what is where and in which colour. Leaves out when it is drawn (watching.py).

Rules: text that came from a gateway is text, never markup; the curve is of the states that were seen, one a change, and
no more than `CURVE_MAX` of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.commands.words import clean, clock, curve, pairs_of, percent

CURVE_MAX: Final = 600
BAR_CELLS: Final = 12
WEIGHT_CELLS: Final = 6
_COLOURS: Final = {
    "running": "cyan", "waiting": "yellow", "paused": "yellow", "completed": "green",
    "halted": "bold red", "aborted": "red",
}  # fmt: skip
_SOFT: Final = "dim"
_BAD: Final = "red"


@contextmanager
def picture(
    console: Console | None = None,
) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[str], None]]]:
    """A picture; gives what draws a state, and what says why none is heard."""
    seen: deque[float] = deque(maxlen=CURVE_MAX)
    latest: dict[str, Any] = {}
    screen = console or Console(highlight=False)
    with Live(console=screen, auto_refresh=False, transient=False) as live:

        def draw(view: dict[str, Any]) -> None:
            latest.update(view)
            seen.append(float(sum(wave["committed"] for wave in view["waves"])))
            live.update(drawn(view, list(seen)), refresh=True)

        def trouble(why: str) -> None:
            live.update(drawn(latest, list(seen), why) if latest else Text(why), refresh=True)

        yield draw, trouble


def drawn(view: dict[str, Any], seen: list[float], trouble: str = "") -> RenderableType:
    """A rollout as a picture.

    Args:
        view: its state.
        seen: devices that had committed, in each state so far.
        trouble: why nothing is heard.
    """
    state = view["state"]
    title = Text.assemble(
        (clean(view["id"]), "bold"), "  ", clean(view["bundle"]), "  ", (state, _COLOURS.get(state, "")),
    )  # fmt: skip
    parts: list[RenderableType] = [_gates(view["plan"]), _waves(view)]
    members = sum(wave["size"] for wave in view["waves"])
    if len(seen) > 1:
        parts.append(Text.assemble(("committed  ", _SOFT), (curve(seen, members), "green")))
    if view["why"]:
        parts.append(Text(clean(view["why"])))
    if view["approval"] is not None:
        word = f"wave {view['approval']} waits: fleetdrill rollout approve {clean(view['id'])}"
        parts.append(Text(word, "bold yellow"))
    if trouble:
        parts.append(Text(clean(trouble), "yellow"))
    return Panel(
        Group(*parts), title=title, title_align="left", subtitle=Text("Ctrl-C leaves; it goes on", _SOFT),
        subtitle_align="right", padding=(0, 1),
    )  # fmt: skip


def _gates(plan: dict[str, Any]) -> Text:
    """What must hold between waves."""
    chosen = pairs_of(plan["selector"]) or "all devices"
    return Text(
        clean(
            f"{chosen}; quorum {percent(plan['quorum'])}, soak {plan['soak_s']:g} s, up to "
            f"{percent(plan['failures'])} may fail, halts past an e-value of {plan['evidence']:g}; on a halt "
            f"{plan['on_halt']}"
        ),
        _SOFT,
    )


def _waves(view: dict[str, Any]) -> Table:
    """A row for each wave, open, closed or to come."""
    plan = view["plan"]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style=_SOFT)
    for name in ("wave", "share", "opened", "", "done", "bad", "e-value", "", "verdict"):
        right = name in {"wave", "share", "done", "bad", "e-value"}
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "verdict")
    for place, share in enumerate(plan["waves"]):
        if place < len(view["waves"]):
            _opened(table, place, view["waves"][place], plan["evidence"])
        else:
            dots = (str(place), percent(share), "-", "", "", "", "", "", "")
            table.add_row(*(Text(word, _SOFT) for word in dots))
    return table


def _opened(table: Table, place: int, wave: dict[str, Any], evidence: float) -> None:
    bad = wave["failed"] + wave["rolled_back"]
    weight = _weight(wave["e_value"], evidence)
    colour = _BAD if weight >= 1 else "yellow" if weight > 0.5 else "green"
    table.add_row(
        Text(str(place)),
        Text(percent(wave["share"])),
        Text(clock(wave["opened_ms"])),
        _bar(wave["committed"], max(1, wave["size"]), BAR_CELLS, "green"),
        Text(f"{wave['committed']}/{wave['size']}"),
        Text(str(bad), _BAD if bad else _SOFT),
        Text(f"{wave['e_value']:.3g}"),
        _bar(weight, 1.0, WEIGHT_CELLS, colour),
        Text(clean(wave["verdict"])),
    )  # fmt: skip


def _bar(done: float, whole: float, cells: int, colour: str) -> ProgressBar:
    return ProgressBar(
        total=whole, completed=done, width=cells, complete_style=colour, finished_style=colour
    )


def _weight(e_value: float, evidence: float) -> float:
    """How far evidence is on its way to a halt, 0 to 1, as factors."""
    if e_value <= 1 or evidence <= 1:
        return 1.0 if e_value > evidence else 0.0
    return min(1.0, math.log(e_value) / math.log(evidence))
