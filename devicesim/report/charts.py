"""The timeline as BokehJS documents: small multiples that share one time axis.
Decides how panels (panels.py) are drawn: one frame each, faults as tinted bands behind the curves,
a crosshair through all of them, drag to zoom, and an overview strip whose window follows. Leaves
out titles, labels of curves and names of faults, which are text on the page and not on a canvas.

Rules: BokehJS core alone, and no ``CustomJS`` of any kind, because those need ``unsafe-eval`` in
the page's Content-Security-Policy. All frames have the same left and right borders, so that a
column of pixels is the same instant in all of them, and the page's own lanes line up with them.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import numpy as np
from bokeh.document import Document
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    DatetimeTicker,
    DatetimeTickFormatter,
    HoverTool,
    LinearAxis,
    NumeralTickFormatter,
    Plot,
    PrintfTickFormatter,
    Range1d,
    RangeTool,
    SingleIntervalTicker,
    WheelZoomTool,
)  # fmt: skip
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure
from bokeh.resources import Resources

from devicesim.report.figures import Clock, elapsed, shortened
from devicesim.report.lanes import MENDING, span_s
from devicesim.report.palette import BLUE, FAMILY_COLOURS, GREY, VERMILLION, family
from devicesim.report.panels import FRAME_PX, Panel, alone
from devicesim.report.record import Band, RunRecord

LEFT_PX: Final = 92
RIGHT_PX: Final = 20
AXIS_PX: Final = 24
TOP_PX: Final = 7
OVERVIEW_PX: Final = 62
INK: Final = "#6B7280"
_GRID: Final = "rgba(128, 136, 148, 0.22)"
_BAND_ALPHA: Final = 0.11
_NAME_CHARS: Final = 40
_UNIT_SAFE: Final = re.compile(r"[^\w %/.*\u00b0-]")
_HOUR_MS: Final = 3_600_000.0
_HOUR_STEPS: Final = (0.25, 0.5, 1, 2, 3, 4, 6, 12, 24, 48, 96, 168)


class Timeline(msgspec.Struct, frozen=True):
    """What the page needs: BokehJS documents, and the element that each panel's plot goes into."""

    payload: dict[str, Any]
    elements: dict[str, str]
    overview: str | None
    axis_keys: frozenset[str]


def bokeh_js() -> str:
    """Return the text of BokehJS core, minified, as Bokeh ships it."""
    resources = Resources(mode="inline", minified=True, components=["bokeh"])
    return "\n".join(resources.js_raw)


def timeline(record: RunRecord, panels: list[Panel], clock: Clock) -> Timeline | None:
    """Draw the panels; None when there are none."""
    if not panels:
        return None
    board = _Board(record, panels, clock)
    plots = {panel.key: board.draw(panel) for panel in panels}
    overview = board.overview(panels[0])
    elements = {key: f"plot-{index}" for index, key in enumerate(plots)}
    document = Document()
    roots = {}
    for key, plot in [*plots.items(), ("", overview)]:
        document.add_root(plot)
        roots[plot.id] = elements.get(key, "plot-overview")
    payload = {
        "docs": {"timeline": document.to_json(deferred=False)},
        "items": [{"docid": "timeline", "roots": roots, "root_ids": list(roots)}],
    }
    return Timeline(payload, elements, "plot-overview", board.axis_keys)


