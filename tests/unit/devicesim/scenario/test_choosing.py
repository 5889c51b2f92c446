from __future__ import annotations

import json

import pytest

from devicesdk.agent.policy import read_policy
from devicesdk.wire.timebase import MS
from devicesim.scenario.choosing import Choosing, PolicySource, read_change, read_source
from devicesim.scenario.errors import Refusal

RULES = {"rules": [{"name": "hot", "when": {"chip_c_min": 70}}, {"name": "normal"}]}


def test_an_inline_policy_is_what_the_device_reads():
    source = read_source(RULES)
    assert not source.path
    policy = read_policy(source.document.encode())
    assert [rule.name for rule in policy.rules] == ["hot", "normal"]
    assert str(source) == source.document


def test_a_policy_may_be_in_a_file():
    source = read_source("models/lane/policy.json")
    assert source == PolicySource(path="models/lane/policy.json")
    assert str(source) == "models/lane/policy.json"


@pytest.mark.parametrize(
    ("value", "at", "nearest"),
    [
        ("policy.yaml", (), ""),
        (7, (), ""),
        ({"rules": []}, ("rules",), ""),
        ({"rules": [{"name": "a", "when": {"chip_c_mn": 1}}]}, ("rules", 0, "when", "chip_c_mn"), "chip_c_min"),
        ({"rules": [{"nme": "a"}]}, ("rules", 0, "nme"), "name"),
        ({"rules": [{"name": "a", "use": {"path": "cloud"}}]}, ("rules", 0, "use", "path"), ""),
        ({"rules": RULES["rules"][:1]}, ("rules",), ""),
        ({"rules": RULES["rules"], "marign": {}}, ("marign",), "margin"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_has_its_place(value, at, nearest):
    with pytest.raises(Refusal) as caught:
        read_source(value)
    assert tuple(caught.value.at) == at
    assert caught.value.nearest == nearest


def test_a_step_changes_a_policy_or_takes_it_back():
    assert read_change("off") == "off"
    assert read_change("first") == "first"
    assert isinstance(read_change(RULES), PolicySource)
    for wrong, nearest in (("fist", "first"), (False, "off"), (3, "")):
        with pytest.raises(Refusal) as caught:
            read_change(wrong)
        assert caught.value.nearest == nearest


def test_choosing_in_final_units():
    choosing = Choosing.model_validate({"policy": RULES, "offload": True, "budget": "50ms"})
    assert choosing.policy is not None
    assert json.loads(choosing.policy.document) == RULES
    assert (choosing.offload, choosing.budget_ns, choosing.urgency) == (True, 50 * MS, "foreground")
    assert Choosing() == Choosing.model_validate({})
