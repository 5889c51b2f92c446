"""The words of a scenario for when a rollout may offer, and how many at once."""

import pytest

from devicesdk.wire.timebase import HOUR
from devicesim.scenario import load
from devicesim.scenario.errors import ScenarioError
from devicesim.scenario.release import Rollout
from gateway.core.pace import Budget
from gateway.core.windows import read_window
from tests_kit.worlds import scenario_text

ROLLOUT = {"id": "r1", "bundle": "gauge@1.1.0", "at": "1h"}
LAB = "rollouts: [{{id: r1, bundle: gauge@1.1.0, at: 1h, waves: [50%, 100%], {words}}}]\n"


def rollout(**words):
    return Rollout.model_validate({**ROLLOUT, **words})


def test_the_defaults_ask_for_nothing():
    plain = rollout()
    assert (plain.windows, plain.budgets, plain.approvals, plain.start_at_ns) == ((), (), (), None)


def test_words_are_read_as_the_gateway_reads_them():
    paced = rollout(
        windows=("Mon-Fri 01:00-05:00",), zone="Europe/Berlin", budgets={"site": 2, "region": "10%"},
        approvals=({"wave": 1, "at": "3h"},), start_at="2h", late_per_hour=5,
    )  # fmt: skip
    assert paced.windows == (read_window("Mon-Fri 01:00-05:00"),)
    assert paced.budgets == (Budget("region", share=0.1), Budget("site", count=2))
    assert (paced.approvals[0].wave, paced.approvals[0].at_ns) == (1, 3 * HOUR)
    assert paced.start_at_ns == 2 * HOUR


def test_it_can_be_written_again_as_it_was_read():
    words = {"windows": ("daily 22:00-04:00",), "budgets": {"site": 2, "region": "10%"}}
    written = rollout(**words).model_dump(mode="json", by_alias=True)
    assert written["windows"] == ["daily 22:00-04:00"]
    assert written["budgets"] == {"region": "10%", "site": 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("windows: [whenever]", "a window such as"),
        ("windows: [5]", "in quotes"),
        ("zone: Europe/Berlim", "Europe/Berlin"),
        ("budgets: {group: 0}", "a count such as 2"),
        ("budgets: 2", "budgets such as"),
        ("budgets: {grup: 2}", "group"),
        ("approvals: [{wave: 2}]", "a wave from 0 to 1"),
    ],
)
def test_other_words_are_refused_with_what_was_expected(words, said):
    with pytest.raises(ScenarioError, match=said):
        load(scenario_text(LAB.format(words=words)), (), None)


def test_a_label_that_is_no_zone_is_refused():
    fleet = "  - {group: kiosk, count: 2, profile: rpi4-kiosk, link: fcc-dsl, labels: {tz: Europe/Berlim}}"
    with pytest.raises(ScenarioError, match="Europe/Berlin"):
        load(scenario_text("", fleet=fleet), (), None)
