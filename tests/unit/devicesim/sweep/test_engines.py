"""Workers die, hang and refuse; the sweep goes on, and says which task it was."""

import os
import signal
import sys

import pytest

from devicesim.sweep.bench import PluginError
from devicesim.sweep.engines import CrewEngine, open_engine
from devicesim.sweep.processes import ProcessCrew
from devicesim.sweep.task import Setup, Task, comparable
from tests_kit import worlds

PLUGIN = """
import os, signal, time
from devicesim.sweep.bench import Bench
do = Bench.do
def trouble(self, task):
    if task.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.seed == 4:
        time.sleep(3600)
    return do(self, task)
def install():
    Bench.do = trouble
"""


@pytest.fixture
def setup(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "troublesome.py").write_text(PLUGIN)
    file = tmp_path / "lab.yaml"
    text = worlds.scenario_text(worlds.ROLLOUT, count=3, duration="40m")
    file.write_text(text)
    return Setup(file=str(file), text=text)


def tasks(count):
    return [Task(key=str(seed), seed=seed) for seed in range(1, count + 1)]


def done(engine, wanted):
    return {result.seed: result for result in engine.run(wanted)}


def test_processes_and_inline_give_the_same_results_bit_for_bit(setup):
    with open_engine("inline", setup, 1) as one, open_engine("processes", setup, 2) as two:
        alone, both = done(one, tasks(4)), done(two, tasks(4))
    assert [comparable(alone[s]) for s in sorted(alone)] == [
        comparable(both[s]) for s in sorted(both)
    ]
    assert {r.verdict for r in alone.values()} == {"passed"}
    assert len({r.digest for r in alone.values()}) == 4, "seeds differ"


@pytest.mark.slow
def test_a_worker_that_dies_or_hangs_breaks_its_own_task_alone(setup):
    plugged = Setup(file=setup.file, text=setup.text, plugins=("troublesome:install",))
    with CrewEngine(ProcessCrew(plugged), 2, task_s_max=45.0) as engine:
        found = done(engine, tasks(6))
        again = done(engine, tasks(2))
    verdicts = {seed: found[seed].verdict for seed in sorted(found)}
    assert verdicts == {
        1: "passed",
        2: "passed",
        3: "broken",
        4: "broken",
        5: "passed",
        6: "passed",
    }
    assert "signal 9" in found[3].failing[0].story
    assert found[4].failing[0].name == "took too long"
    assert comparable(again[1]) == comparable(found[1])


def test_who_leaves_early_gets_no_leftovers_in_the_next_round(setup):
    with open_engine("processes", setup, 2) as engine:
        for result in engine.run(tasks(6)):
            assert result.verdict == "passed"
            break
        found = done(engine, [Task(key="x", seed=9)])
    assert list(found) == [9]


def test_a_worker_is_replaced_after_its_share_of_tasks(setup):
    crew = ProcessCrew(setup)
    hired = []
    hire = crew.hire
    crew.hire = lambda: hired.append(hire()) or hired[-1]
    with CrewEngine(crew, 1, worker_tasks_max=2) as engine:
        assert len(done(engine, tasks(5))) == 5
    assert len(hired) == 3
    assert all(hand.process.poll() is not None for hand in hired), "a worker outlived its engine"


def test_a_plugin_that_is_not_there_is_told_before_anything_runs(setup):
    plugged = Setup(file=setup.file, text=setup.text, plugins=("no_such_module:install",))
    for name in ("inline", "processes"):
        with (
            pytest.raises(PluginError, match="no_such_module"),
            open_engine(name, plugged, 1) as one,
        ):
            done(one, tasks(1))


def test_a_worker_that_refuses_is_ended_with_its_engine(setup):
    crew = ProcessCrew(Setup(file=setup.file, text=setup.text, plugins=("no_such_module:install",)))
    hired = []
    hire = crew.hire
    crew.hire = lambda: hired.append(hire()) or hired[-1]
    with pytest.raises(PluginError), CrewEngine(crew, 1) as engine:
        done(engine, tasks(1))
    assert [hand.process.poll() is None for hand in hired] == [False]


def test_an_exception_is_a_result_named_by_where_it_was_raised(setup):
    broken = Task(key="1", seed=1, overrides=("scale=100", "fleet.kiosk.count=1000000"))
    with open_engine("inline", setup, 1) as engine:
        (result,) = engine.run([broken])
    assert result.verdict == "broken"
    assert result.failing[0].name == "ValueError in devicesim.scenario.population.expand"


def test_an_engine_that_does_not_exist_is_refused(setup):
    with pytest.raises(ValueError, match="processes, ray, inline"):
        open_engine("threads", setup, 1)
    with pytest.raises(ValueError, match="at least 1 job"):
        open_engine("processes", setup, 0)


def test_without_ray_the_extra_is_named(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"fleetdrill\[ray\]"):
        open_engine("ray", setup, 1)


def test_ctrl_c_does_not_reach_the_workers(setup):
    crew = ProcessCrew(setup)
    with CrewEngine(crew, 1) as engine:
        assert len(done(engine, tasks(1))) == 1
        (hand,) = engine._idle
        os.kill(hand.process.pid, signal.SIGINT)
        assert len(done(engine, tasks(2))) == 2
        assert hand.process.poll() is None
