"""Experiments in a scenario file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario import ScenarioError, load
from devicesim.scenario.experiments import Experiment

WORDS = {
    "id": "e1", "group": "kiosk", "bundle": "gauge@1.1.0", "production": "gauge@1.0.0",
    "mode": "bandit", "at": "1h",
}  # fmt: skip
FILE = """
scenario: lab
fleet: [{group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl}]
bundles:
  - {id: gauge, version: 1.0.0, path: models/gauge/1.0.0}
  - {id: gauge, version: 1.1.0, path: models/gauge/1.1.0}
experiments:
"""
LINE = "  - {id: %s, group: %s, bundle: %s, production: %s, mode: shadow, at: 1h}\n"


def test_final_units_and_defaults():
    made = Experiment.model_validate({**WORDS, "share": "20%", "look": "5m", "errors": "1%"})
    assert (made.at_ns, made.look_ns, made.share, made.errors) == (HOUR, 5 * MINUTE, 0.2, 0.01)
    plain = Experiment.model_validate(WORDS)
    assert (plain.share, plain.brake, plain.promote, plain.tolerated) == (1.0, 20, "evidence", 0.02)


@pytest.mark.parametrize("wrong", [{"mode": "abtest"}, {"brake": 1}, {"share": "0%"}, {"x": 1}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Experiment.model_validate({**WORDS, **wrong})


def test_a_file_with_an_experiment_loads():
    scenario = load(FILE + LINE % ("e1", "kiosk", "gauge@1.1.0", "gauge@1.0.0"), (), None)
    assert scenario.experiments[0].mode == "shadow"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("e1", "kiosks", "gauge@1.1.0", "gauge@1.0.0"), "kiosk"),
        (("e1", "kiosk", "gauge@1.1.1", "gauge@1.0.0"), "gauge@1.1.0"),
        (("e1", "kiosk", "gauge@1.1.0", "gauge@1.0.1"), "gauge@1.0.0"),
    ],
)
def test_names_that_nobody_knows_are_told_with_the_nearest(words, nearest):
    with pytest.raises(ScenarioError) as refused:
        load(FILE + LINE % words, (), None)
    assert nearest in str(refused.value)


def test_one_group_has_one_experiment():
    line = LINE % ("e1", "kiosk", "gauge@1.1.0", "gauge@1.0.0")
    with pytest.raises(ScenarioError, match="a name of its own"):
        load(FILE + line + line.replace("e1", "e2"), (), None)
