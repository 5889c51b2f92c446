r"""The page that people look at after a rehearsal: one HTML file that needs nothing else.
Decides how the page is put together: style sheet, script, BokehJS and the timeline's data are all
inside, and a Content-Security-Policy forbids it to load anything or to run a script other than its
own two, named by hash. Leaves out what the page says (view.py), the curves (charts.py) and where
the file goes: `render` returns text and touches no file but this package's own assets.

Rules: everything from a scenario is escaped, by Jinja in the markup and as ``\u003c`` in the data;
the file stays below `PAGE_BYTES_MAX` because long series are thinned (thin.py).
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any, Final

from bokeh.core.json_encoder import serialize_json
from markupsafe import Markup

from devicesim.report.charts import LEFT_PX, RIGHT_PX, Timeline, bokeh_js, timeline
from devicesim.report.drift import drift
from devicesim.report.figures import Clock
from devicesim.report.glance import glance
from devicesim.report.lanes import lanes, percent, span_s
from devicesim.report.pages import asset, environment
from devicesim.report.panels import FRAME_PX, Panel, busy, left_out_text, plan
from devicesim.report.record import RunRecord
from devicesim.report.view import context

PAGE_BYTES_MAX: Final = 5_000_000
_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)


def render(record: RunRecord) -> str:
    """Make the page of a run.

    Raises:
        ValueError: `clock_start` is not an ISO 8601 instant.
    """
    clock = Clock(record.clock_start, record.virtual_s)
    panels, quiet = busy(plan(record.series, clock))
    drawn = timeline(record, panels, clock)
    scripts = [asset("report.js")]
    if drawn is not None:
        scripts.insert(0, _bokeh())
    parts = context(record) | {
        "policy": _POLICY.format(scripts=" ".join(_source_hash(text) for text in scripts)),
        "style": Markup(asset("report.css")),  # noqa: S704 - our own file
        "scripts": [Markup(text) for text in scripts],  # noqa: S704 - ours and Bokeh's
        "strips": drift(record, clock),
        "glance": glance(record, clock),
        "timeline": None if drawn is None else _timeline(record, panels, drawn, clock),
        "quiet": quiet,
    }
    return environment().get_template("report.html.j2").render(parts)


def _timeline(
    record: RunRecord, panels: list[Panel], drawn: Timeline, clock: Clock
) -> dict[str, Any]:
    span = span_s(record)
    bad = record.first_bad_minute
    families: dict[str, list[dict[str, Any]]] = {}
    for panel in panels:
        families.setdefault(panel.family, []).append({
            "panel": panel, "element": drawn.elements[panel.key],
            "left_out": left_out_text(panel),
        })  # fmt: skip
    return {
        "families": families,
        "lanes": lanes(record),
        "overview": drawn.overview,
        "overview_title": panels[0].title,
        "data": Markup(_embeddable(drawn.payload)),  # noqa: S704 - escaped by _embeddable
        "zero_ms": clock.epoch_ms,
        "span_s": span,
        "bad_at": None if bad is None else percent(bad.at_s, span),
        "left_px": LEFT_PX, "right_px": RIGHT_PX, "frame_px": FRAME_PX,
    }  # fmt: skip


def _embeddable(payload: dict[str, Any]) -> str:
    """Spell data as JSON that no content of it can end the script element of."""
    text = serialize_json(payload)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _bokeh() -> str:
    """BokehJS, made safe to stand inside a script element."""
    return bokeh_js().replace("</script", "<\\/script").strip()
