"""The pytest plugin, by suites of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import fleetdrill
from devicesim.pytest_runs import keep
from tests_kit.records import bare

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
SCENARIO = """
scenario: small
clock: {start: 2024-07-16T00:00:00Z, duration: 30m}
telemetry: {window: 5m, frames: 1}
fleet: [{group: kiosk, count: 2, profile: rpi4-kiosk, link: fcc-dsl}]
bundles: [{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}]
"""
ALWAYS_WRONG = "checks: {finally: [{expect: 'fleet.online > 2'}]}\n"
TEST = """
import fleetdrill

@fleetdrill.test(scenario="small.yaml", {arguments})
def test_small({run}):
    {body}
"""


@pytest.fixture(scope="module", autouse=True)
def _everything_is_loaded(tmp_path_factory):
    """A suite inside this process forgets what it imported; some of that can be loaded only once."""
    keep(bare(), tmp_path_factory.mktemp("first"))


@pytest.fixture
def suite(pytester, monkeypatch):
    """Makes a suite of one decorated test and runs it; returns pytest's result."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\n")

    def go(*options, arguments="seeds=2", run="run", body="assert run.devices == 2", checks="",
           plugins=()):  # fmt: skip
        (pytester.path / "small.yaml").write_text(SCENARIO + checks)
        pytester.makepyfile(TEST.format(arguments=arguments, run=run, body=body))
        more = [word for name in ("devicesim.pytest_plugin", *plugins) for word in ("-p", name)]
        return pytester.runpytest_inprocess(*more, "-p", "no:cacheprovider", "-rA", *options)

    return go


def names_of(result):
    return [line.split("[")[1].rstrip("]") for line in result.outlines if line.startswith("PASSED")]


def test_each_seed_is_an_item(suite):
    result = suite()
    result.assert_outcomes(passed=2)
    assert names_of(result) == ["seed=1", "seed=2"]
    result.stdout.fnmatch_lines(["*::test_small: 2 seeds, all held"])


@pytest.mark.parametrize(
    ("options", "arguments", "seeds"),
    [
        (("--fleetdrill-seeds", "1"), "seeds=3", ["seed=1"]),
        (("--fleetdrill-seed", "17"), "seeds=3", ["seed=17"]),
        ((), "seeds=[7, 5]", ["seed=7", "seed=5"]),
    ],
)
def test_which_seeds_run(suite, options, arguments, seeds):
    assert names_of(suite(*options, arguments=arguments)) == seeds


def test_the_record_is_that_of_the_seed_with_the_overrides(suite):
    arguments = "seeds=[3], set={'fleet.kiosk.count': 4, 'clock.duration': '20m'}, until='10m'"
    body = "assert (run.seed, run.devices, run.virtual_s) == (3, 4, 600.0)"
    suite(arguments=arguments, body=body).assert_outcomes(passed=1)


@pytest.mark.parametrize("run", ["run", ""])
def test_a_check_that_fails_fails_the_seed_with_its_story(suite, pytester, run):
    options = ("--junitxml=junit.xml", "--fleetdrill-summary=summary.md")
    result = suite(*options, arguments="seeds=1", run=run, body="pass", checks=ALWAYS_WRONG)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "small seed 1: fleet.online > 2",
            "*fleetdrill seed=1*",
            "Failed: 1 of 19 checks did not hold.",
            "*fleet.online > 2 (finally) did not hold*found fleet.online 2",
            "again: fleetdrill run small.yaml --seed 1",
            "   or: pytest *::test_small --fleetdrill-seed 1",
            " look: *small-seed-1/report.html",
            "*::test_small: 1 seed, 1 failed: 1",
        ]
    )
    summary = (pytester.path / "summary.md").read_text()
    assert "::test_small` | 1 | 1 failed: 1 |" in summary
    assert "again: fleetdrill run small.yaml --seed 1" in summary
    folder = pytester.path / "fleetdrill-reports" / "small-seed-1"
    assert sorted(file.name for file in folder.iterdir()) == [
        "junit.xml", "record.json", "report.html", "verdict.json",
    ]  # fmt: skip
    assert json.loads((folder / "verdict.json").read_text())["seed"] == 1
    cases = ET.parse(pytester.path / "junit.xml").iter("testcase")
    said = {one.get("name"): one.get("value") for one in next(cases).iter("property")}
    assert said["fleetdrill.seed"] == "1"
    assert said["fleetdrill.verdict"] == "failed"
    assert said["fleetdrill.reproduce"] == "fleetdrill run small.yaml --seed 1"
    assert said["fleetdrill.report"].endswith("report.html")


