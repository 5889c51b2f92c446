"""Whatever the policy and the context: there is a choice, it is the same choice, and it does not flap."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.agent.policy import Context, Policy, PolicyError, Rule, Use, When, read_policy

contexts = st.builds(
    Context,
    plugged=st.booleans(),
    battery_percent=st.integers(0, 100),
    chip_c=st.integers(-40, 120),
    throttled=st.booleans(),
    memory_percent=st.integers(0, 100),
    link=st.sampled_from(["offline", "metered", "unmetered"]),
    urgency=st.sampled_from(["foreground", "batch"]),
    budget_ms=st.integers(0, 100),
    mode=st.sampled_from(["", "privacy", "medical"]),
)
conditions = st.builds(
    When,
    plugged=st.none() | st.booleans(),
    battery_percent_max=st.none() | st.integers(0, 100),
    battery_percent_min=st.none() | st.integers(0, 100),
    chip_c_min=st.none() | st.integers(-40, 120),
    chip_c_max=st.none() | st.integers(-40, 120),
    throttled=st.none() | st.booleans(),
    link=st.sampled_from([(), ("offline",), ("metered", "unmetered")]),
    mode=st.sampled_from([(), ("privacy",)]),
)


@st.composite
def policies(draw):
    rules = [Rule(f"r{i}", when) for i, when in enumerate(draw(st.lists(conditions, max_size=6)))]
    return Policy(rules=(*rules, Rule("otherwise", When(), Use())))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(policies(), contexts)
def test_there_is_always_a_choice_and_it_is_the_first_that_matches(policy, context):
    index = policy.choose(context)
    assert 0 <= index < len(policy.rules)
    for rule in policy.rules[:index]:
        alone = Policy(rules=(rule, Rule("otherwise")))
        assert alone.choose(context) == 1, f"{rule} matched and was passed over"


@settings(derandomize=True, max_examples=200, deadline=None)
@given(policies(), contexts)
def test_the_same_document_and_context_give_the_same_choice(policy, context):
    again = read_policy(msgspec.json.encode(policy))
    assert again == policy
    for held in range(-1, len(policy.rules)):
        assert policy.choose(context, held) == again.choose(context, held)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(policies(), contexts)
def test_what_was_chosen_is_kept_while_nothing_changes(policy, context):
    held = policy.choose(context)
    for _ in range(3):
        held = policy.choose(context, held)
    assert policy.choose(context, held) == held, "flaps without any change"


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(60, 80), st.lists(st.integers(-2, 2), min_size=5, max_size=40))
def test_noise_smaller_than_the_margin_changes_the_rule_at_most_once(around, noise):
    policy = read_policy(
        b'{"rules":[{"name":"hot","when":{"chip_c_min":70}},{"name":"normal"}],"margin":{"chip_c":5}}'
    )
    held, changes = policy.choose(Context(chip_c=around)), 0
    for step in noise:
        now = policy.choose(Context(chip_c=around + step), held)
        changes += now != held
        held = now
    assert changes <= 1, f"{changes} changes around {around} C"


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nonsense_is_refused_and_nothing_else(document):
    with pytest.raises(PolicyError, match="expected"):
        read_policy(document)
