"""The command: what it refuses, and what Ctrl-C does."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from devicesdk.cli import main as _main  # noqa: F401 - the entry point exists
from devicesim.guarded import EXIT_INVALID
from devicesim.live.soak.cli import EXIT_KILLED, interrupted, register
from devicesim.live.soak.run import Stop

SCENARIO = str(Path(__file__).resolve().parents[5] / "scenarios" / "soak.yaml")


def refused(*words: str) -> str:
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["soak", *words])
    assert result.exit_code == EXIT_INVALID, result.output
    return result.output


def test_nothing_to_run_is_refused() -> None:
    assert "expected a scenario file, or --resume RUN" in refused()


def test_a_duration_without_a_unit_is_refused() -> None:
    assert "30" in refused(SCENARIO, "--for", "30")


def test_a_run_that_was_not_paused_cannot_go_on(tmp_path: Path) -> None:
    assert "expected the folder of a soak" in refused("--resume", str(tmp_path))


def test_a_refused_plan_leaves_no_folder(tmp_path: Path) -> None:
    text = refused(SCENARIO, "--devices", "2", "--out", str(tmp_path))
    assert "one for each group" in text
    assert list(tmp_path.iterdir()) == []


def test_the_first_interrupt_pauses_and_the_second_ends_broker_and_all() -> None:
    stop, ended, left = Stop(), [], []
    stop.at_once = lambda: ended.append("broker")
    interrupted(stop, left.append)
    assert stop.asked
    assert not left
    interrupted(stop, left.append)
    assert (ended, left) == (["broker"], [EXIT_KILLED])
