"""Every shipped scenario, reduced, against its golden verdict in scenarios/expected.

Full size runs under ``make campaign``. A golden file says which checks fail (in a scenario that shows how it
went wrong) and how each rollout ended. ``reduced`` are the overrides of a quick run; checks that it is too small
to put to the test, or to fail, are named by ``too_small``. ``twin`` names the same outage with the lesson
applied, and ``shows`` the checks that tell the two apart.
"""

import json
from pathlib import Path

import pytest

from devicesim.rehearse import Rehearsal, open_scenario
from tests_kit.blueprints import completed

SCENARIOS = Path(__file__).parents[2] / "scenarios"
EXPECTED = {
    file.stem: json.loads(file.read_text())
    for file in sorted((SCENARIOS / "expected").glob("*.json"))
}
TWINS = {name: golden["twin"] for name, golden in EXPECTED.items() if "twin" in golden}


def test_each_scenario_has_a_golden_verdict():
    assert sorted(EXPECTED) == sorted(f.stem for f in SCENARIOS.glob("*.yaml"))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_verdict_is_the_expected_one(name):
    expected = EXPECTED[name]
    completed(*expected.get("blueprints", ()))
    file = SCENARIOS / f"{name}.yaml"
    record = Rehearsal(open_scenario(file, tuple(expected["reduced"])), file).run()
    stories = {check.name: check.story for check in record.checks if check.held is False}
    told = "\n".join(f"{check}: {story}" for check, story in stories.items())
    small = set(expected["too_small"])
    command = " ".join(f"--set '{override}'" for override in expected["reduced"])
    assert set(stories) - small == set(expected["failed"]) - small, (
        f"fleetdrill run scenarios/{name}.yaml {command}\n{told}"
    )
    assert {r.id: r.state for r in record.rollouts if r.id in expected["rollouts"]} == expected[
        "rollouts"
    ]


@pytest.mark.parametrize("name", TWINS)
def test_the_twin_keeps_what_the_first_breaks(name):
    """Seen at reduced size by the test above: ``shows`` fails in the one and holds in the other."""
    shows, first, twin = EXPECTED[name]["shows"], EXPECTED[name], EXPECTED[TWINS[name]]
    assert shows, "a pair that shows nothing"
    for check in shows:
        assert check in first["failed"], f"{name} does not break {check}"
        assert check not in first["too_small"], f"{name} is too small to break {check} in CI"
        assert check not in [*twin["failed"], *twin["too_small"]], f"{TWINS[name]} breaks {check}"
    written = (
        open_scenario(SCENARIOS / f"{name}.yaml"),
        open_scenario(SCENARIOS / f"{TWINS[name]}.yaml"),
    )
    assert written[0].seed == written[1].seed, "not the same luck"
    for check in shows:
        promised = [str(one) for checks in written for one in promises(checks.checks)]
        assert promised.count(check) == 2, f"{check} is not promised by both"


def promises(checks):
    return [
        *checks.always,
        *checks.eventually,
        *checks.sometimes,
        *checks.at_end,
        *checks.slo,
        *checks.verdicts,
    ]
