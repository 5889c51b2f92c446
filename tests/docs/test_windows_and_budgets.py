"""The plan on the page about windows and budgets is one that the gateway takes, and says what the page says."""

import json
import re
from pathlib import Path

import msgspec

from gateway.adapters.zones import SystemZones
from gateway.api.routes.rollouts import NewRollout, verb_of
from gateway.core.pace import refusal, utc_text
from gateway.runtime import operator

PAGE = Path(__file__).parents[2] / "docs/how-to/roll-out-with-windows-and-budgets.md"


def test_its_plan_is_taken():
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    asked = NewRollout.model_validate(json.loads(block))
    plan = operator._stimulus(verb_of(asked, asked.model_dump())).plan
    assert refusal(plan.pace, len(plan.waves), SystemZones()) == ""
    assert utc_text(plan.pace.start_at_ns) == "2026-03-02 00:00Z"
    assert [str(window) for window in plan.pace.windows] == [
        "Mon,Tue,Wed,Thu,Fri 01:00-05:00", "Sat 22:00-06:00",
    ]  # fmt: skip
    assert [str(budget) for budget in plan.pace.budgets] == ["region: 10%", "site: 2"]
    assert (plan.policy.plugged, plan.policy.chip_c_max) == (True, 70)
    assert plan.policy.battery_percent_min == 40
    words = set(json.loads(block)) - {"id", "bundle", "waves"}
    table = re.findall(r"^\| `(.*?)` \|", PAGE.read_text(), re.MULTILINE)
    assert words <= set(re.findall(r"\w+", " ".join(table))), (
        "a word that the page does not explain"
    )
    assert msgspec.json.encode(plan)
