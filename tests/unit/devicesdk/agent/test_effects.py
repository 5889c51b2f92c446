"""The alphabet of effects is closed, and its letters are values."""

from __future__ import annotations

import typing

import pytest

from devicesdk.agent import effects


def test_every_effect_is_in_the_union():
    assert set(typing.get_args(effects.AnyEffect)) == set(effects.Effect.__subclasses__())


def test_effects_are_values():
    assert effects.Sync("slot-a") == effects.Sync("slot-a")
    with pytest.raises(AttributeError):
        effects.Sync("slot-a").file = "slot-b"
