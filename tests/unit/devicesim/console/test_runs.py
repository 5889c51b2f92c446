"""Which folders can be looked at, and how far a run has come that goes on."""

import json
import os
import shutil

import pytest

from devicesdk.wire.timebase import HOUR
from devicesim.console.runs import Growth, open_run
from devicesim.rundir import RUNNING_FILE, announce
from tests_kit.console_on_run import small_run


@pytest.fixture
def copied(finished, tmp_path):
    """The run with its scenario beside it, to be spoiled."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.copy(finished.parent.parent / "lab.yaml", tmp_path / "lab.yaml")
    edit(tmp_path / "run" / "manifest.json", scenario=str(tmp_path / "lab.yaml"))
    return tmp_path / "run"


def edit(file, **said):
    file.write_text(json.dumps({**json.loads(file.read_text()), **said}))


def going_on(folder, pid):
    """The same folder as it is while the run goes on."""
    manifest = json.loads((folder / "manifest.json").read_text())
    record = json.loads((folder / "record.json").read_text())
    announce(
        folder, scenario=manifest["scenario"], scenario_digest=record["scenario_digest"],
        overrides=[], seed=manifest["seed"], until_ns=None,
    )  # fmt: skip
    edit(folder / RUNNING_FILE, pid=pid)
    (folder / "record.json").rename(folder / "kept.json")


def test_a_finished_run_has_its_end_and_its_verdict(finished):
    run = open_run(finished)
    assert (run.scenario.name, run.seed, run.end_ns) == ("lab", 7, 2 * HOUR)
    assert run.kept is not None
    assert run.kept.verdict == "passed"
    assert run.kept.devices == 5
    assert run.changed == ""
    assert run.start_ms == 1_721_088_000_000


def test_a_run_that_stopped_early_ends_there(tmp_path):
    assert open_run(small_run(tmp_path, until=HOUR // 2)).end_ns == HOUR // 2


def test_a_finished_run_does_not_say_that_it_goes_on(finished):
    assert not (finished / RUNNING_FILE).exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected a run in .* make one with `fleetdrill run"
    ):
        open_run(tmp_path)


def test_a_run_in_real_time_is_refused(copied):
    record = json.loads((copied / "record.json").read_text())
    edit(copied / "record.json", venue={**record["venue"], "mode": "real"})
    with pytest.raises(ValueError, match="does not repeat"):
        open_run(copied)


def test_a_run_whose_scenario_has_changed_is_refused(copied):
    file = copied.parent / "lab.yaml"
    file.write_text(file.read_text() + "# another one\n")
    with pytest.raises(ValueError, match="has changed"):
        open_run(copied)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="where the run was made"):
        open_run(copied)


def test_a_record_that_is_none_is_told(copied):
    (copied / "record.json").write_text("{")
    with pytest.raises(ValueError, match="make the run anew"):
        open_run(copied)


def test_another_program_is_told_and_does_not_keep_anybody_from_looking(copied):
    edit(copied / "manifest.json", code="0" * 16)
    assert "program has changed" in open_run(copied).changed


def test_a_run_that_goes_on_is_followed_until_it_ends(copied):
    going_on(copied, os.getpid())
    whole = (copied / "trace.bin").read_bytes()
    (copied / "trace.bin").write_bytes(whole[: len(whole) // 2])
    run = open_run(copied)
    assert (run.kept, run.end_ns) == (None, 2 * HOUR)
    growth = Growth(run)
    growth.look()
    half = growth.reach_ns
    assert 0 < half < run.end_ns, "expected to come as far as the trace has"
    assert growth.alive
    growth.look()
    assert growth.reach_ns == half, "nothing new, nothing further"
    (copied / "trace.bin").write_bytes(whole)
    growth.look()
    assert half < growth.reach_ns < run.end_ns + 1
    assert growth.kept is None
    (copied / "kept.json").rename(copied / "record.json")
    growth.look()
    assert growth.kept is None, "its files are written still"
    (copied / RUNNING_FILE).unlink()
    growth.look()
    assert growth.kept is not None
    assert growth.reach_ns == run.end_ns


def test_a_run_whose_process_is_gone_was_broken_off(copied):
    going_on(copied, 2**22 + 1)  # past what Linux gives a process
    growth = Growth(open_run(copied))
    growth.look()
    assert not growth.alive
