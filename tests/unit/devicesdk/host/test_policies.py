from pathlib import Path

import msgspec
import pytest

from devicesdk.agent.policy import Context
from devicesdk.host import policies

FILE = Path(__file__).parents[4] / "docs/how-to/policy-example.json"


def test_what_is_said_is_what_a_device_decides():
    policy = policies.read(FILE)
    hot = policies.in_words(policy, policies.context_of(["chip_c=80"]))
    assert hot[0] == "rule hot (1 of 5) decides"
    normal = policies.in_words(policy, Context())
    assert normal[0] == "rule normal (5 of 5) decides"
    assert normal[-1].endswith("hot, low-battery, batch-on-battery, ask")


def test_words_become_a_context():
    found = policies.context_of(["plugged=false", "battery_percent=7", "link=metered"])
    assert found == Context(plugged=False, battery_percent=7, link="metered")


@pytest.mark.parametrize("word", ["chip=3", "chip_c", "chip_c=hot", "link=moon"])
def test_words_that_are_none_are_refused(word):
    with pytest.raises(policies.PolicyError, match="expected"):
        policies.context_of([word])


def test_the_flag_is_the_policy_with_a_way_back():
    policy = policies.read(FILE)
    flag = msgspec.json.decode(policies.as_flag(policy)[0])
    assert flag["variants"]["off"] == {}
    assert (
        msgspec.json.decode(msgspec.json.encode(flag["variants"]["on"]), type=type(policy))
        == policy
    )


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(policies.PolicyError, match=r"nope\.json, found: No such file"):
        policies.read(tmp_path / "nope.json")
