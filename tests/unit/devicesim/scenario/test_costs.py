from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.scenario.costs import Costs, Crashes


def test_by_default_a_bundle_costs_what_its_files_say():
    costs = Costs()
    assert (costs.work, costs.keeps_busy, costs.after_ns) == (1.0, 0.0, 0)


def test_costs_in_final_units():
    costs = Costs.model_validate({"work": 3, "keeps_busy": 1.5, "after": "7h"})
    assert (costs.work, costs.keeps_busy, costs.after_ns) == (3.0, 1.5, 7 * HOUR)


@pytest.mark.parametrize(
    "wrong",
    [
        {"work": 0},
        {"work": -1},
        {"keeps_busy": -1},
        {"keeps_busy": 65},
        {"after": 7},
        {"wrok": 2},
        {"crashes": True},
        {"crashes": {"uptime": 5}},
        {"crashes": {"gives_up_after": 0}},
    ],
    ids=str,
)
def test_costs_refused(wrong):
    with pytest.raises(ValidationError):
        Costs.model_validate(wrong)


def test_crashes_in_final_units():
    assert Costs().crashes is None
    assert Costs.model_validate({"crashes": {}}).crashes == Crashes()
    assert Crashes().uptime_ns == 5 * SECOND
    said = {"uptime": "20s", "after": "1h", "gives_up_after": 3, "flag": "new-dial"}
    crashes = Costs.model_validate({"crashes": said}).crashes
    assert (crashes.uptime_ns, crashes.after_ns) == (20 * SECOND, HOUR)
    assert (crashes.gives_up_after, crashes.flag) == (3, "new-dial")
