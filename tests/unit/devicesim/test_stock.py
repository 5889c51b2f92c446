"""What is said of a scenario that is not there."""

from pathlib import Path

import pytest

from devicesim.rehearse import open_scenario
from devicesim.scenario import ScenarioError
from devicesim.stock import read_texts


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    (tmp_path / "scenarios").mkdir()
    for name in ("first-light.yaml", "retry-storm.yaml", "retry-storm-patient.yaml"):
        (tmp_path / "scenarios" / name).touch()
    (tmp_path / "mine-too.yaml").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("first-light", "scenarios/first-light.yaml"),
        ("first_light.yaml", "scenarios/first-light.yaml"),
        ("scenarios/retrystorm.yaml", "scenarios/retry-storm.yaml"),
        ("mine-to.yaml", "mine-too.yaml"),
        ("elsewhere/first-light.yaml", "scenarios/first-light.yaml"),
    ],
)
@pytest.mark.parametrize("read", [open_scenario, read_texts])
@pytest.mark.usefixtures("shelf")
def test_the_nearest_scenario_that_there_is_is_named(said, near, read):
    with pytest.raises(ScenarioError) as wrong:
        read(Path(said))
    told = wrong.value.render(100)
    assert wrong.value.problems[0].nearest == near
    assert "no such file" in told
    assert near in told


@pytest.mark.parametrize("read", [open_scenario, read_texts])
@pytest.mark.usefixtures("shelf")
def test_where_none_is_near_all_are_pointed_to(read):
    with pytest.raises(ScenarioError) as wrong:
        read(Path("xyzzy.yaml"))
    assert wrong.value.problems[0].nearest == ""
    assert "`ls scenarios` lists those that come along" in wrong.value.render(100)
