"""How a page is put together: our own assets, Jinja, and a policy that lets it load nothing.

Decides how markup and style sheets of a package are found and what Jinja does with values. Leaves out what
any page says.

Rules: everything from a scenario is escaped; control characters stay outside; a name that a template does not
get is an error and not an empty place.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from devicesim.report.figures import printable

REPORT: Final = "devicesim.report"
SCRIPTLESS: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of a page without a script."""


@cache
def asset(name: str, package: str = REPORT) -> str:
    """A file of ours."""
    return files(package).joinpath("assets", name).read_text("utf-8").strip()


@cache
def environment(package: str = REPORT) -> jinja2.Environment:
    """Jinja for the templates of a package."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: asset(name, package)),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_finalize,
    )  # fmt: skip
    made.filters["px"] = lambda value: f"{value:.2f}"
    return made


def render_scriptless(template: str, sheet: str, parts: dict[str, Any], package: str) -> str:
    """Make a page without a script, in the report's own style with a sheet of its own on top."""
    style = f"{asset('report.css')}\n{asset(sheet, package)}"
    more = {"policy": SCRIPTLESS, "style": Markup(style)}  # noqa: S704 - our own files
    return environment(package).get_template(template).render(parts | more)


def _finalize(value: Any) -> Any:
    """Keep control characters out of the page."""
    return printable(value) if type(value) is str else value
