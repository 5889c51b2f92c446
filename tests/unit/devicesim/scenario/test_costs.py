"""What a bundle costs the devices that run it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR
from devicesim.scenario.costs import Costs


def test_a_bundle_costs_what_its_files_say_unless_told():
    assert (Costs().work, Costs().keeps_busy, Costs().after_ns) == (1.0, 0.0, 0)


def test_durations_are_written_with_their_unit():
    assert Costs.model_validate({"keeps_busy": 1, "after": "2h"}).after_ns == 2 * HOUR


@pytest.mark.parametrize("wrong", [{"work": 0}, {"keeps_busy": -1}, {"keeps_busy": 65}])
def test_costs_that_nobody_has_are_refused(wrong):
    with pytest.raises(ValidationError):
        Costs.model_validate(wrong)