def test_checks_may_be_left_to_the_function(suite):
    arguments = "seeds=1, checks=False"
    body = "assert run.verdict == 'failed'"
    suite(arguments=arguments, body=body, checks=ALWAYS_WRONG).assert_outcomes(passed=1)


def test_an_assertion_that_fails_tells_the_run_too(suite):
    result = suite(body="assert run.seed == 1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["Held: * of * checks*", "again: * --seed 2", " look: *"])


EXERCISED = "checks: {sometimes: [{name: all there, expect: fleet.online == 2}, rollback_ran]}\n"


def test_one_seed_of_several_is_enough_to_exercise_a_hardship_but_one_must(suite):
    result = suite(body="pass", checks=EXERCISED)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, "nobody rolled back"
    result.stdout.fnmatch_lines(
        ["*rollback ran*0 of 2 runs  never exercised", "*all there*2 of 2 runs*",
         "*no seed has exercised rollback_ran"]
    )  # fmt: skip
    alone = suite("--fleetdrill-seed", "1", body="pass", checks=EXERCISED)
    assert alone.ret == pytest.ExitCode.OK, "of a part of the seeds nobody can tell"


def test_each_seed_must_exercise_it_where_that_is_asked_for(suite):
    suite(arguments="seeds=1", body="pass", checks=EXERCISED).assert_outcomes(failed=1)


def test_seeds_run_ahead_in_other_processes(suite):
    body = "assert run.trace_digest and run.seed in (1, 2)"
    suite(arguments="seeds=2, jobs=2", body=body).assert_outcomes(passed=2)


def test_workers_of_xdist_share_the_seeds(suite):
    pytest.importorskip("xdist")
    result = suite("-n", "2", plugins=("xdist.plugin",))
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_small: 2 seeds, all held"])


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("checks: {finally: [{expect: stuk == 0}]}\n", "*nearest   stuck"),
        ("  oops", "*small.yaml:*"),
    ],
)
def test_a_wrong_scenario_is_told_as_on_the_command_line(suite, checks, message):
    result = suite(arguments="seeds=1", checks=checks)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_real_time_is_refused(suite):
    result = suite(arguments="seeds=1, set={'clock.mode': 'real'}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected clock.mode: virtual for a test, found real*"])


def test_a_scenario_that_is_not_there_is_told_once(suite, pytester):
    pytester.makepyfile(
        "import fleetdrill\n@fleetdrill.test('nowhere.yaml', seeds=200)\ndef test_it(): ...\n"
    )
    result = pytester.runpytest_inprocess("-p", "devicesim.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected the scenario nowhere.yaml, found none from *"])


def test_run_belongs_to_decorated_tests(suite, pytester):
    pytester.makepyfile("def test_plain(run): ...\n")
    result = pytester.runpytest_inprocess("-p", "devicesim.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected @fleetdrill.test(...) on a test that takes `run`*"])


def test_the_decorator_itself_is_no_test(suite, pytester):
    (pytester.path / "small.yaml").write_text(SCENARIO)
    pytester.makepyfile("from fleetdrill import test\n@test('small.yaml')\ndef test_it(): ...\n")
    pytester.runpytest_inprocess("-p", "devicesim.pytest_plugin").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "arguments", [{"seeds": 0}, {"seeds": [1, 1]}, {"seeds": 10**6}, {"jobs": 0}]
)
def test_what_cannot_be_asked_for(arguments):
    with pytest.raises(ValueError, match="expected 1 to"):
        fleetdrill.test("small.yaml", **arguments)


def test_the_package_has_nothing_else():
    assert fleetdrill.RunRecord.__name__ == "RunRecord"
    with pytest.raises(AttributeError, match="no attribute 'tset'"):
        _ = fleetdrill.tset


def test_a_session_without_decorated_tests_loads_nothing(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import sys\nimport fleetdrill\n"
        "def test_plain():\n"
        "    heavy = {'numpy', 'onnxruntime', 'pydantic', 'msgspec', 'simpy', 'typer'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "devicesim.pytest_plugin", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
