"""A sweep finds the bug that somebody planted into the agent, and shrinks it to a handful of lines.

The bug travels to the worker processes as a plugin; the same world without it holds.
"""

from pathlib import Path
from time import perf_counter

import pytest

from devicesim.scenario import load
from devicesim.sweep import shrink as shrinker
from devicesim.sweep.bench import Bench
from devicesim.sweep.cuts import Size
from devicesim.sweep.engines import open_engine
from devicesim.sweep.journal import read_journal
from devicesim.sweep.judge import Budget, Judge
from devicesim.sweep.plan import make_plan
from devicesim.sweep.repro import to_yaml
from devicesim.sweep.run import run_sweep
from devicesim.sweep.task import Setup, Task

HERE = Path(__file__).parent / "planted"
FILE = HERE / "dense.yaml"
SEEDS = tuple(range(1, 201))
RUNS_MAX, SECONDS_MAX = 150, 600
JOBS = 2
BUGS = {
    "duplicate_chunk_overwrites": "resume",
    "lost_timer": "stuck == 0",
    "latch_removed": "versions_rise",
}
LONG = ("duplicate_chunk_overwrites",)
"""Takes both cores for half a minute, so it runs with the slow campaigns."""


@pytest.fixture(autouse=True)
def _plants_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def swept(plugins, seeds, folder, stop=None):
    plan = make_plan(FILE, seeds, plugins=plugins)
    with open_engine("processes", plan.setup, JOBS) as engine:
        run_sweep(plan, folder, engine, stop_after_failures=stop)
    return plan, read_journal(folder)


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[pytest.mark.slow] * (bug in LONG)) for bug in BUGS]
)
def test_a_planted_bug_is_found_and_shrunk(bug, tmp_path):
    plugin = f"planted_agents:{bug}"
    plan, results = swept((plugin,), SEEDS, tmp_path, stop=1)
    failed = [r for r in results.values() if r.verdict != "passed"]
    assert failed, f"{bug} went unnoticed by {len(results)} seeds"
    worst = min(failed, key=lambda result: result.seed)
    assert worst.fails_by_name(BUGS[bug]), f"seed {worst.seed} fails otherwise: {worst.failing}"

    setup = Setup(file=str(FILE), text=plan.text, plugins=(plugin,), watch_all=False)
    bench = Bench(Setup(file=str(FILE), text=plan.text))
    with open_engine("processes", setup, JOBS) as engine:
        first = shrinker.find_first(engine, Task(key="first", seed=worst.seed))
        failing = shrinker.choose(first, BUGS[bug])
        budget = Budget(RUNS_MAX, SECONDS_MAX)
        judge = Judge(engine, bench, failing.identity, budget, perf_counter)
        data = shrinker.data_of(plan.setup, ())
        done = shrinker.shrink(data, worst.seed, first, failing, judge, bench)
        text = to_yaml(done.data, done.seed)
        again = shrinker.find_first(engine, Task(key="again", seed=done.seed, text=text))
    size = Size(done.data)
    assert size.timeline < 5, f"{done.after}\n{text}"
    assert size.devices < 10, f"{done.after}\n{text}"
    assert load(text).seed == done.seed
    assert again.fails(failing.identity), f"the shrunk scenario does not repeat it:\n{text}"
    assert again.digest == done.digest, "the shrunk scenario ran otherwise the second time"


def test_the_agent_without_a_bug_holds(tmp_path):
    _, results = swept((), SEEDS[:67], tmp_path)
    stories = [f"seed {r.seed}: {r.failing}" for r in results.values() if r.verdict != "passed"]
    assert len(results) == 67
    assert stories == []


@pytest.mark.slow
def test_the_agent_without_a_bug_holds_with_every_seed(tmp_path):
    _, results = swept((), SEEDS, tmp_path)
    assert [f"seed {r.seed}: {r.failing}" for r in results.values() if r.failing] == []
