"""Which curves become which panel of the timeline, and how each panel reads.
Decides titles, order, families and styles for the series that the world records, units and scales
that a reader takes in at a glance, and where the direct label of each curve stands. A series that
is not in the catalogue gets a panel of its own at the end, so that nothing recorded stays unseen.
Leaves out drawing (charts.py).

Rules: a panel without one finite value is not shown; at most `CURVES_MAX` curves a panel, and the
panel says how many it left out; quantiles are drawn as a band around their median.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final, Literal

import msgspec

from devicesim.report.figures import Clock, compact, number, plural, spelled_unit
from devicesim.report.palette import BLUE, CURVES, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from devicesim.report.record import Series
from devicesim.report.thin import thin

Style = Literal["line", "area", "stack", "quantiles"]
CURVES_MAX: Final = len(CURVES)
FRAME_PX: Final = 92
LABEL_PX: Final = 15
_QUANTILES: Final = (("p10", "p50", "p90"), ("p5", "p50", "p95"), ("p50", "p90", "p99"))


class Known(msgspec.Struct, frozen=True):
    """How a series of the catalogue is shown; `notable` says which extreme the title mentions."""

    title: str
    family: str
    style: Style
    colour: str = BLUE
    notable: Literal["lowest", "highest", ""] = "highest"


CATALOGUE: Final[dict[str, Known]] = {
    "online": Known("Online", "Fleet", "area", BLUE, "lowest"),
    "versions": Known("Versions running", "Fleet", "stack", notable=""),
    "retries": Known("Retries", "Fleet", "line", VERMILLION),
    "groups_online_steady": Known("Online, waits without jitter", "Groups", "line", notable=""),
    "groups_online": Known("Online, by group", "Groups", "line", notable=""),
    "groups_connects_steady": Known("Connects, waits without jitter", "Groups", "line"),
    "groups_connects": Known("Connects, by group", "Groups", "line"),
    "transfers": Known("Transfers", "Delivery", "line", BLUE),
    "throughput": Known("Throughput", "Delivery", "area", GREEN),
    "telemetry": Known("Telemetry", "Delivery", "area", PURPLE, "lowest"),
    "temperature": Known("Temperature", "Devices", "quantiles", VERMILLION),
    "throttled": Known("Throttled", "Devices", "area", ORANGE),
    "battery": Known("Battery", "Devices", "quantiles", GREEN, "lowest"),
    "rules": Known("Decisions by rule", "Devices", "stack", notable=""),
    "readings": Known("Readings", "Models", "line", SKY),
    "drift": Known("Drift score", "Models", "line", BLUE),
    "alarms": Known("Alarms", "Models", "line", VERMILLION),
}
FAMILIES: Final = ("Fleet", "Groups", "Delivery", "Devices", "Models", "More")
_UP_FIRST: Final = frozenset({"online", "telemetry"})
"""What begins at nothing because the fleet boots; its lowest point is looked for after that."""
_ALIASES: Final = {"drift_score": "drift", "throttled_share": "throttled"}


class Curve(msgspec.Struct, frozen=True):
    """One curve: its name on the page, colour, values in the panel's own unit."""

    name: str
    colour: str
    values: list[float]


class Label(msgspec.Struct, frozen=True):
    """A direct label at the right end of a curve; `top_px` from the top of the frame."""

    text: str
    colour: str
    value: str
    top_px: float


class Panel(msgspec.Struct, frozen=True):
    """One small multiple; `low` and `high` bound its vertical axis in `unit`."""

    key: str
    title: str
    family: str
    style: Style
    unit: str
    note: str
    t_s: list[float]
    curves: list[Curve]
    labels: list[Label]
    low: float
    high: float
    left_out: int = 0


def plan(series: dict[str, Series], clock: Clock) -> list[Panel]:
    """Turn the series of a record into panels, in reading order, dropping those without data."""
    order = list(CATALOGUE)
    panels = []
    for key, found in series.items():
        panel = _panel(_ALIASES.get(key, key), found, clock)
        if panel is not None:
            panels.append(panel)

    panels = _one_colour_a_version(panels)

    def rank(panel: Panel) -> tuple[int, int]:
        known = order.index(panel.key) if panel.key in CATALOGUE else len(order)
        return FAMILIES.index(panel.family), known

    return sorted(panels, key=rank)


def _one_colour_a_version(panels: list[Panel]) -> list[Panel]:
    """Drift of a version is drawn in the colour that the version has among those that run."""
    colours = {
        c.name: c.colour for panel in panels if panel.key == "versions" for c in panel.curves
    }
    return [_recoloured(panel, colours) if panel.key == "drift" else panel for panel in panels]


