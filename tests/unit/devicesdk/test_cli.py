"""The door: commands of parts that are not installed say which extra brings them."""

import pytest
import typer
from typer.testing import CliRunner

from devicesdk import cli

EXTRAS = {
    "simulator": "sim",
    "gateway": "gateway",
    "broker": "gateway",
    "bundle": "bundle",
    "new": "all",
}


@pytest.mark.parametrize(("part", "extra"), EXTRAS.items())
def test_a_part_that_is_not_installed_names_its_extra(part, extra, monkeypatch):
    app = typer.Typer()
    app.callback()(lambda: None)
    monkeypatch.setattr(cli, "app", app)
    cli._explain(part, "some_package")
    ran = CliRunner().invoke(app, [part])
    assert ran.exit_code == 2
    assert f"found no some_package: pip install 'fleetdrill[{extra}]'" in ran.stderr
    assert f"extra {extra}." in CliRunner().invoke(app, ["--help"]).output


def test_every_part_of_the_project_has_an_extra_that_exists():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    parts = project["entry-points"]["fleetdrill.commands"]
    assert set(parts) - {"device"} == set(cli._EXTRAS), (
        "the base brings the device, and nothing else"
    )
    assert set(cli._EXTRAS.values()) <= set(project["optional-dependencies"])
