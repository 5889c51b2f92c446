"""The commands, as people use them: interrupted, resumed, shrunk, repeated."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from time import perf_counter

import pytest

from devicesim.scenario import load
from tests_kit import worlds

ROOT = Path(__file__).parents[2]
SEEDS = 100
"""Enough to be interrupted among, however late the signal comes on a busy machine."""


def command(*words):
    return [sys.executable, "-m", "devicesdk", *map(str, words)]


def fleetdrill(*words, code=0):
    done = subprocess.run(
        command(*words), cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lab.yaml"
    rest = (
        worlds.ROLLOUT
        + "checks: {finally: [{versions: '== 1'}], sometimes: [clock_1970_at_connect]}\n"
    )
    rest += "timeline:\n  - {at: 5m, for: 1m, do: latency, add: 50ms, target: all}\n"
    rest += "  - {at: 25m, for: 2h, do: partition, target: 'sample(all, 20%)'}\n"
    path.write_text(worlds.scenario_text(rest, count=4, duration="50m"))
    return path


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_where_it_was_and_ends_with_the_same_digest(file, tmp_path):
    whole = fleetdrill("sweep", file, "--seeds", SEEDS, "--out", tmp_path / "a", "--json", code=1)
    begun = subprocess.Popen(
        command("sweep", file, "--seeds", SEEDS, "--out", tmp_path / "b"),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = tmp_path / "b" / "sweep-lab" / "results.jsonl"
    give_up = perf_counter() + 600
    while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 2):
        assert perf_counter() < give_up, "no result in ten minutes"
        Event().wait(0.01)
    begun.send_signal(signal.SIGINT)
    _, told = begun.communicate(timeout=300)
    early = journal.read_bytes()
    assert begun.returncode == 3, told
    assert f"fleetdrill sweep --resume {journal.parent}" in told
    assert (journal.parent / "sweep.html").is_file()

    rest = fleetdrill("sweep", "--resume", journal.parent, "--engine", "inline", "--json", code=1)
    assert journal.read_bytes().startswith(early), "what was done was done again"
    one, two = json.loads(whole.stdout), json.loads(rest.stdout)
    assert one["runs"] == two["runs"] == SEEDS
    assert one["digest"] == two["digest"]
    assert one["checks"] == two["checks"]


def test_what_fails_is_shrunk_from_a_sweep_and_the_file_repeats_it(file, tmp_path):
    fleetdrill("sweep", file, "--seeds", "3..4", "--out", tmp_path / "runs", code=1)
    folder = tmp_path / "runs" / "sweep-lab"
    done = fleetdrill("shrink", folder, "--runs-max", 120, "--json")
    told = json.loads(done.stdout)
    repro = folder / "repro.yaml"
    assert told["check"] == "versions == 1"
    small = load(repro.read_text(), (), None)
    assert len(small.timeline) <= 1
    assert sum(group.count for group in small.fleet) <= 3
    assert repro.read_text().startswith("# The smallest scenario found")
    words = told["reproduce"].split()
    again = fleetdrill(*words[1:], "--out", tmp_path / "again", "--json", code=1)
    assert json.loads(again.stdout)["trace_digest"] == told["digest"], "another run than it says"


def test_a_twin_is_shrunk_to_a_file_that_needs_no_base(file, tmp_path):
    twin = tmp_path / "twin.yaml"
    twin.write_text("extends: lab.yaml\nscenario: twin\nremove: [timeline.0]\n")
    done = fleetdrill(
        "shrink", twin, "--seed", 3, "--runs-max", 40, "--out", tmp_path / "repro.yaml", "--json"
    )
    told = json.loads(done.stdout)
    assert load((tmp_path / "repro.yaml").read_text(), (), None).name == "twin"
    again = fleetdrill(*told["reproduce"].split()[1:], "--out", tmp_path / "x", "--json", code=1)
    assert json.loads(again.stdout)["trace_digest"] == told["digest"]


def test_a_run_of_the_sweep_is_the_run_of_the_run_command(file, tmp_path):
    fleetdrill("sweep", file, "--seeds", "3..3", "--out", tmp_path / "runs", code=1)
    line = (tmp_path / "runs" / "sweep-lab" / "results.jsonl").read_text()
    digest = json.loads(line)["digest"]
    fleetdrill(
        "run", file, "--seed", 3, "--out", tmp_path / "one", "--expect-digest", digest, code=1
    )


def test_wrong_words_are_told(file, tmp_path):
    assert "--resume" in fleetdrill("sweep", code=2).stderr
    assert "seeds" in fleetdrill("sweep", file, "--seeds", "x", code=2).stderr
    assert "rollouts.9" in fleetdrill("sweep", file, "--grid", "rollouts.9.soak=1m", code=2).stderr
    assert "neither" in fleetdrill("shrink", tmp_path, code=2).stderr
    told = fleetdrill("shrink", file, "--check", "stuck", "--jobs", 1, code=1).stderr
    assert "expected stuck to fail" in told


def test_the_scenario_insists_on_what_no_run_met(file, tmp_path):
    done = fleetdrill(
        "sweep", file, "--seeds", 1, "--set", "checks.sometimes=[rollback_ran]", "--set",
        "checks.finally=[]", "--out", tmp_path / "runs", code=1,
    )  # fmt: skip
    assert "rollback ran never occurred" in done.stdout
