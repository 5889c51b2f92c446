"""Every policy has a name, a line about it, and figures that hang together."""

from __future__ import annotations

import re

import pytest

from devicesdk.agent import backoff_policies
from devicesdk.agent.backoff_policies import POLICIES, named


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_says_what_it_is(name):
    policy = POLICIES[name]
    assert policy.config.policy == name
    assert policy.about
    assert 0 < policy.config.base_ns <= policy.config.cap_ns
    source = rf"^    (\S+, )*{name}\b|{name}[ ,]"
    assert re.search(source, backoff_policies.__doc__, re.M), f"{name} has no source"


def test_a_name_that_is_none_is_a_key_error():
    with pytest.raises(KeyError):
        named("carrier-pigeon")