def _recoloured(panel: Panel, colours: dict[str, str]) -> Panel:
    """The first curve of each version gets the version's colour, all others what is left."""
    chosen: dict[str, str] = {}
    for curve in panel.curves:
        colour = colours.get(curve.name.partition(" ")[0], "")
        if colour in CURVES and colour not in chosen.values():
            chosen[curve.name] = colour
    rest = [colour for colour in CURVES if colour not in chosen.values()]
    for curve in panel.curves:
        if curve.name not in chosen:
            chosen[curve.name] = rest.pop(0)
    curves = [Curve(curve.name, chosen[curve.name], curve.values) for curve in panel.curves]
    labels = [Label(one.text, chosen[one.text], one.value, one.top_px) for one in panel.labels]
    return msgspec.structs.replace(panel, curves=curves, labels=labels)


def _panel(key: str, series: Series, clock: Clock) -> Panel | None:
    known = CATALOGUE.get(key) or Known(key.replace("_", " ").capitalize(), "More", "line")
    shown = _drawable(series)
    if shown is None:
        return None
    shown, unit = _scaled(shown)
    names, left_out = _choose(shown.values, merge=known.style == "stack")
    style = _style(known.style, names)
    thinned = thin(Series(unit, shown.t_s, names))
    colours = _colours(known.colour, style, list(names))
    curves = [
        Curve(name, colour, thinned.values[name])
        for name, colour in zip(names, colours, strict=True)
    ]
    low, high = _bounds(unit, style, curves)
    note = _note(known.notable, shown.t_s, names, unit, clock, up_first=key in _UP_FIRST)
    return Panel(
        key=key, title=known.title, family=known.family, style=style, unit=spelled_unit(unit),
        note=note, t_s=thinned.t_s, curves=curves, labels=_labels(style, curves, low, high),
        low=low, high=high, left_out=left_out,
    )  # fmt: skip


def _drawable(series: Series) -> Series | None:
    """Keep the curves that have a finite value and as many points as there are instants."""
    values = {
        name: [value if math.isfinite(value) else math.nan for value in curve]
        for name, curve in series.values.items()
        if len(curve) == len(series.t_s) and any(math.isfinite(value) for value in curve)
    }
    return Series(series.unit, series.t_s, values) if values else None


def _scaled(series: Series) -> tuple[Series, str]:
    """Bring shares to per cent and bytes to a prefix, so that axis numbers are short."""
    unit, factor = series.unit, 1.0
    peak = max(abs(v) for curve in series.values.values() for v in curve if not math.isnan(v))
    if unit == "share":
        factor, unit = 100.0, "%"
    elif unit in {"B", "B/s", "bytes", "bytes/s"}:
        per = "/s" if unit.endswith("/s") else ""
        step = next((s for s in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if peak >= s[0]), (1, "B"))
        factor, unit = 1 / step[0], step[1] + per
    if factor == 1.0:
        return series, unit
    values = {name: [v * factor for v in curve] for name, curve in series.values.items()}
    return Series(unit, series.t_s, values), unit


def _choose(values: dict[str, list[float]], *, merge: bool) -> tuple[dict[str, list[float]], int]:
    """Keep the curves with the highest peaks; of a stack the rest are summed as *others*."""
    if len(values) <= CURVES_MAX:
        return values, 0
    room = CURVES_MAX - 1 if merge else CURVES_MAX
    peaks = sorted(values, key=lambda name: -max(v for v in values[name] if not math.isnan(v)))
    kept = {name: curve for name, curve in values.items() if name in peaks[:room]}
    if not merge:
        return kept, len(values) - room
    rest = [values[name] for name in peaks[room:]]
    kept["others"] = [
        sum(v for v in column if not math.isnan(v)) for column in zip(*rest, strict=True)
    ]
    return kept, 0


def _style(wanted: Style, names: dict[str, list[float]]) -> Style:
    if wanted == "quantiles" and tuple(names) not in _QUANTILES:
        return "line"
    return "line" if wanted == "area" and len(names) > 1 else wanted


def _colours(first: str, style: Style, names: list[str]) -> list[str]:
    if style == "quantiles":
        return [first] * len(names)
    rest = [colour for colour in CURVES if colour != first]
    return [GREY if name == "others" else colour
            for name, colour in zip(names, [first, *rest], strict=False)]  # fmt: skip


