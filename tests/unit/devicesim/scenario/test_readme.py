"""The table of scenarios and the word lists of its README are true."""

from __future__ import annotations

import re
from pathlib import Path

from devicesim.scenario.action import REGISTRY
from devicesim.scenario.checks import KNOWN
from devicesim.scenario.faults import AnyAction  # noqa: F401 - fills the registry
from devicesim.scenario.selector import parse_selector
from devicesim.scenario.trigger import METRICS
from devicesim.scenario.values import DISTRIBUTIONS, SHIFTS

SCENARIOS = Path(__file__).parents[4] / "scenarios"
README = (SCENARIOS / "README.md").read_text()
WORDS = set(re.findall(r"[a-z_0-9.]+", README)) | set(re.findall(r"[a-z_]+", README))


def test_every_file_has_its_row():
    assert {f"{path.stem}" for path in SCENARIOS.glob("*.yaml")} == set(
        re.findall(r"^\| \[([\w-]+)\]\(", README, re.MULTILINE)
    )


def test_every_verb_metric_and_form_is_named():
    tails = {pattern.split(".")[-1] for pattern in METRICS}
    tails |= {pattern.split(".")[-1] for pattern in KNOWN}
    for word in [*REGISTRY, *sorted(tails), *DISTRIBUTIONS, *SHIFTS]:
        assert word in WORDS, f"README does not name {word}"


def test_every_parameter_is_named():
    common = {"id", "at", "when", "once", "for", "target", "do"}
    for verb, model in REGISTRY.items():
        keys = {field.alias or name for name, field in model.model_fields.items()} - common
        (row,) = [line for line in README.splitlines() if f"`{verb}`" in line and "|" in line]
        for key in sorted(keys):
            assert key in row, f"README does not name {key} of {verb}"


def test_its_selectors_parse():
    table = README.split("## Who is hit")[1].split("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            for text in re.findall(r"`([^`]+)`", line.split("|")[1]):
                if text != "(...)":
                    parse_selector(text)
