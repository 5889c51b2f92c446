"""How a page is put together."""

import jinja2
import pytest

from devicesim.report.pages import SCRIPTLESS, asset, environment, render_scriptless


@pytest.mark.parametrize("package", ["devicesim.report", "devicesim.sweep", "devicesim.compare"])
def test_what_a_scenario_says_is_escaped_and_printable(package):
    template = environment(package).from_string("{{ said }}")
    assert template.render(said="<b>\x07 & ") == "&lt;b&gt;\N{REPLACEMENT CHARACTER} &amp; "


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ nobody }}").render()


def test_places_have_two_digits():
    assert environment().from_string("{{ (1 / 3) | px }}").render() == "0.33"


def test_a_page_without_a_script_forbids_them_and_has_both_sheets(monkeypatch):
    here = "devicesim.sweep"
    text = '<meta content="{{ policy }}"><style>{{ style }}</style>{{ word }}'
    loader = jinja2.DictLoader({"lab.html.j2": text})
    monkeypatch.setattr(environment(here), "loader", loader)
    made = render_scriptless("lab.html.j2", "sweep.css", {"word": "<i>"}, here)
    assert SCRIPTLESS.split(";", maxsplit=1)[0] in made.replace("&#39;", "'")
    assert "script-src" not in made, "nothing is allowed beyond default-src 'none'"
    assert asset("report.css") in made
    assert asset("sweep.css", here) in made
    assert made.endswith("&lt;i&gt;")