class _Board:
    """What all plots of one timeline share."""

    def __init__(self, record: RunRecord, panels: list[Panel], clock: Clock) -> None:
        self._zero = clock.epoch_ms
        self._end = self._zero + span_s(record) * 1000
        self._bands = record.bands
        bad = record.first_bad_minute
        self._bad_ms = None if bad is None else self._zero + bad.at_s * 1000
        self._range = Range1d(
            start=self._zero,
            end=self._end,
            bounds=(self._zero, self._end),
            name="time",
            min_interval=60_000,
        )
        self._cross = Span(dimension="height", line_color=GREY, line_width=1, line_dash="dotted")
        last_of_family = {panel.family: panel.key for panel in panels}
        self.axis_keys = frozenset(last_of_family.values())

    def draw(self, panel: Panel) -> Plot:
        """Draw one panel."""
        axis_px = AXIS_PX if panel.key in self.axis_keys else 9
        plot = self._frame(self._range, FRAME_PX + TOP_PX + axis_px, axis_px)
        plot.y_range = Range1d(start=panel.low, end=panel.high)
        self._style_axes(plot, with_time=panel.key in self.axis_keys)
        self._shade(plot)
        source = self._source(panel)
        _DRAW[panel.style](plot, panel, source)
        self._tools(plot, panel, source)
        return plot

    def overview(self, panel: Panel) -> Plot:
        """Draw the first panel small, over the whole run, with the window that is shown below."""
        fixed = Range1d(start=self._zero, end=self._end)
        plot = self._frame(fixed, OVERVIEW_PX, AXIS_PX)
        plot.y_range = Range1d(start=panel.low, end=panel.high)
        plot.yaxis.visible = False
        plot.xaxis.visible = False
        plot.ygrid.visible = False
        plot.xgrid.visible = False
        curve = panel.curves[0]
        source = ColumnDataSource({"t": self._times(panel.t_s), "y": _array(curve.values)})
        plot.varea("t", 0, "y", source=source, fill_color=BLUE, fill_alpha=0.22)
        self._mark_bad(plot)
        hours = (self._end - self._zero) / _HOUR_MS
        plot.extra_x_ranges = {"hours": Range1d(start=0.0, end=hours)}
        step = next((s for s in _HOUR_STEPS if hours / s <= 13), hours / 10)
        axis: Any = LinearAxis(x_range_name="hours")
        axis.ticker = SingleIntervalTicker(interval=step, num_minor_ticks=0)
        axis.formatter = PrintfTickFormatter(format="+%g h")
        plot.add_layout(axis, "below")
        _quiet(axis)
        tool = RangeTool(x_range=self._range)
        tool.overlay.fill_color = GREY
        tool.overlay.fill_alpha = 0.12
        tool.overlay.line_color = GREY
        plot.add_tools(tool)
        plot.toolbar.active_multi = "auto"
        return plot

    def _frame(self, x_range: Range1d, height_px: int, axis_px: int) -> figure:
        plot = figure(
            height=height_px, sizing_mode="stretch_width", x_range=x_range, x_axis_type="datetime",
            toolbar_location=None, tools=[], min_border_left=LEFT_PX, min_border_right=RIGHT_PX,
            min_border_top=TOP_PX, min_border_bottom=axis_px, output_backend="canvas",
        )  # fmt: skip
        plot.background_fill_color = None
        plot.border_fill_color = None
        plot.outline_line_color = None
        return plot

    def _style_axes(self, plot: figure, *, with_time: bool) -> None:
        plot.xgrid.grid_line_color = _GRID
        plot.ygrid.grid_line_color = _GRID
        plot.ygrid.grid_line_dash = [2, 3]
        plot.yaxis.ticker = BasicTicker(desired_num_ticks=3, num_minor_ticks=0)
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
        ticker = DatetimeTicker(desired_num_ticks=12, num_minor_ticks=0)
        plot.xaxis.ticker = ticker
        plot.xgrid.ticker = ticker
        plot.xaxis.formatter = DatetimeTickFormatter(
            minutes="%H:%M", hourmin="%H:%M", hours="%H:%M", days="%d %b", minsec="%H:%M:%S",
            seconds="%H:%M:%S",
        )  # fmt: skip
        plot.xaxis.visible = with_time
        for axis in plot.axis:
            _quiet(axis)

    def _shade(self, plot: figure) -> None:
        for band in self._bands:
            if band.kind in MENDING:  # a repair is no outage: its bar above the curves is enough
                continue
            plot.add_layout(self._box(band))
        self._mark_bad(plot)

    def _box(self, band: Band) -> BoxAnnotation:
        return BoxAnnotation(
            left=self._zero + band.start_s * 1000,
            right=min(self._zero + band.end_s * 1000, self._end),
            fill_color=FAMILY_COLOURS[family(band.kind)], fill_alpha=_BAND_ALPHA, line_color=None,
            level="underlay",
        )  # fmt: skip

    def _mark_bad(self, plot: figure) -> None:
        if self._bad_ms is not None:
            plot.add_layout(Span(
                location=self._bad_ms, dimension="height", line_color=VERMILLION, line_width=1.5,
                line_dash="dashed",
            ))  # fmt: skip

    def _times(self, t_s: list[float]) -> Any:
        return self._zero + np.asarray(t_s, dtype=np.float64) * 1000

    def _source(self, panel: Panel) -> ColumnDataSource:
        columns: dict[str, Any] = {"t": self._times(panel.t_s)}
        columns["e"] = [elapsed(at_s) for at_s in panel.t_s]
        floor = np.zeros(len(panel.t_s))
        for index, curve in enumerate(panel.curves):
            values = _array(curve.values)
            columns[f"c{index}"] = values
            if panel.style == "stack":
                top = floor + np.nan_to_num(values)
                columns[f"low{index}"], columns[f"top{index}"] = floor, top
                floor = top
        return ColumnDataSource(columns)

    def _tools(self, plot: figure, panel: Panel, source: ColumnDataSource) -> None:
        drag = BoxZoomTool(dimensions="width")
        scroll = WheelZoomTool(dimensions="width", modifiers="ctrl")
        probe = plot.line("t", "c0", source=source, line_alpha=0)
        # BokehJS reads the value's template as HTML with @columns; the name is plain text to it.
        unit = f" {_UNIT_SAFE.sub('', panel.unit)}" if panel.unit else ""
        rows = [("", "@t{%d %b %H:%M}  (@e)")]
        rows += [
            (shortened(curve.name, _NAME_CHARS), f"@c{index}{{0,0.[00]}}{unit}")
            for index, curve in enumerate(panel.curves)
        ]
        plot.add_tools(
            HoverTool(renderers=[probe], mode="vline", tooltips=rows, formatters={"@t": "datetime"},
                      point_policy="follow_mouse"),
            CrosshairTool(dimensions="height", overlay=self._cross),
            drag,
            scroll,
        )  # fmt: skip
        toolbar: Any = plot.toolbar
        toolbar.active_drag, toolbar.active_scroll = drag, scroll


