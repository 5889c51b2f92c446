"""Every shipped scenario, shrunk, against its golden verdict in scenarios/expected.

Full size runs under ``make scenarios``. Golden files say which checks fail (none, in a scenario that
teaches by succeeding) and how each rollout ended; at reduced size the checks that need many devices
to be exercised are named by ``too_small``.
"""

import json
from pathlib import Path

import pytest

from devicesim.rehearse import Rehearsal, open_scenario
from tests_kit.blueprints import completed

SCENARIOS = Path(__file__).parents[2] / "scenarios"
GOLDEN = sorted((SCENARIOS / "expected").glob("*.json"))


def test_each_scenario_has_a_golden_verdict():
    assert sorted(g.stem for g in GOLDEN) == sorted(f.stem for f in SCENARIOS.glob("*.yaml"))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: g.stem)
def test_the_verdict_is_the_expected_one(golden):
    expected = json.loads(golden.read_text())
    completed(*expected.get("blueprints", ()))
    file = SCENARIOS / f"{golden.stem}.yaml"
    scenario = open_scenario(file, (f"scale={expected['reduced_scale']}",))
    record = Rehearsal(scenario, file).run()
    failed = {f"{check.name}: {check.story}" for check in record.checks if check.held is False}
    unexpected = {f for f in failed if f.split(":")[0] not in expected["too_small"]}
    assert unexpected == set(), f"{golden.stem} at a scale of {expected['reduced_scale']}"
    assert {r.id: r.state for r in record.rollouts if r.id in expected["rollouts"]} == expected[
        "rollouts"
    ]
