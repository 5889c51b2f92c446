"""The examples of docs/how-to/write-a-policy.md do what the page says."""

import json
import re
import subprocess
import sys
from pathlib import Path

from devicesdk.agent.policy import Use, When, read_policy
from devicesim.rehearse import open_scenario
from devicesim.stock import stock_for
from devicesim.world.assemble import assemble
from devicesim.world.drill import Drill

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "write-a-policy.md"
EXAMPLE = PAGE.parent / "policy-example.json"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_output_on_the_page_is_the_command_s():
    words = ["device", "policy", str(EXAMPLE), "--context", "chip_c=80"]
    answer = subprocess.run(
        [sys.executable, "-m", "devicesdk", *words], cwd=ROOT, capture_output=True, text=True,
        check=True, timeout=300,
    )  # fmt: skip
    (shown,) = blocks("text")
    assert answer.stdout.split() == shown.split()


def test_the_fields_on_the_page_are_those_of_the_document():
    page = PAGE.read_text()
    for part, names in (("when", When.__struct_fields__), ("use", Use.__struct_fields__)):
        table = page.partition(f"| `{part}` |")[2].partition("\n\n")[0]
        told = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"\n\| ([^|]*) \|", table))))
        assert told == set(names), f"the table of {part}"
    policy = read_policy(EXAMPLE.read_bytes())
    beside = re.search(r"\n((?:`\w+`,? ?(?:and )?)+) stand beside `rules`", page)
    assert set(re.findall(r"`(\w+)`", beside[1])) == set(policy.__struct_fields__) - {"rules"}


def test_what_the_page_lets_an_image_carry_is_json_of_a_bundle():
    (carry,) = blocks("json")
    assert json.loads("{" + carry + "}")["carry"]["int8-rr"] == ["rule"]


def test_the_scenario_on_the_page_shows_what_the_page_says(tmp_path):
    (text,) = blocks("yaml")
    file = tmp_path / "warm-hall.yaml"
    file.write_text(text)
    scenario = open_scenario(file, ("fleet.reader.count=6",))
    drill = Drill(assemble(scenario, stock_for(scenario, ROOT / "scenarios" / file.name)))
    drill.world.run()
    assert [c.story() for c in drill.checks if c.held is False] == []
    assert set(drill.meter.decisions.by_rule) == {"hot", "warm", "normal"}
