"""What is said where a flag's value is no flag."""

import pytest

from gateway.commands.flags import definition_of


def test_on_and_off_are_short_for_a_switch():
    on = definition_of("on")
    assert (on["state"], on["variants"], on["defaultVariant"]) == (
        "ENABLED",
        {"on": True, "off": False},
        "on",
    )
    assert definition_of("off") == {**on, "defaultVariant": "off"}


def test_a_definition_is_taken_as_it_is():
    assert definition_of('{"state": "DISABLED"}') == {"state": "DISABLED"}


@pytest.mark.parametrize("said", ["maybe", "[1]", "{state: on}", "", "ON"])
def test_what_is_no_flag_is_told_with_what_would_be_one(said):
    with pytest.raises(ValueError, match="expected on, off, or a flagd flag definition") as wrong:
        definition_of(said)
    assert repr(said) in str(wrong.value)


def test_a_long_one_is_not_repeated_in_full():
    with pytest.raises(ValueError, match="expected on, off") as wrong:
        definition_of("{" * 5_000)
    assert len(str(wrong.value)) < 400


def test_a_deep_one_is_no_bug_of_ours():
    with pytest.raises(ValueError, match="expected on, off") as wrong:
        definition_of('{"a":' * 2_000 + "1" + "}" * 2_000)
    assert len(str(wrong.value)) < 400
