"""The page about rehearsing a rollout: its plan, its command and its verdict against a real gateway and the real simulator."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.config import load_config
from tests_kit.rehearsal_stage import APP, Site

PAGE = Path(__file__).parents[2] / "docs/how-to/rehearse-a-rollout.md"
pytestmark = pytest.mark.mosquitto


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_its_configuration_is_one():
    (block,) = blocks("toml")
    assert load_config(block).rehearsal.gate == "required"


def run(site, *words):
    return CliRunner().invoke(APP, [*words, "--state", str(site.state)])


async def test_its_plan_is_rehearsed_by_its_command_and_fails_with_the_story_it_shows(tmp_path):
    site = Site(tmp_path)
    try:
        site.serve()
        client = await site.client()
        for source in ("gauge/1.0.0", "gauge-poisoned/1.2.0"):
            site.publish(source)
        for number in range(6):
            labels = {"profile": "rpi4-kiosk", "link": "fcc-dsl", "region": "eu"}
            put = await client.put(f"/devices/kiosk-{number}/labels", json={"labels": labels})
            assert put.is_success, put.text
        factory = {"id": "factory", "bundle": "gauge@1.0.0", "waves": [1.0], "initial": True}
        assert (await client.post("/rollouts", json=factory)).is_success
        (plan,), (command, _), (shown,) = blocks("json"), blocks("sh"), blocks("text")
        (tmp_path / "spring.json").write_text(plan)
        words = command.removeprefix("fleetdrill ").split()
        words[-1] = str(tmp_path / words[-1])
        done = run(site, *words)
        assert done.exit_code == 1, done.output
        for line in shown.splitlines()[1:3]:
            assert line in done.stdout, "the page shows a line that is not told"
        assert done.stdout.startswith("rehearsal 1 of spring failed: 2 of 2 runs failed")
        assert "back within 3 h" in done.stdout, "nobody is online, and that is said"
        shape = (await client.get("/rehearsals/shape")).json()
        assert (shape["devices"], shape["groups"][0]["running"]) == (6, "gauge@1.0.0")
        refused = await client.post("/rollouts", json=json.loads(plan))
        assert (refused.status_code, "rehearsal 1 failed" in refused.text) == (409, True)
        listed = run(site, "rollout", "rehearsals")
        assert listed.stdout.startswith("1  spring  gauge@1.2.0  failed"), listed.output
        assert run(site, "rollout", "rehearse", "nothing").exit_code == 2
        assert (site.state / "rehearsals/1/files/scenario.yaml").is_file()
        await client.aclose()
    finally:
        site.end()
