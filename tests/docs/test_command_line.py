"""docs/reference/command-line.md names every command of the gateway, and the options of every one that asks it."""

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from gateway.cli import register
from gateway.client import reach
from gateway.commands.asking import _CODES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text()


def commands():
    app = typer.Typer()
    register(app)
    for name, group in get_command(app).commands.items():
        inner = getattr(group, "commands", None)
        if inner is None:
            yield name, ""
            continue
        for word, command in inner.items():
            if not getattr(command, "commands", None):
                yield name, word


@pytest.mark.parametrize(("group", "word"), list(commands()), ids=" ".join)
def test_every_command_stands_in_the_reference(group, word):
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith(f"| `fleetdrill {group}")]  # fmt: skip
    told = re.findall(r"`(?:fleetdrill [a-z-]+ ?)?([a-z-]*)", " ".join(rows))
    assert word in told or (not word and rows), f"fleetdrill {group} {word} is in no table"


def test_the_options_and_variables_that_say_which_gateway():
    options = ("--url", "--token-file", "--ca", "--plain", "--state", "--once")
    variables = [value for name, value in vars(reach).items() if name.endswith("_VARIABLE")]
    for word in (*options, *variables):
        assert f"`{word}" in PAGE, word


def test_every_exit_code_is_told():
    codes = {0, 1, *_CODES.values(), 130}
    table = PAGE.split("and exit with")[1].split("##")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
