"""Promises of verdicts, as a file may and may not say them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import DAY, HOUR, MINUTE
from devicesim.scenario import load
from devicesim.scenario.errors import Refusal, ScenarioError
from devicesim.scenario.verdicts import DriftWatch, Told
from tests_kit import worlds


def told(**words):
    return Told.model_validate({"who": "group=kiosk", **words})


def test_a_promise_in_final_units_and_in_words():
    must = told(verdict="data", within="6h", after="dusk")
    assert (must.within_ns, must.after) == (6 * HOUR, "dusk")
    assert str(must) == "group=kiosk: data within 6h of dusk"
    assert str(told(verdict="none")) == "group=kiosk: never a verdict"


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ({"verdict": "data"}, ("within",)),
        ({"verdict": "none", "within": "6h"}, ("within",)),
        ({"verdict": "none", "after": "dusk"}, ("after",)),
        ({"verdict": "data", "within": "6h", "who": "sample(all, 5%)"}, ("who",)),
        ({"verdict": "broken", "within": "6h"}, ()),
        ({"verdict": "data", "within": 6}, ("within",)),
    ],
)
def test_promises_that_nobody_could_keep_are_refused(words, at):
    with pytest.raises((ValidationError, Refusal)) as caught:
        told(**words)
    raised = caught.value
    if isinstance(raised, ValidationError):
        error = raised.errors()[0]
        refusal = error.get("ctx", {}).get("error")
        found = refusal.at if isinstance(refusal, Refusal) and refusal.at else error["loc"]
        assert set(at) <= set(found), f"expected a complaint about {at}, found {error}"
    else:
        assert raised.at == at


def test_the_watch_is_a_quarter_of_an_hour_unless_a_file_says_otherwise():
    assert (DriftWatch().window_ns, DriftWatch().effect_min) == (15 * MINUTE, 0.25)
    watch = DriftWatch.model_validate({"window": "1d", "effect_min": 0.4})
    assert (watch.window_ns, watch.effect_min) == (DAY, 0.4)
    with pytest.raises(ValidationError):
        DriftWatch.model_validate({"effect_min": 0})


@pytest.mark.parametrize(
    ("promise", "found"),
    [
        ("{who: group=kiosc, verdict: none}", "kiosc"),
        ("{who: all, verdict: data, within: 1h, after: dusk}", "dusk"),
    ],
)
def test_it_names_what_the_file_has(promise, found):
    with pytest.raises(ScenarioError) as caught:
        load(worlds.scenario_text(f"checks: {{verdicts: [{promise}]}}\n"), (), None)
    assert found in caught.value.render(200)
