"""Documents that would cost a device its memory, its stack or its agreement with other readers."""

from __future__ import annotations

import json

import pytest

from devicesdk.agent.flags import context_of, evaluator
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.flagdoc import DEPTH_MAX, check_definition, check_flags


def document(targeting, **more):
    text = targeting if isinstance(targeting, str) else json.dumps(targeting)
    start = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":'
    rest = "".join(f',"{name}":{json.dumps(value)}' for name, value in more.items())
    return ('{"flags":{"f":' + start + text + "}}" + rest + "}").encode()


BOMB = {
    "reduce": [[1] * 40, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "two to the 40"]
}
DEEP = '{"if":[' + "[" * 600 + "1" + "]" * 600 + ',"on","off"]}'
LAUGHS = {
    f"e{place}": {"and": [{"$ref": f"e{place - 1}"}, {"$ref": f"e{place - 1}"}]}
    for place in range(30, 0, -1)
} | {"e0": {"==": [1, 1]}}


@pytest.mark.parametrize(
    ("hostile", "word"),
    [
        (document(BOMB), "reduce"),
        (document({"if": [{"and": [{"map": [[1], 1]}]}, "on"]}), "map"),
        (document({"some": [[1] * 1000, {"all": [[1] * 1000, True]}]}), "some"),
        (document(DEEP), "levels"),
        (document({"if": [{"$ref": "e30"}, "on"]}, **{"$evaluators": LAUGHS}), r"\$ref"),
        (
            document(
                {"and": [{"$ref": "e"}] * 900}, **{"$evaluators": {"e": {"in": ["x" * 9000]}}}
            ),
            "expand",
        ),
        (
            b'{"flags":{"f":{"state":"ENABLED","variants":{"v":{"a":1e400}},"defaultVariant":"v"}}}',
            "flagd",
        ),
        (
            b'{"flags":{"f":{"state":"ENABLED","variants":{"v":{"a":NaN}},"defaultVariant":"v"}}}',
            "flagd",
        ),
        (document({"==": [10**30, 1]}), "2\\^53"),
        (b"[" * 60_000, "flagd"),
        (b"\xff", "flagd"),
        (b"[]", "flags"),
    ],
)
def test_a_hostile_document_is_refused_before_it_is_evaluated(hostile, word):
    with pytest.raises(BadMessage, match=word):
        evaluator(hostile)


def test_what_people_write_is_taken():
    rule = {"in": [{"var": "hardware_class"}, ["gauge-cam", "kiosk"]]}
    split = {"fractional": [{"var": "targetingKey"}, ["on", 50], ["on", 50]]}
    good = document({"if": [{"$ref": "here"}, split, "off"]}, **{"$evaluators": {"here": rule}})
    check_flags(good)
    context = context_of("d1", "kiosk", "all")
    assert evaluator(good).resolve_boolean_value("f", False, context).value is True


def test_the_deepest_that_is_taken_is_evaluated():
    levels = DEPTH_MAX - 6
    deep = document('{"if":[' + "[" * levels + "1" + "]" * levels + ',"on","off"]}')
    context = context_of("d1", "kiosk", "all")
    assert evaluator(deep).resolve_boolean_value("f", False, context).value is True


def test_a_variant_may_be_named_like_an_operation():
    check_definition({"state": "ENABLED", "variants": {"map": True}, "defaultVariant": "map"})
