"""The policy document: first match, always a last rule, refusals that say what was expected."""

import msgspec
import pytest

from devicesdk.agent.policy import (
    POLICY_BYTES_MAX,
    Context,
    Policy,
    PolicyError,
    Rule,
    Use,
    When,
    read_policy,
)


def read(**document):
    return read_policy(msgspec.json.encode(document))


TWO = {
    "rules": [
        {"name": "hot", "when": {"chip_c_min": 70}, "use": {"variants": ["rule"]}},
        {"name": "normal"},
    ]
}


def test_the_first_rule_that_matches_wins_and_the_last_one_always_does():
    policy = read(
        rules=[
            {"name": "dark", "when": {"link": ["offline"], "plugged": False}},
            {"name": "low", "when": {"battery_percent_max": 20}},
            {"name": "normal"},
        ]
    )
    assert policy.choose(Context(plugged=False, link="offline", battery_percent=5)) == 0
    assert policy.choose(Context(plugged=True, link="offline", battery_percent=5)) == 1
    assert policy.choose(Context()) == 2


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        ({"plugged": True}, Context(plugged=True), Context(plugged=False)),
        ({"throttled": True}, Context(throttled=True), Context()),
        ({"chip_c_max": 10}, Context(chip_c=10), Context(chip_c=11)),
        ({"battery_percent_min": 80}, Context(battery_percent=80), Context(battery_percent=79)),
        ({"memory_percent_min": 90}, Context(memory_percent=90), Context(memory_percent=89)),
        ({"urgency": "batch"}, Context(urgency="batch"), Context()),
        ({"budget_ms_max": 50}, Context(budget_ms=50), Context(budget_ms=51)),
        ({"budget_ms_max": 50}, Context(budget_ms=1), Context(budget_ms=0)),
        ({"mode": ["privacy", "medical"]}, Context(mode="medical"), Context()),
        ({"link": ["metered", "offline"]}, Context(link="metered"), Context(link="unmetered")),
    ],
)
def test_each_condition(when, holds, fails):
    policy = read(rules=[{"name": "x", "when": when}, {"name": "normal"}])
    assert policy.choose(holds) == 0, f"expected {when} to hold in {holds}"
    assert policy.choose(fails) == 1, f"expected {when} not to hold in {fails}"


def test_the_rule_in_force_keeps_its_hold_by_the_margin_and_no_further():
    policy = read(**TWO, margin={"chip_c": 5})
    assert policy.choose(Context(chip_c=69)) == 1
    assert policy.choose(Context(chip_c=65), held=0) == 0
    assert policy.choose(Context(chip_c=64), held=0) == 1


@pytest.mark.parametrize(
    ("document", "story"),
    [
        (b"{}", "rules"),
        (b'{"rules":[]}', "length >= 1"),
        (b"no json", "expected a policy, found b'no json'"),
        (b'{"rules":[{"name":"a","when":{"plugged":true}}]}', "last rule to have no condition"),
        (b'{"rules":[{"name":"a","when":{"pluged":true}},{"name":"b"}]}', "pluged"),
        (b'{"rules":[{"name":"a"},{"name":"a"}]}', "a name of its own, found 'a' twice"),
        (b'{"rules":[{"name":"A b"}]}', "matching regex"),
        (b'{"rules":[{"name":"a","use":{"path":"moon"}}]}', "moon"),
        (b'{"rules":[{"name":"a","use":{"frames_permille":0}}]}', ">= 1"),
        (b'{"rules":[' + b'{"name":"a"},' * 40 + b'{"name":"b"}]}', "length <= 32"),
        (b" " * (POLICY_BYTES_MAX + 1), "at most"),
    ],
)
def test_what_is_no_policy_is_refused_with_a_story(document, story):
    with pytest.raises(PolicyError) as caught:
        read_policy(document)
    assert story in str(caught.value)


def test_the_same_bytes_are_one_object_for_a_whole_fleet():
    document = msgspec.json.encode(TWO)
    assert read_policy(document) is read_policy(bytes(document))


def test_a_policy_without_options_asks_for_what_a_device_does_anyway():
    policy = Policy(rules=(Rule("normal", When(), Use()),))
    assert (policy.fallback, policy.recalibration) == (None, None)
    assert policy.rules[0].use == Use((), "local", 1_000, 1, 0)
