"""`run --break-at`, `run --watch` and `story RUN`, as people call them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from devicesim.cli import register
from tests_kit import worlds

SCENARIO = """
scenario: late
seed: 7
clock: {start: 2024-07-16T00:00:00Z, duration: 70m}
telemetry: {window: 15m, frames: 2}
fleet: [{group: kiosk, count: 8, profile: rpi4-kiosk, link: fcc-dsl}]
bundles: [{id: gauge, version: 1.0.0, path: ROOT/models/gauge/1.0.0}]
timeline:
  - {id: away, at: 30m, for: 20m, do: broker.restart}
checks:
  eventually: [{online_ratio: '>= 99%', within: 1m, after: away}]
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    file = tmp_path_factory.mktemp("late") / "late.yaml"
    file.write_text(SCENARIO.replace("ROOT", str(worlds.ROOT)))
    return file


APP = typer.Typer()
register(APP)


def call(*words):
    return CliRunner().invoke(APP, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(scenario, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    done = call("run", scenario, "--out", out, "--json")
    assert done.exit_code == 1, done.output
    return out / "late-7", json.loads(done.stdout)


def test_the_json_has_the_explanation(run):
    _, record = run
    (check,) = [one for one in record["checks"] if one["held"] is False]
    text = "\n".join(check["explanation"])
    assert "away (broker.restart) (late.yaml:9) begins" in text, text
    assert check["first_bad_ns"] == 51 * 60 * 10**9
    assert check["culprits"]
    assert "lanes" not in check


def test_page_and_junit_tell_it_too(run):
    folder, _ = run
    page = (folder / "report.html").read_text()
    assert 'class="why"' in page
    assert "away (broker.restart) (late.yaml:9) begins" in page
    assert "away (broker.restart) (late.yaml:9) begins" in (folder / "junit.xml").read_text()


def test_story_without_a_device_explains_the_first_failure(run):
    folder, _ = run
    done = call("story", folder)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(
        "online_ratio >= 99% within 1m after away (eventually) did not hold."
    )
    assert "away (broker.restart) (late.yaml:9) begins" in done.stdout
    assert len(done.stdout.splitlines()) <= 12
    wrong = call("story", folder, "--check", "stuck")
    assert wrong.exit_code == 2
    assert "expected a check that failed" in wrong.output


def test_the_story_of_a_culprit_is_told_around_its_first_bad_minute(run):
    folder, record = run
    (check,) = [one for one in record["checks"] if one["held"] is False]
    done = call("story", folder, check["culprits"][0], "--window", "5m")
    assert done.exit_code == 0, done.output
    assert "0:51:00.000  ------ here ------" in done.stdout


@pytest.mark.parametrize(
    ("who", "words"), [("gateway", "gateway start"), ("broker", "fault begin away")]
)
def test_gateway_and_broker_have_stories(run, who, words):
    done = call("story", run[0], who)
    assert done.exit_code == 0, done.output
    assert words in done.stdout


def test_without_an_explanation_story_runs_it_again(scenario, tmp_path):
    done = call("run", scenario, "--out", tmp_path, "--no-explain", "--json")
    (check,) = [one for one in json.loads(done.stdout)["checks"] if one["held"] is False]
    assert "First bad at +0:51:00" in check["explanation"][1]
    assert "late.yaml" not in "\n".join(check["explanation"])
    assert "away (broker.restart) (late.yaml:9) begins" in call("story", tmp_path / "late-7").stdout


def test_a_scenario_that_has_changed_is_not_run_again(scenario, tmp_path):
    copy = tmp_path / "late.yaml"
    copy.write_text(scenario.read_text())
    call("run", copy, "--out", tmp_path, "--no-explain")
    copy.write_text(scenario.read_text() + "# later\n")
    told = call("story", tmp_path / "late-7").stdout
    assert "What led to it is not known" in told
    assert "has changed since" in told


def test_break_at_stops_there_and_shows_the_state(scenario):
    done = call("run", scenario, "--break-at", "40m", "--watch", "kiosk-0003")
    assert done.exit_code == 0, done.output
    for words in ("tries to connect", "stopped    at +0:40:00", "broker     DOWN", "device     kiosk-0003",
                  "timers: session in", "how it came there:", "away (broker.restart) (late.yaml:9) begins"):  # fmt: skip
        assert words in done.stdout, f"{words!r} is not in:\n{done.stdout}"


def test_break_at_the_first_failure_shows_the_culprit(scenario):
    done = call("run", scenario, "--break-at", "first-bad")
    assert done.exit_code == 1, done.output
    assert "first bad  online_ratio >= 99% within 1m after away: expected" in done.stdout
    assert "stopped    at +0:51:00" in done.stdout
    assert "device     kiosk-" in done.stdout


def test_a_device_that_is_none_is_refused(scenario):
    done = call("run", scenario, "--watch", "nobody")
    assert done.exit_code == 2
    assert "expected a device of late, found 'nobody'" in done.output
