"""A live registry's shape, a plan and the real bundles' bytes in virtual time: what is caught, and what is assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace
from typer.testing import CliRunner

from devicesdk.bundle.archive import file_reader
from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.source import read_release
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.rehearsing.bundles import NotRehearsable, blobs_in, unpack
from devicesim.rehearsing.compose import virtual_plan
from devicesim.rehearsing.work import rehearse_job
from devicesim.stock import load_plans
from gateway.adapters.blobs import FileBlobs
from gateway.core.control.shape import UTC
from gateway.core.pace import Budget, Pace, read_windows
from gateway.core.rehearsals.job import FAILED, HELD, REFUSED, Named, Verdict, read_step
from gateway.core.stimuli import GatePlan
from tests_kit import rehearsed as kit
from tests_kit import tensor_models as little
from tests_kit.rehearsed import GOOD, POISONED, WEAK, group, job, plan, shape

MISLABELLED, MISCALIBRATED = "gauge-mislabelled/1.2.1", "gauge-miscalibrated/1.2.2"


def rehearse(asked) -> Verdict:
    return rehearse_job(asked, lambda _: None)


def scenario_of(asked):
    return yaml.safe_load((Path(asked.folder) / "scenario.yaml").read_text())


def test_a_good_release_holds_with_every_seed_and_the_same_seed_is_the_same_run(tmp_path):
    asked = job(tmp_path, GOOD)
    steps = []
    found = rehearse_job(asked, steps.append)
    assert (found.outcome, found.why) == (HELD, "held in 2 runs of 200 virtual devices")
    assert [(run.held, run.state, run.exposed) for run in found.runs] == [
        (True, "completed", 200)
    ] * 2
    assert len({run.digest for run in found.runs}) == 2
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert (Path(asked.folder) / found.runs[0].report).is_file()
    file = Path(asked.folder) / "scenario.yaml"
    again = Rehearsal(open_scenario(file), file, seed=2).run(int(found.runs[1].virtual_s) * 10**9)
    assert again.trace_digest == found.runs[1].digest, (
        "`fleetdrill run` of its scenario is another run"
    )


@pytest.mark.parametrize(
    ("which", "word"),
    [
        (POISONED, "halted after"),
        (MISCALIBRATED, "halted after 0 devices"),
        (MISLABELLED, "of full scale beside the truth, gauge@1.0.0"),
    ],
)
def test_a_bad_release_fails_whether_its_kit_a_gate_or_only_the_truth_tells(tmp_path, which, word):
    found = rehearse(job(tmp_path, which, seeds=(1,)))
    assert found.outcome == FAILED
    assert word in found.why, found.why
    assert found.runs[0].failed, "a check that failed is named"
    assert len(found.story) >= 3, found.story


def test_a_plan_too_quick_for_its_gate_is_found_out_while_the_fleet_is_watched(tmp_path):
    quick = plan("gauge@1.2.0", soak_ns=10**9, gate=GatePlan(failures=1.0))
    found = rehearse(job(tmp_path, POISONED, seeds=(1,), plan=quick))
    assert found.runs[0].state == "completed", "its gate lets everything pass"
    assert found.outcome == FAILED
    assert "gave no reading for" in found.why, found.why


def test_what_the_registry_does_not_say_is_assumed_aloud(tmp_path):
    fleet = shape(
        group(profile="", link="", hardware="x86-vnni", running="", devices=1_500, online=1_500),
        group(selected=False, region="far / west", running="ab" * 32, devices=500, online=250),
    )
    asked = job(tmp_path, GOOD, seeds=(1,), shape=fleet)
    found = rehearse(replace(asked, devices_max=250))
    told = " | ".join(found.assumptions)
    assert found.outcome == HELD, found.why
    for words in (
        "2000 devices are rehearsed with about 250", "no label `link`", "run nothing are rehearsed with gauge@1.0.0",
        "run abababababababab", "250 devices that are offline now come back within 3 h", "label them `profile`",
    ):  # fmt: skip
        assert words in told, (words, told)
    written = scenario_of(asked)
    assert [one["count"] for one in written["fleet"]] == [188, 62]
    assert set(written["regions"]) == {"eu", "far-west"}
    assert written["timeline"][0] == {
        "at": "0s",
        "do": "partition",
        "target": "sample(group=g01, 50%)",
    }


def test_windows_budgets_and_approvals_are_the_plans_own(tmp_path):
    pace = Pace(
        windows=read_windows(("daily 11:00-15:00",)), budgets=(Budget("site code", count=5), Budget("region", share=0.5)),
        approvals=(1,), zone="Europe/Berlin",
    )  # fmt: skip
    sites = {"north hall": 20, "south hall": 20}
    asked = job(
        tmp_path, GOOD, seeds=(1,), zone_offset="UTC+02:00",
        plan=plan("gauge@1.1.0", pace=pace, waves=(0.2, 0.5), soak_ns=60 * 10**9),
        shape=shape(group(labels={"site code": sites, "region": {"eu": 40}}, offsets={"UTC+02:00": 40})),
    )  # fmt: skip
    found = rehearse(asked)
    assert found.runs, found.why
    (run,) = found.runs
    assert (found.outcome, run.state, run.exposed) == (HELD, "completed", 100), found.why
    assert run.virtual_s > 3600, "at 10:00 on their clocks no window is open"
    assert any("approved as soon as it waits" in line for line in found.assumptions)
    given = virtual_plan(asked).pace
    assert (given.zone, [b.label for b in given.budgets]) == (
        "UTC+02:00",
        ["label-site-code", "label-region"],
    )
    assert scenario_of(asked)["clock"]["start"] == "2026-01-05T08:00:00Z"


def test_a_scheduled_start_is_rehearsed_shortly_before_it(tmp_path):
    later = (kit.AT_MS + 40 * 3_600_000) * 10**6
    asked = job(
        tmp_path, GOOD, seeds=(1,), plan=plan("gauge@1.1.0", pace=Pace(start_at_ns=later, zone=UTC))
    )
    found = rehearse(asked)
    assert (found.outcome, scenario_of(asked)["clock"]["start"]) == (
        HELD,
        "2026-01-06T23:30:00Z",
    ), found.why
    assert found.runs[0].virtual_s < 4 * 3600


def test_where_nothing_runs_yet_the_candidate_replaces_a_copy_of_itself(tmp_path):
    for which, outcome in ((GOOD, HELD), (POISONED, FAILED)):
        folder = tmp_path / outcome
        asked = job(folder, which, seeds=(1,), others=(), shape=shape(group(running="")))
        found = rehearse(asked)
        assert found.outcome == outcome, found.why
        assert any("a copy of itself" in line for line in found.assumptions)


def test_what_cannot_be_rehearsed_is_refused_with_its_reason(tmp_path):
    asked = job(tmp_path, GOOD)
    nobody = replace(asked, shape=shape(group(selected=False)))
    assert (rehearse(nobody).outcome, "is for some enrolled device" in rehearse(nobody).why) == (
        REFUSED,
        True,
    )
    gone = replace(asked, candidate=Named("gauge@1.1.0", "00" * 32), folder=str(tmp_path / "gone"))
    assert "found no such file" in rehearse(gone).why
    other = replace(asked, candidate=asked.others[0], folder=str(tmp_path / "other"))
    assert rehearse(
        replace(other, candidate=Named("gauge@9.9.9", asked.others[0].digest))
    ).why.endswith("found gauge@1.0.0")
    for blob in [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]:
        if blob.stat().st_size > 80_000:
            content = bytearray(blob.read_bytes())
            content[1_000] ^= 1
            blob.chmod(0o600)
            blob.write_bytes(content)
    found = rehearse(replace(asked, folder=str(tmp_path / "altered")))
    assert (found.outcome, "it was altered" in found.why) == (REFUSED, True), found.why


def test_a_model_that_nothing_can_be_shown_to_is_refused_by_name(tmp_path):
    from gateway.adapters.keys import init_keys, read_signer

    init_keys(tmp_path / "keys")
    made = little.bundle(read_signer(tmp_path / "keys", "targets"))
    release, images = read_release(file_reader(made.members))
    digest, everything = build_bundle(release, images).sealed(kit.SIGNER)
    blobs = FileBlobs(tmp_path / "blobs")
    for blob in everything.values():
        blobs.put(blob)
    named = Named("little@1.0.0", digest.hex())
    with pytest.raises(NotRehearsable, match=r"found little"):
        unpack(blobs_in(tmp_path / "blobs"), named, tmp_path / "out")


def test_the_command_repeats_a_job_and_tells_a_gateway_by_lines(tmp_path):
    import msgspec
    import typer

    from devicesim.cli import register

    app = typer.Typer()
    register(app)
    asked = job(
        tmp_path, WEAK, others=(), shape=shape(group(running="")), seeds=(1,), devices_min=40
    )
    text = msgspec.json.encode(asked)
    file = tmp_path / "job.json"
    file.write_bytes(text)
    done = CliRunner().invoke(app, ["rehearse", str(file), "--out", str(tmp_path / "by-hand")])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (
        0,
        "held: held in 1 run of 40 virtual devices",
    ), done.output
    done = CliRunner().invoke(app, ["rehearse", "--stdin"], input=text)
    steps = [read_step(line.encode()) for line in done.stdout.splitlines()]
    assert (done.exit_code, steps[-1].verdict.outcome) == (0, HELD), done.output
    assert CliRunner().invoke(app, ["rehearse"]).exit_code == 2
    assert CliRunner().invoke(app, ["rehearse", "--stdin"], input=json.dumps({})).exit_code == 2


def test_a_file_of_plans_that_holds_none_is_refused_by_its_name(tmp_path):
    (tmp_path / "mine.plans.json").write_text('{"plan": {"id": 3}}')
    with pytest.raises(ValueError, match=r"mine\.plans\.json: expected plans of rollouts"):
        load_plans(tmp_path / "mine.yaml")
    assert load_plans(tmp_path / "other.yaml") == {}