def _area(plot: figure, panel: Panel, source: ColumnDataSource) -> None:
    colour = panel.curves[0].colour
    base = max(0.0, panel.low)
    plot.varea("t", base, "c0", source=source, fill_color=colour, fill_alpha=0.16)
    plot.line("t", "c0", source=source, line_color=colour, line_width=1.6)


def _lines(plot: figure, panel: Panel, source: ColumnDataSource) -> None:
    for index, curve in reversed(list(enumerate(panel.curves))):
        plot.line("t", f"c{index}", source=source, line_color=curve.colour, line_width=1.6)
        if alone(curve.values):  # one that has no neighbours is no line
            points = f"alone{index}"
            source.data[points] = _array(alone(curve.values))
            plot.scatter("t", points, source=source, color=curve.colour, size=5)


def _stack(plot: figure, panel: Panel, source: ColumnDataSource) -> None:
    for index, curve in enumerate(panel.curves):
        plot.varea(
            "t", f"low{index}", f"top{index}", source=source, fill_color=curve.colour,
            fill_alpha=0.75,
        )  # fmt: skip


def _quantiles(plot: figure, panel: Panel, source: ColumnDataSource) -> None:
    colour = panel.curves[0].colour
    plot.varea("t", "c0", "c2", source=source, fill_color=colour, fill_alpha=0.18)
    plot.line("t", "c1", source=source, line_color=colour, line_width=1.8)


_DRAW: Final = {"area": _area, "line": _lines, "stack": _stack, "quantiles": _quantiles}


def _quiet(axis: Any) -> None:
    """Give an axis small grey numbers and nothing else; the tag lets the page follow the theme."""
    axis.axis_line_color = None
    axis.major_tick_line_color = None
    axis.minor_tick_line_color = None
    axis.major_tick_out = axis.major_tick_in = axis.minor_tick_out = 0
    axis.major_label_standoff = 6
    axis.major_label_text_color = INK
    axis.major_label_text_font_size = "11px"
    axis.major_label_text_font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
    axis.tags = ["ink"]


def _array(values: list[float]) -> Any:
    return np.asarray(values, dtype=np.float32)
