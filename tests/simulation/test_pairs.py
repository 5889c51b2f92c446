"""Every shipped scenario is half of a pair: the outage, and the same with a lesson applied or taken away.

Which check tells two twins apart is test_scenarios.py's. Here: that nobody is without a twin, and that ``compare``
shows the difference, too: over the devices of one reduced run, on the same luck, the interval of at least
one column that the failing check is about excludes zero, on the side of the lesson. Which column that is follows from
the checks under ``shows``; where it does not, the golden file of the failing twin says it:
``"measures": {"throttled_s": "less"}``. ``{}`` says that no device pays (it is told something, or tried something for
a while): then the comparison must show the checks under ``shows`` as failed on one side and held on the other. The
comparisons run under ``make campaign`` (some minutes).
"""

import json
from pathlib import Path

import pytest

from devicesim.compare.result import compare
from devicesim.compare.runs import Order, Wanted, carry_out, gather
from devicesim.rehearse import open_scenario
from devicesim.report.devices import BY_NAME
from tests_kit.blueprints import completed

SCENARIOS = Path(__file__).parents[2] / "scenarios"
EXPECTED = {
    file.stem: json.loads(file.read_text())
    for file in sorted((SCENARIOS / "expected").glob("*.json"))
}
TWINS = {name: golden["twin"] for name, golden in EXPECTED.items() if "twin" in golden}

ALONE = {
    "soak": "a load for `fleetdrill soak`: it tells of no outage, and so has no lesson to take away",
}
SHOWN_IN = {
    "online_ratio": ("offline_s", "less"),
    "stuck": ("offline_s", "less"),
    "bricked": ("offline_s", "less"),
    "reconnect_p50": ("slowest_return_s", "less"),
    "reconnect_p99": ("slowest_return_s", "less"),
    "reconnect_worst_group": ("slowest_return_s", "less"),
    "connects_peak": ("attempts", "less"),
    "connects_wasted": ("attempts", "less"),
    "exposed_ratio": ("updated", "less"),
    "updated_ratio": ("updated", "more"),
    "kill_p99": ("kill_s", "less"),
    "kill_believed_p99": ("kill_s", "less"),
    "throttled_ratio": ("throttled_s", "less"),
    "inference_p95": ("inference_s", "less"),
    "refetched_chunks": ("refetched_bytes", "less"),
    "rolled_back": ("rollbacks", "less"),
}
"""Measure of a check: the column of devices.csv in which a device pays for it, and what the lesson makes of it."""


def columns_of(name):
    """Columns in which the failing twin `name` must differ, and to which side."""
    golden = EXPECTED[name]
    if "measures" in golden:
        return dict(golden["measures"])
    measures = (check.split()[0] for check in golden["shows"])
    return dict(SHOWN_IN[measure] for measure in measures if measure in SHOWN_IN)


def test_nobody_is_without_a_twin():
    paired = {*TWINS, *TWINS.values()}
    alone = sorted(set(EXPECTED) - paired - set(ALONE))
    assert not alone, (
        f"expected a twin of each shipped scenario, found none of {', '.join(alone)}: add one that extends it, "
        'and name the passing one as "twin" in scenarios/expected of the failing one'
    )


def test_those_who_are_said_to_be_alone_are():
    paired = {*TWINS, *TWINS.values()}
    for name in ALONE:
        assert name in EXPECTED, f"{name} is no shipped scenario: strike it off the list"
        assert name not in paired, f"{name} has a twin: strike it off the list"


@pytest.mark.parametrize("name", TWINS)
def test_one_twin_fails_and_the_other_passes(name):
    twin = TWINS[name]
    assert twin in EXPECTED, f"{name}: no shipped scenario {twin}"
    assert EXPECTED[name]["verdict"] == "failed", f"{name} has a twin, and does not fail"
    assert EXPECTED[twin]["verdict"] == "passed", f"{twin} is the lesson of {name}, and fails"


@pytest.mark.parametrize("name", TWINS)
def test_it_is_said_in_which_column_of_a_comparison_the_lesson_shows(name):
    columns = columns_of(name)
    assert columns or EXPECTED[name].get("measures") == {}, (
        f"expected a check under shows that a column of devices.csv answers for, found {EXPECTED[name]['shows']}: "
        f'add "measures": {{COLUMN: "less"}} to scenarios/expected/{name}.json'
    )
    for column, side in columns.items():
        assert column in BY_NAME, f"{name}: no column {column} among {', '.join(BY_NAME)}"
        assert side in {"less", "more"}, f"{name}: {column} becomes less or more, not {side}"


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_compare_shows_the_difference(name, tmp_path):
    twin, seed = TWINS[name], open_scenario(SCENARIOS / f"{name}.yaml").seed
    completed(*EXPECTED[name].get("blueprints", ()), *EXPECTED[twin].get("blueprints", ()))
    a, b = (
        Wanted(SCENARIOS / f"{one}.yaml", tuple(EXPECTED[one]["reduced"])) for one in (name, twin)
    )
    for side, one in (("a", a), ("b", b)):
        folder = tmp_path / f"{side}-{seed}"
        carry_out(Order(one.path, one.overrides, seed, None, folder, whole=False))
    found = compare(gather(a, b, [seed], tmp_path))
    told = []
    if not columns_of(name):
        otherwise = {pair.name for pair in found.checks if not pair.same}
        assert otherwise >= set(EXPECTED[name]["shows"]), (
            f"{name}: expected {EXPECTED[name]['shows']} among the checks that went otherwise, found {otherwise}"
        )
        return
    for column, side in columns_of(name).items():
        measure = found.measure(column)
        told.append(f"{column} {measure.a:.6g} -> {measure.b:.6g}, {measure.interval}")
        sure = measure.interval is not None and measure.interval.excludes_zero
        if sure and (measure.difference < 0) == (side == "less"):
            return
    command = " ".join(f"--set '{override}'" for override in a.overrides)
    pytest.fail(
        f"fleetdrill compare scenarios/{name}.yaml scenarios/{twin}.yaml {command}\n"
        "expected a difference whose interval excludes zero, on the lesson's side, found\n"
        + "\n".join(told)
    )
