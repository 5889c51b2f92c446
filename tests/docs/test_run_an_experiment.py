"""The gateway's commands of docs/how-to/run-an-experiment.md are commands, and mean what the page says."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.client import door
from gateway.commands import experiments
from gateway.core.eprocess import rarer
from gateway.core.experiment_plan import refusal
from gateway.runtime import operator, verbs

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-an-experiment.md"


def commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[:3] == ["fleetdrill", "gateway", "experiment"], line
            yield words[3:]


def test_each_command_asks_the_gateway_what_it_says(tmp_path, monkeypatch):
    asked = []

    def knock(_, verb):
        asked.append(verb)
        return [] if isinstance(verb, verbs.ListExperiments) else {"said": []}

    monkeypatch.setattr(door, "knock", knock)
    for words in commands():
        done = CliRunner().invoke(experiments.experiment_app, [*words, "--state", str(tmp_path)])
        assert done.exit_code == 0, f"{' '.join(words)}\n{done.output}"
    create, listing, *steered = asked
    plan = operator._stimulus(create).plan
    assert refusal(plan) == ""
    assert (plan.mode, plan.share, plan.tolerated) == ("shadow", 0.1, 0.05)
    assert plan.selector == (("site", "north"),)
    assert isinstance(listing, verbs.ListExperiments)
    assert [one.how for one in steered] == ["freeze", "thaw", "stop", "promote"]


@pytest.mark.parametrize(("percent", "windows"), [(2, 166), (5, 66), (10, 32)])
def test_so_many_windows_without_a_bad_one_promote(percent, windows):
    assert rarer(windows - 1, 0, percent / 100) <= 20.0 < rarer(windows, 0, percent / 100)
