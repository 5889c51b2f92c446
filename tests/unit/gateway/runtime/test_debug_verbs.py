"""What an operator says about debug mode, and what the core is told."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire.timebase import MINUTE
from gateway.core import stimuli as hear
from gateway.runtime import operator, verbs
from tests_kit.gateway_charts import new_gateway

WORDS = {"device": "d1", "by": "ana", "why": "odd readings"}


def verb(name, **words):
    return msgspec.convert({"verb": f"debug.{name}", **words}, verbs.AnyVerb)


def test_words_become_stimuli():
    assert operator._stimulus(verb("grant", **WORDS)) == hear.GrantDebug(
        "d1", 30 * MINUTE, "ana", "odd readings"
    )
    assert operator._stimulus(verb("grant", lasts="5m", **WORDS)).for_ns == 5 * MINUTE
    assert operator._stimulus(verb("revoke", **WORDS)) == hear.RevokeDebug(
        "d1", "ana", "odd readings"
    )


@pytest.mark.parametrize("gone", ["device", "by", "why"])
@pytest.mark.parametrize("name", ["grant", "revoke"])
def test_nobody_asks_without_a_name_and_a_reason(name, gone):
    with pytest.raises(msgspec.ValidationError, match=gone):
        verb(name, **{key: word for key, word in WORDS.items() if key != gone})


def test_books_are_read_from_the_core():
    core = new_gateway()
    core.handle(hear.Started(1_700_000_000_000), 0)
    core.handle(hear.Enroll("d1", {}), 0)
    core.handle(operator._stimulus(verb("grant", **WORDS)), 0)
    (listed,) = operator._views(core, verb("list"))
    assert (listed.device, listed.by, listed.state) == ("d1", "ana", "asked")
    assert operator._views(core, verb("told", device="d1")) == []