def _bounds(unit: str, style: Style, curves: list[Curve]) -> tuple[float, float]:
    columns = zip(*(curve.values for curve in curves), strict=True)
    if style == "stack":
        flat = [sum(v for v in column if not math.isnan(v)) for column in columns]
    else:
        flat = [v for column in columns for v in column if not math.isnan(v)]
    low, high = min(flat), max(flat)
    if unit == "C":
        pad = max(1.0, (high - low) * 0.1)
        return low - pad, high + pad
    if high <= 0 and low >= 0:
        return 0.0, 1.0
    top = high * (1.0 if style == "stack" else 1.1) if high > 0 else 0.0
    if unit == "%" and high <= 100:
        top = min(top, 100.0)
    return (low * 1.1 if low < 0 else 0.0), top


def _note(
    notable: str, t_s: list[float], names: dict[str, list[float]], unit: str, clock: Clock,
    *, up_first: bool,
) -> str:  # fmt: skip
    """Say the extreme and when it was; quantiles speak of their outer curve."""
    if not notable:
        return ""
    curve = next(iter(names.values())) if notable == "lowest" else _highest(names)
    places = [i for i, value in enumerate(curve) if not math.isnan(value)]
    if up_first:
        places = places[risen([curve[i] for i in places]) :]
    pick = min if notable == "lowest" else max
    place = pick(places, key=curve.__getitem__)
    value = f"{compact(curve[place])} {spelled_unit(unit)}".strip()
    return f"{notable} {value} at {clock.at(t_s[place])}"


def measured(values: list[float]) -> list[float]:
    """The values without the gaps where nothing was measured."""
    return [value for value in values if not math.isnan(value)]


def risen(values: list[float]) -> int:
    """Where a curve that begins at nothing has come up: its first value that no higher one follows; 0 when it never does."""
    return next((i for i, (value, then) in enumerate(pairwise(values)) if 0 < value >= then), 0)


def alone(values: list[float]) -> list[float]:
    """The values that have no neighbour, and nothing elsewhere; empty when there is none. A line does not show them."""
    padded = [math.nan, *values, math.nan]
    found = [
        value if math.isnan(padded[i]) and math.isnan(padded[i + 2]) else math.nan
        for i, value in enumerate(values)
    ]
    return found if any(not math.isnan(value) for value in found) else []


def _highest(names: dict[str, list[float]]) -> list[float]:
    return max(names.values(), key=lambda curve: max(v for v in curve if not math.isnan(v)))


def _labels(style: Style, curves: list[Curve], low: float, high: float) -> list[Label]:
    """Place a label at the end of each curve, pushed apart where they would overlap."""
    ends = _ends(style, curves)
    marks = sorted(
        (FRAME_PX * (1 - (place - low) / (high - low)), index) for index, place in enumerate(ends)
    )
    tops = _apart([top for top, _ in marks])
    return [
        Label(curves[i].name, curves[i].colour, number(_last(curves[i].values)), top)
        for top, (_, i) in zip(tops, marks, strict=True)
    ]


def _ends(style: Style, curves: list[Curve]) -> list[float]:
    """Where each curve leaves the frame on the right; in a stack, the middle of its layer."""
    last = [_last(curve.values) for curve in curves]
    if style != "stack":
        return last
    floor, middles = 0.0, []
    for value in last:
        middles.append(floor + value / 2)
        floor += value
    return middles


def _last(values: list[float]) -> float:
    return next((v for v in reversed(values) if not math.isnan(v)), 0.0)


def _apart(tops: list[float]) -> list[float]:
    """Push ascending positions apart by `LABEL_PX`, then back up from the bottom of the frame."""
    placed: list[float] = []
    for top in tops:
        placed.append(max(top, placed[-1] + LABEL_PX) if placed else max(top, LABEL_PX / 2))
    limit = FRAME_PX - LABEL_PX / 2
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - LABEL_PX
    return placed


def busy(panels: list[Panel]) -> tuple[list[Panel], list[str]]:
    """Part panels into those to draw, and the titles of those whose curves are zero throughout.

    Nobody online is something to see, so that panel is always drawn.
    """
    quiet = [
        panel.key != "online"
        and not any(v for curve in panel.curves for v in curve.values if not math.isnan(v))
        for panel in panels
    ]
    drawn = [panel for panel, still in zip(panels, quiet, strict=True) if not still]
    return drawn, [panel.title for panel, still in zip(panels, quiet, strict=True) if still]


def left_out_text(panel: Panel) -> str:
    """Say how many curves a panel does not show; empty when it shows all."""
    return f"{plural(panel.left_out, 'smaller curve')} not shown" if panel.left_out else ""
