"""Two policies on the same luck: nothing differs between a policy and itself, and much between two."""

import json
import math
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicesim import compare_cli
from devicesim.compare.result import compare
from devicesim.compare.runs import Wanted, carry_out, carry_out_all, gather, orders

ROOT = Path(__file__).parents[2]
LAB = """
scenario: lab
seed: 5
clock: {start: 2024-07-16T00:00:00Z, duration: 75m}
telemetry: {window: 15m, frames: 1}
fleet:
  - {group: kiosk, count: 24, profile: rpi4-kiosk, link: fcc-dsl}
bundles: [{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}]
timeline: [{id: cut, at: 30m, for: 14m, do: partition, how: blackhole, target: all}]
checks:
  slo: [{reconnect_p99: '< 4m'}]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for name in ("models", "scenarios"):
        (folder / name).symlink_to(ROOT / name)
    file = folder / "lab.yaml"
    file.write_text(LAB)
    return file


def fleetdrill(command, *words):
    """The command in this process: its code, what it printed, what it complained of."""
    app = typer.Typer()
    app.callback()(lambda: None)
    compare_cli.register(app)
    done = CliRunner().invoke(app, [command, *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def both(lab, out, a, b, *, seeds=(5,), jobs=1):
    sides = Wanted(lab, a), Wanted(lab, b)
    todo = orders(*sides, list(seeds), None, out)
    if jobs > 1:
        carry_out_all(todo, jobs, lambda *_: None)
    else:
        for order in todo:
            carry_out(order)
    return compare(gather(*sides, list(seeds), out))


def test_a_policy_and_itself_differ_in_nothing_at_all(lab, tmp_path):
    found = both(lab, tmp_path, (), ("title=The same by another name",))
    assert [change.path for change in found.changes] == ["title"]
    assert found.same
    moved = {m.column.name: m.difference for m in found.devices if m.difference not in (0.0, None)}
    assert all(map(math.isnan, moved.values())), (
        f"identical policies, and yet a difference: {moved}"
    )
    assert {m.direction for m in (*found.devices, *found.fleet)} == {"same"}


def test_two_back_offs_differ_beyond_their_interval(lab, tmp_path):
    found = both(lab, tmp_path, (), ("agent.backoff.jitter=none", "agent.backoff.cap=10m"))
    waited = found.measure("waited_s")
    assert waited.direction == "worse", f"a herd without jitter fares {waited.direction}"
    assert waited.interval.excludes_zero
    assert waited.interval.over == "devices"
    assert waited.pairs == 24
    assert found.measure("off_s").direction == "same", "power is not a matter of back-off"
    assert {c.name for c in found.checks if not c.same} >= {"reconnect_p99 < 4m"}


def test_over_seeds_the_interval_is_over_seeds_whoever_runs_them(lab, tmp_path):
    policies = (), ("agent.backoff.jitter=none", "agent.backoff.cap=10m")
    one = both(lab, tmp_path / "one", *policies, seeds=(5, 6, 7))
    two = both(lab, tmp_path / "two", *policies, seeds=(5, 6, 7), jobs=2)
    assert one.devices == two.devices, "how many processes ran it must not show"
    waited = one.measure("waited_s")
    assert (waited.interval.over, waited.interval.n, waited.pairs) == ("seeds", 3, 72)
    assert waited.direction == "worse"
    assert one.measure("reconnect_p99").interval.over == "seeds"
    assert not (tmp_path / "one" / "b-6" / "trace.bin").exists(), "one trace a side is enough"


def test_the_command_says_it_all_and_keeps_its_exit_codes(lab, tmp_path):
    words = "compare", lab, "--out", tmp_path / "runs", "--jobs", "1", "--json"
    worse = "--set-b", "agent.backoff.jitter=none", "--set-b", "agent.backoff.cap=10m"
    code, said, complained = fleetdrill(*words, *worse, "--expect-same")
    assert code == 4, complained
    found = json.loads(said)
    page = Path(found["report"]).read_text()
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert 'href="a-5/report.html"' in page
    assert "here they part" in page, "the stories of both days belong to the page"
    runs = Path(found["a"]["folder"]), Path(found["b"]["folder"])
    out = "--expect-better", "waited_s", "--out", tmp_path / "again"
    assert fleetdrill("compare", *runs, *out)[0] == 1, "B is worse"
    assert fleetdrill("compare", *reversed(runs), *out)[0] == 0, "turned round it is better"
    code, _, complained = fleetdrill("compare", *runs, "--expect-better", "speed", *out)
    assert code == 2
    assert "expected a measure (offline_s" in complained
    code, said, _ = fleetdrill("compare", runs[0], runs[0], "--expect-same", "--out", tmp_path)
    assert code == 0
    assert "The same, bit for bit: trace digest" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.yaml"], "found no nowhere.yaml"),
        (["scenarios"], "found no record.json"),
        (["scenarios", "--seeds", "2"], "it has one seed"),
        (["scenarios", "--set-a", "scale=2"], "which has been run"),
        (["{lab}", "--seeds", "0"], "expected 1 to 10000 seeds"),
        (["{lab}", "--set-b", "broker.accept=1"], "accept_rate"),
        (["{lab}"], "expected two different sides"),
    ],
)
def test_what_cannot_be_compared_is_refused(lab, tmp_path, words, said):
    words = [word.format(lab=lab) for word in words]
    code, _, complained = fleetdrill("compare", *words, "--out", tmp_path)
    assert code == 2, complained
    assert said in complained
    assert list(tmp_path.iterdir()) == [], "nothing is made before everything is known to be sound"
