from __future__ import annotations

import os
from pathlib import Path

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario import Scenario, ScenarioError, load

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests" / "golden" / "scenarios"
PROFILES = ("rpi4-kiosk", "handheld", "jetson-camera")
LINKS = ("fcc-dsl", "lte-good", "lte-poor")
MINIMAL = (
    "scenario: small\nfleet:\n  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl}\n"
)
ASKED_FOR = {
    "unknown-key",
    "wrong-unit",
    "missing-profile",
    "overlapping-waves",
    "negative-count",
    "bad-selector",
    "circular-trigger",
    "wrong-type",
    "unknown-fault",
    "empty-file",
}


def read(path: str) -> str:
    return (GOLDEN / path).read_text()


@pytest.mark.parametrize("file", sorted(path.name for path in GOLDEN.glob("*.yaml")))
def test_a_wrong_file_gets_its_message(file):
    with pytest.raises(ScenarioError) as caught:
        load(file, (), read, profiles=PROFILES, links=LINKS)
    message = caught.value.render(80)
    expected = (GOLDEN / file).with_suffix(".txt")
    if os.environ.get("FLEETDRILL_REWRITE_GOLDEN"):
        expected.write_text(message + "\n")
    assert message + "\n" == expected.read_text(), f"the message for {file} changed"
    rows = message.split("\n")
    assert len(rows) <= 24, "one screen"
    assert max(map(len, rows)) <= 80
    assert caught.value.exit_code == 2


def test_the_ten_that_were_asked_for_are_there():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} >= ASKED_FOR
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == {
        path.stem for path in GOLDEN.glob("*.txt")
    }


def test_a_minimal_scenario_loads_with_no_hardship():
    scenario = load(MINIMAL)
    assert isinstance(scenario, Scenario)
    assert scenario.name == "small"
    assert scenario.clock.duration_ns == 24 * HOUR
    assert scenario.timeline == ()
    assert scenario.buggify.fire == 0
    assert scenario.fleet[0].links == {"fcc-dsl": 1.0}


def test_overrides_are_applied_in_order_and_checked_with_the_rest():
    scenario = load(MINIMAL, ["scale=0.1", "clock.mode=real", "clock.speed=60", "scale=0.2"])
    assert (scenario.scale, scenario.clock.mode, scenario.clock.speed) == (0.2, "real", 60)
    with pytest.raises(ScenarioError) as caught:
        load(MINIMAL, ["scale=lots"])
    text = caught.value.render()
    assert "--set scale=lots  scale" in text, text
    assert "expected  a number" in text, text


def test_an_instant_follows_the_start_that_an_override_sets():
    text = MINIMAL + "timeline:\n  - {at: 2024-02-22T08:45:00Z, do: device.reboot, target: all}\n"
    scenario = load(text, ["clock.start=2024-02-22T08:00:00Z"])
    assert scenario.timeline[0].at_ns == 45 * MINUTE


def test_a_wrong_start_is_told_once():
    text = MINIMAL + "timeline:\n  - {at: 2024-02-22T08:45:00Z, do: device.reboot, target: all}\n"
    with pytest.raises(ScenarioError) as caught:
        load(text, ["clock.start=noon"])
    assert [problem.path for problem in caught.value.problems] == [("clock", "start")]


def test_the_environment_is_not_expanded(monkeypatch):
    monkeypatch.setenv("NAME", "leaked")
    assert load(MINIMAL + "title: ${NAME}\n").title == "${NAME}"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (FileNotFoundError(2, "No such file or directory"), "no such file or directory"),
        (PermissionError(13, "Permission denied"), "permission denied"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
    ],
)
def test_a_file_that_cannot_be_read(error, found):
    def refuse(path: str) -> str:
        raise error

    with pytest.raises(ScenarioError) as caught:
        load("x.yaml", (), refuse)
    assert caught.value.problems[0].found == found
    assert caught.value.file == "x.yaml"


def test_profiles_and_links_are_checked_only_when_known():
    load(MINIMAL)
    with pytest.raises(ScenarioError, match="there are none"):
        load(MINIMAL, profiles=(), links=LINKS)
    with pytest.raises(ScenarioError, match="a link class"):
        load(MINIMAL, profiles=PROFILES, links=("lte-good",))


def test_shapes_and_duplicates_are_told_together():
    with pytest.raises(ScenarioError) as caught:
        load(MINIMAL + "seed: 1\nseed: 2\nscale: no\nbroker: {queue_max: 0}\n")
    assert [problem.path for problem in caught.value.problems] == [
        ("seed",),
        ("scale",),
        ("broker", "queue_max"),
    ]
