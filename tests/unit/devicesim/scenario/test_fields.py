from __future__ import annotations

import pytest

from devicesim.scenario.errors import Refusal
from devicesim.scenario.fields import NAME_CHARS_MAX, must_be_one_of, read_mix, read_name


def test_names():
    assert read_name("us-east_1") == "us-east_1"
    for wrong, nearest in [
        ("us east", "us-east"),
        ("a.b", "a-b"),
        ("-x", "x"),
        (12, "'12'"),
        (None, ""),
        ("x" * (NAME_CHARS_MAX + 1), ""),
    ]:
        with pytest.raises(Refusal) as caught:
            read_name(wrong)
        assert caught.value.nearest == nearest, wrong


def test_mixes():
    assert read_mix("wifi") == {"wifi": 1.0}
    assert read_mix({"mix": {"a": "70%", "b": 0.3}}) == {"a": 0.7, "b": 0.3}


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (3, ()),
        ({"a": 1.0}, ()),
        ({"mix": {}}, ("mix",)),
        ({"mix": {"a": 0.5, "b": 0.4}}, ("mix",)),
        ({"mix": {"a": "half"}}, ("mix", "a")),
    ],
)
def test_mixes_refused(value, at):
    with pytest.raises(Refusal) as caught:
        read_mix(value)
    assert caught.value.at == at


def test_vocabularies():
    must_be_one_of("a", ["a"], "a letter", ())
    with pytest.raises(Refusal) as caught:
        must_be_one_of("kisok", {"kiosk": 1}, "a place", ("x",), key=True)
    assert (caught.value.nearest, caught.value.at, caught.value.key) == ("kiosk", ("x",), True)
