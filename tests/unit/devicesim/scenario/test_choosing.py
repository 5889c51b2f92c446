"""A policy inline or in a file, and what is said of one that is wrong."""

from __future__ import annotations

import pytest

from devicesim.scenario.choosing import FIRST, OFF, PolicySource, read_change, read_source
from devicesim.scenario.errors import Refusal


def test_a_policy_may_be_the_path_of_one():
    assert read_source("models/lane/policy.json") == PolicySource(path="models/lane/policy.json")


@pytest.mark.parametrize("wrong", ["policy.yaml", 7, None, ["rules"]])
def test_what_is_no_policy_is_refused(wrong):
    with pytest.raises(Refusal, match="a policy"):
        read_source(wrong)


def test_an_unknown_key_is_named_with_its_place():
    with pytest.raises(Refusal) as caught:
        read_source({"ruels": []})
    assert "rules" in str(caught.value)


def test_a_step_may_put_the_policy_off_and_back():
    assert [read_change(word) for word in (OFF, FIRST)] == [OFF, FIRST]
    with pytest.raises(Refusal, match="off"):
        read_change(False)
