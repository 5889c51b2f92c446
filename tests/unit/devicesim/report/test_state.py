import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.report.state import state_lines
from devicesim.world.causes.inquiry import InForce
from tests_kit import worlds


@pytest.fixture(scope="module")
def drill():
    cut = "timeline: [{at: 31m, for: 10m, do: partition, target: all}]\n"
    made = worlds.make_drill(worlds.scenario_text(worlds.ROLLOUT + cut, count=4))
    made.world.run(35 * MINUTE)
    return made


def test_what_an_engineer_wants_in_a_debugger(drill):
    text = "\n".join(state_lines(drill, [InForce("partition", 31 * MINUTE, 4)], "kiosk-0002"))
    for words in (
        "stopped    at +0:35:00", "partition since +0:31:00 (4)", "0 of 4 online", "4 with a dead path",
        "rollout r1 running", "device     kiosk-0002", "path dead", "timers: ", "slots: a: gauge@1.0.0",
        "committed b", "copies held: broker", "next timer",
    ):  # fmt: skip
        assert words in text, f"{words!r} is not in:\n{text}"


def test_looking_changes_nothing(drill):
    assert state_lines(drill, [], "kiosk-0000") == state_lines(drill, [], "kiosk-0000")
    assert not any(line.startswith("device") for line in state_lines(drill, [], ""))
    with pytest.raises(KeyError):
        state_lines(drill, [], "kiosk-9999")
