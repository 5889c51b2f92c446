"""Choices: counted by rule, down the chain when answers are poor, up again, and never flapping."""

import itertools

import msgspec
import pytest

from devicesdk.agent.choosing import Chooser, matching_bin
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.policy import read_policy
from devicesdk.agent.snapshot import Slot
from devicesdk.agent.stimuli import Conditions
from devicesdk.wire.timebase import SECOND
from tests_kit.agent_bundles import shared_of

SLOT = Slot(variant="fp32", also=("int8-rr", "rule"), confidence=bytes([10] * 20))
NORMAL = {"rules": [{"name": "normal"}]}
FALLBACK = {"confidence_bin_min": 5, "bursts_down": 2, "bursts_up": 3}


def chooser(config=None, *, online=True, **document):
    shared = shared_of(config, online=online)
    made = Chooser(shared)
    made.adopt(read_policy(msgspec.json.encode(document or NORMAL)), 1)
    return made


def rows(frames, confidence=10, error=0, reading=500):
    return [[reading, confidence, 0, *[0] * 8, error] for _ in range(frames)]


def burst(made, confidence=10, error=0, now=0, reading=500, frames=4):
    """One choice and what came of it: the variant that ran, and how many frames were believed."""
    choice = made.choose(SLOT, now, alarm=False, may_send=True)
    good = made.believed(rows(frames, confidence, error, reading), SLOT, now)
    made.validate()
    return choice.variant, len(good)


def test_without_a_policy_there_is_no_choice_and_all_is_believed():
    made = Chooser(shared_of())
    made.adopt(None, 0)
    assert made.choose(SLOT, 0, alarm=False, may_send=True) is None
    assert len(made.believed(rows(3, 0, 1), SLOT, 0)) == 3


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], ""),
        (["int8-rr"], "int8-rr"),
        (["fp16", "rule"], "rule"),
        (["fp16"], ""),
        (["fp32"], ""),
    ],
)
def test_the_first_variant_that_is_on_the_device(wanted, found):
    made = chooser(rules=[{"name": "normal", "use": {"variants": wanted}}])
    assert burst(made)[0] == found


def test_decisions_are_counted_by_rule_and_a_closed_way_out_is_said():
    rules = [{"name": "ask", "use": {"path": "offload"}}]
    made = chooser(rules=rules)
    assert made.choose(SLOT, 0, alarm=False, may_send=True).path == "offload"
    assert made.choose(SLOT, 0, alarm=False, may_send=False).path == "local"
    made.holdoff_until = 10
    assert made.choose(SLOT, 9, alarm=False, may_send=True).path == "local"
    assert made.choose(SLOT, 10, alarm=False, may_send=True).path == "offload"
    assert made.counts() == {"ask": 2, "ask>local": 2}
    assert made.counts() == {}


def test_the_context_is_what_the_sensors_the_link_and_the_settings_say():
    made = chooser(AgentConfig(regulatory_mode="privacy", urgency="batch", latency_budget_ms=40))
    made._shared.conditions = Conditions(30, False, 71, True, True, 88)
    found = made.context(alarm=False)
    assert (found.battery_percent, found.plugged, found.chip_c, found.throttled) == (
        30,
        False,
        71,
        True,
    )
    assert (found.link, found.urgency, found.budget_ms) == ("metered", "batch", 40)
    assert (found.mode, found.memory_percent) == ("privacy", 88)
    assert made.context(alarm=True).urgency == "foreground"
    assert chooser(online=False).context(alarm=False).link == "offline"


def test_a_rule_holds_for_a_while_unless_a_more_pressing_one_matches():
    rules = [
        {"name": "hot", "when": {"chip_c_min": 80}},
        {"name": "warm", "when": {"chip_c_min": 60}},
        {"name": "normal"},
    ]
    made = chooser(rules=rules, margin={"chip_c": 0, "hold_s": 100})
    said = []
    for at, chip in ((0, 65), (10, 20), (20, 85), (30, 20), (119, 20), (120, 20)):
        made._shared.conditions = Conditions(chip_c=chip)
        made.choose(SLOT, at * SECOND, alarm=False, may_send=False)
        said += made.counts()
    assert said == ["warm", "warm", "hot", "hot", "hot", "normal"]


