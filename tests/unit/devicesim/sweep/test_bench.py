"""A task of a sweep is the run that `fleetdrill run` makes of the same file, whatever the file leans on."""

import msgspec
import pytest

from devicesim.recordings.intervals import RecordingError
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.scenario import ScenarioError, load
from devicesim.stock import load_profiles, stock_for
from devicesim.sweep.bench import Bench
from devicesim.sweep.plan import load_plan, make_plan, save_plan
from devicesim.sweep.repro import to_yaml
from devicesim.sweep.shrink import data_of
from devicesim.sweep.task import Task
from devicesim.why import _changed
from devicesim.world.assemble import assemble
from tests_kit import worlds

PRESENCE = (
    "  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: ethernet, presence: presence.csv}"
)
TRACED = "  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: {trace: way.csv}}"
TWIN = "extends: lab.yaml\nscenario: twin\nchange: {fleet.kiosk.count: 2}\n"
TWINS_TWIN = "extends: ../twin.yaml\nscenario: twins-twin\n"


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "profiles").symlink_to(worlds.ROOT / "scenarios" / "profiles")
    return tmp_path / "lab.yaml"


@pytest.fixture
def recorded(lab):
    (lab.parent / "presence.csv").write_text(
        "time,device,event\n0,a,connect\n0,b,connect\n0,c,connect\n600,a,disconnect\n"
        "900,a,connect\n700,b,disconnect\n2400,c,disconnect\n"
    )
    lab.write_text(worlds.scenario_text(worlds.ROLLOUT, fleet=PRESENCE, duration="40m"))
    return lab


@pytest.fixture
def twin(lab):
    lab.write_text(worlds.scenario_text(worlds.ROLLOUT, count=3, duration="40m"))
    (lab.parent / "more").mkdir()
    (lab.parent / "twin.yaml").write_text(TWIN)
    file = lab.parent / "more" / "twins-twin.yaml"
    file.write_text(TWINS_TWIN)
    (lab.parent / "more" / "profiles").symlink_to(worlds.ROOT / "scenarios" / "profiles")
    return file


def swept(plan, seed=3):
    result = Bench(plan.setup).do(Task(key="x", seed=seed, overrides=plan.overrides))
    assert result.verdict != "broken", result.failing
    return result.digest


def plain(file, seed=3, overrides=()):
    return Rehearsal(open_scenario(file, overrides), file, seed=seed).run().trace_digest


def test_a_fleet_that_follows_a_recording_follows_it_in_a_sweep(recorded):
    plan = make_plan(recorded, (3,))
    assert swept(plan) == plain(recorded)
    without = recorded.with_name("without.yaml")
    without.write_text(recorded.read_text().replace(", presence: presence.csv", ""))
    assert swept(plan) != plain(without)


def test_a_recording_is_read_once_and_serves_every_task_alike(recorded):
    bench = Bench(make_plan(recorded, (3,)).setup)
    first, second, again = (bench.do(Task(key="x", seed=seed)).digest for seed in (3, 4, 3))
    assert first == again != second
    scenario = bench.open(Task(key="x", seed=3))
    one, two = bench.stock(scenario), bench.stock(scenario)
    assert one.recordings["presence.csv"] is two.recordings["presence.csv"]


def test_a_recorded_link_is_played_in_a_sweep(lab):
    (lab.parent / "way.csv").write_text("time,down_kbit_s,rtt\n0,100,40\n30,5000,80\n60,900,120\n")
    lab.write_text(worlds.scenario_text(worlds.ROLLOUT, fleet=TRACED, duration="40m"))
    assert swept(make_plan(lab, (3,))) == plain(lab)


@pytest.mark.parametrize("what", ["recordings", "traces"])
def test_a_world_without_what_its_groups_follow_is_refused(lab, recorded, what):
    if what == "traces":
        (lab.parent / "way.csv").write_text("time,down_kbit_s,rtt\n0,100,40\n30,5000,80\n")
        lab.write_text(worlds.scenario_text(fleet=TRACED))
    scenario = open_scenario(lab)
    stock = msgspec.structs.replace(stock_for(scenario, lab), **{what: {}})
    with pytest.raises(RecordingError, match=r"of group kiosk, found no such one in the stock"):
        assemble(scenario, stock)


def test_a_twin_is_swept_like_any_other(twin):
    plan = make_plan(twin, (3,))
    assert plan.name == "twins-twin"
    assert swept(plan) == plain(twin)


def test_a_shipped_twin_is_swept_with_the_digest_of_the_plain_run():
    file = worlds.ROOT / "scenarios" / "boot-loop-trial.yaml"
    reduced = ("scale=0.15",)
    assert swept(make_plan(file, (3,), overrides=reduced)) == plain(file, overrides=reduced)


def test_an_edit_of_a_base_changes_nothing_of_a_plan_that_is_made(twin, tmp_path):
    plan = make_plan(twin, (3,))
    before, digest = swept(plan), plan.scenario_digest
    save_plan(tmp_path, plan)
    for name in ("lab.yaml", "twin.yaml"):
        (twin.parent.parent / name).unlink()
    kept = load_plan(tmp_path)
    assert kept == plan
    assert swept(kept) == before
    assert kept.scenario_digest == digest


def test_the_digest_of_a_scenario_covers_its_bases(twin):
    run = Rehearsal(open_scenario(twin), twin).run()
    plan = make_plan(twin, (3,))
    assert run.scenario_digest == plan.scenario_digest
    assert _changed(run, {}, twin) == "the program has changed since."
    base = twin.parent.parent / "lab.yaml"
    base.write_text(base.read_text().replace("40m", "41m"))
    assert make_plan(twin, (3,)).scenario_digest != plan.scenario_digest
    assert "has changed since" in _changed(run, {}, twin)
    base.unlink()
    assert "has changed since" in _changed(run, {}, twin)


def test_a_base_that_is_not_there_is_told_when_the_plan_is_made(twin):
    (twin.parent.parent / "lab.yaml").unlink()
    with pytest.raises(ScenarioError, match="a file that can be read"):
        make_plan(twin, (3,))


def test_what_shrink_begins_with_is_the_twin_as_a_whole(twin):
    plan = make_plan(twin, (3,))
    data = data_of(plan.setup, ("scale=2",))
    assert "extends" not in data
    assert "change" not in data
    assert (data["scenario"], data["scale"]) == ("twins-twin", 2)
    profiles, links = load_profiles(twin)
    whole = load(to_yaml(data, 7), (), None, profiles=profiles, links=links.links)
    assert whole == open_scenario(twin, ("scale=2",))
