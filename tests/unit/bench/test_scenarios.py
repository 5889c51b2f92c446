"""What the campaign tells of each scenario at full size."""

from __future__ import annotations

import sys

import pytest

from bench import scenarios
from bench.scenarios import Outcome

GOLDEN = {
    "verdict": "failed",
    "failed": ["stuck == 0", "halted == 1"],
    "rollouts": {"r1": "halted"},
}
FAILED = Outcome(
    "boot-loop", 1_000, 4.12, "failed", ("halted == 1", "stuck == 0"), (("r1", "halted"),)
)


def test_one_that_is_as_expected_is_one_line():
    line = FAILED.lines(GOLDEN, 12)
    assert "\n" not in line
    assert line.startswith(
        "as expected  boot-loop     failed   1,000 devices     4.1 s  2 checks fail: "
    )
    held = Outcome("x", 5, 0.1, "passed").lines(
        {"verdict": "passed", "failed": [], "rollouts": {}}, 1
    )
    assert held.endswith("s"), "nothing is said of no failed checks"


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "passed"},
        {"failed": ("stuck == 0",)},
        {"rollouts": (("r1", "completed"),)},
        {"rollouts": ()},
    ],
    ids=["verdict", "checks", "state", "no rollout"],
)
def test_one_that_is_not_says_what_was_expected_and_how_to_see_it(change):
    outcome = FAILED._replace(**change)
    assert outcome.word(GOLDEN) == "UNEXPECTED"
    told = outcome.lines(GOLDEN, 12)
    assert "expected  failed: stuck == 0, halted == 1" in told
    assert "fleetdrill run scenarios/boot-loop.yaml" in told


def test_without_a_verdict_one_is_skipped_or_broken_and_never_as_expected():
    assert Outcome("a", skipped="no wheel").lines(GOLDEN, 1) == "SKIPPED      a  no wheel"
    assert Outcome("a", broken="KeyError('x')").lines(GOLDEN, 1) == "BROKEN       a  KeyError('x')"


def test_a_name_that_is_none_is_refused_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.scenarios", "boot-lop"])
    assert scenarios.main() == 2
    assert "boot-lop" in capsys.readouterr().err
