import pytest

from devicesim.scenario import ScenarioError
from devicesim.sweep.plan import Cell, load_plan, make_plan, read_axis, read_seeds, save_plan
from tests_kit import worlds


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(worlds.scenario_text(worlds.ROLLOUT))
    return path


def test_seeds_are_a_count_a_range_or_a_list():
    assert read_seeds("3") == (1, 2, 3)
    assert read_seeds("7..9") == (7, 8, 9)
    assert read_seeds("7, 3,42") == (7, 3, 42)
    assert read_seeds("1..2,9") == (1, 2, 9)


@pytest.mark.parametrize("text", ["", "many", "9..1", "3,3", "-4", "1..9223372036854775808"])
def test_other_seeds_are_refused_with_what_would_do(text):
    with pytest.raises(ValueError, match="expected"):
        read_seeds(text)


def test_an_axis_splits_at_commas_outside_of_brackets_and_quotes():
    assert read_axis("rollouts.0.soak=5m,20m") == ("rollouts.0.soak", ("5m", "20m"))
    found = read_axis("timeline.0.target='sample(all, 5%)',all,share(all, 5%)")
    assert found[1] == ("'sample(all, 5%)'", "all", "share(all, 5%)")
    for wrong in ("soak", "=5m", "soak=", "soak=5m,,6m", "soak=5m,5m"):
        with pytest.raises(ValueError, match="expected"):
            read_axis(wrong)


def test_tasks_are_the_product_of_seeds_and_grid_in_one_order(file):
    grid = (("rollouts.0.soak", ("1m", "2m")), ("scale", ("1", "2")))
    plan = make_plan(file, (5, 4), grid=grid, overrides=("clock.duration=1h",))
    tasks = plan.tasks()
    assert plan.size == len(tasks) == 8
    assert tasks[1].key == "5 rollouts.0.soak=1m scale=2"
    assert tasks[1].overrides == ("clock.duration=1h", "rollouts.0.soak=1m", "scale=2")
    assert len({task.key for task in tasks}) == 8
    assert plan.reproduce(5, plan.cells[1]) == (
        f"fleetdrill run {file} --seed 5 --set clock.duration=1h --set rollouts.0.soak=1m --set scale=2"
    )


def test_a_plan_without_a_grid_has_one_cell(file):
    assert make_plan(file, (1,)).cells == [Cell()]


def test_a_grid_with_a_value_that_does_not_fit_is_refused_before_anything_runs(file):
    with pytest.raises(ScenarioError, match=r"rollouts\.0\.soak"):
        make_plan(file, (1,), grid=(("rollouts.0.soak", ("1m", "soon")),))
    with pytest.raises(ValueError, match="virtual"):
        make_plan(file, (1,), overrides=("clock.mode=real",))


def test_a_plan_comes_back_and_another_program_is_refused(file, tmp_path):
    plan = make_plan(file, (1, 2), grid=(("scale", ("1", "2")),), code="abc")
    save_plan(tmp_path, plan)
    assert load_plan(tmp_path, "abc") == plan
    with pytest.raises(ValueError, match="cannot be mixed"):
        load_plan(tmp_path, "xyz")
    with pytest.raises(FileNotFoundError, match=r"no plan\.json"):
        load_plan(tmp_path / "elsewhere")
