"""The alphabet of stimuli is closed, and the agent has an ear for each letter."""

from __future__ import annotations

import typing

import pytest

from devicesdk.agent import stimuli
from devicesdk.agent.agent import _ROUTES


def test_every_stimulus_is_in_the_union_and_has_a_route():
    known = set(stimuli.Stimulus.__subclasses__())
    assert set(typing.get_args(stimuli.AnyStimulus)) == known
    assert set(_ROUTES) == known


def test_stimuli_are_values():
    assert stimuli.PubAcked(3) == stimuli.PubAcked(3)
    with pytest.raises(AttributeError):
        stimuli.PubAcked(3).token = 4
