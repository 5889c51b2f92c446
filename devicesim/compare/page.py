"""The page of a comparison: one HTML file that needs nothing else.

Decides how it is put together: the report's own style sheet with a few rules more, no script at all, and a
Content-Security-Policy that forbids both. Leaves out what it says (view.py) and where it goes.

Rule: everything from a scenario is escaped by Jinja.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from devicesim.compare.result import Comparison
from devicesim.compare.view import context
from devicesim.report.figures import printable

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def render(found: Comparison, folder: Path) -> str:
    """Make the page.

    Args:
        found: the comparison.
        folder: where the page will be, for links to the runs' own pages.
    """
    style = (
        f"{_asset('devicesim.report', 'report.css')}\n{_asset('devicesim.compare', 'compare.css')}"
    )
    parts = context(found, folder) | {
        "policy": _POLICY,
        "style": Markup(style),  # noqa: S704 - our own files
    }
    return _environment().get_template("compare.html.j2").render(parts)


@cache
def _asset(package: str, name: str) -> str:
    return files(package).joinpath("assets", name).read_text("utf-8").strip()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset("devicesim.compare", name)),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )  # fmt: skip
    environment.filters["px"] = lambda value: f"{value:.2f}"
    return environment