def test_poor_answers_lead_down_the_chain_to_the_last_known_reading_and_good_ones_up_again():
    made = chooser(**NORMAL, fallback=FALLBACK)
    assert burst(made, reading=321) == ("", 4)
    assert made.last_good == (321, 0)
    assert [burst(made, confidence=2)[0] for _ in range(2)] == ["", ""]
    assert [burst(made, confidence=2)[0] for _ in range(2)] == ["int8-rr", "int8-rr"]
    # The rule's confidence is on no model's scale: it is believed unless it gives no number.
    assert burst(made, confidence=2, now=7, reading=400) == ("rule", 4)
    assert made.last_good == (400, 7)
    assert burst(made, error=1) == ("rule", 0)
    assert burst(made, error=1) == ("rule", 0)
    assert burst(made, error=1) == ("rule", 0)
    assert made.at_end, "the chain has an end, where nobody is believed"
    assert made.last_good == (400, 7)
    assert made.age_ms(2 * SECOND + 7) == 2_000
    ups = [burst(made)[0] for _ in range(3 + 3 + 3 + 1)]
    assert ups[-1] == "", f"good answers did not lead back: {ups}"


def test_a_step_up_that_was_a_mistake_is_not_tried_again_as_soon():
    made = chooser(**NORMAL, fallback=FALLBACK)
    tries = []
    for at in range(200):
        variant = made.choose(SLOT, at, alarm=False, may_send=False).variant
        tries.append(variant)
        made.believed(rows(4, confidence=0 if not variant else 10), SLOT, at)
        made.validate()
    ran = [at for at, variant in enumerate(tries) if not variant]
    pauses = [b - a for a, b in itertools.pairwise(ran) if b - a > 1]
    assert pauses == sorted(pauses), f"flaps: {pauses}"
    assert pauses[-1] >= 8 * pauses[0], f"its patience does not grow: {pauses}"
    assert len(ran) < 20, f"ran the poor variant {len(ran)} times in 200"


def test_another_image_and_another_policy_begin_at_the_top():
    made = chooser(**NORMAL, fallback=FALLBACK)
    for _ in range(4):
        burst(made, confidence=0)
    assert made.level == 2
    made.another_image()
    assert burst(made)[0] == ""
    for _ in range(4):
        burst(made, confidence=0)
    made.adopt(None, 2)
    made.validate()
    assert made.level == 0


def test_recalibration_moves_the_bound_within_its_limits_and_is_taken_back_with_the_policy():
    how = {"shift_bins_max": 2, "frames_min": 40}
    patient = {**FALLBACK, "bursts_down": 50}
    made = chooser(**NORMAL, fallback=patient, recalibration=how)
    # A healthy device has a quarter of its frames below bin 5; this one has all of them at bin 3.
    poor = [burst(made, confidence=3)[1] for _ in range(10)]
    assert poor == [0] * 10
    assert made.shift == -2, "the bound follows, and stops at its limit"
    assert burst(made, confidence=3)[1] == 4, "what was poor is believed now"
    made.adopt(read_policy(msgspec.json.encode({**NORMAL, "fallback": FALLBACK})), 2)
    assert made.shift == 0
    made.validate()


def test_recalibration_never_changes_a_row():
    made = chooser(**NORMAL, fallback=FALLBACK, recalibration={"frames_min": 20})
    mine = rows(30, confidence=3)
    before = [list(row) for row in mine]
    made.believed(mine, SLOT, 0)
    assert mine == before


@pytest.mark.parametrize(
    ("seen", "bound", "expected"),
    [
        (list(range(20)), 5, 5),
        ([max(0, bin_ - 2) for bin_ in range(20)], 5, 3),
        ([min(19, bin_ + 3) for bin_ in range(20)], 5, 8),
        ([19] * 20, 5, 5),
        ([0] * 20, 5, 5),
    ],
)
def test_the_matching_bin_is_where_as_many_fall_below(seen, bound, expected):
    found = matching_bin(bytes([7] * 20), seen, bound)
    if seen in ([19] * 20, [0] * 20):
        share = sum(place < found for place in seen) / len(seen)
        assert share in (0.0, 1.0)
    else:
        assert found == expected
