"""The JSON object of a run."""

from __future__ import annotations

import json
import math

import msgspec

from devicesim.report.document import document, encode
from devicesim.report.record import PercentileRow
from tests_kit.records import bare, outage

PROMISED = (
    "scenario", "seed", "verdict", "trace_digest", "devices", "virtual_s", "wall_s", "cpu_s",
    "speedup", "events", "inferences", "messages", "checks", "drops", "rollouts", "report",
)  # fmt: skip


def test_every_promised_key_is_there_for_every_run() -> None:
    for record in (outage(), outage(broken=True), bare(), bare("failed")):
        made = document(record)
        missing = [key for key in PROMISED if key not in made]
        assert not missing, f"{record.scenario} lacks {missing}"
        assert list(made) == list(document(outage())), "all runs have the same keys"


def test_numbers_are_those_of_the_record() -> None:
    record = outage(broken=True)
    made = json.loads(encode(record, "runs/1/report.html"))
    for name in ("devices", "virtual_s", "wall_s", "cpu_s", "speedup", "events", "inferences",
                 "messages", "windows", "memory_mib"):  # fmt: skip
        assert made[name] == getattr(record, name)
    assert made["drops"] == record.drops
    assert made["report"] == "runs/1/report.html"
    assert [row["name"] for row in made["checks"][:2]] == ["stuck == 0", "halt_holds"]
    assert made["rollouts"][0]["waves"][2]["rolled_back"] == 1_109
    assert made["checks_held"] + made["checks_failed"] + made["checks_open"] == len(record.checks)


def test_curves_come_only_when_asked_for() -> None:
    assert "series" not in document(outage())
    curves = document(outage(), curves=True)["series"]
    assert len(curves["online"]["values"]["online"]) == 1441


def test_what_json_cannot_say_is_null() -> None:
    row = PercentileRow("reconnect", "heal", 0, math.nan, math.inf)
    record = msgspec.structs.replace(bare(), percentiles=[row], speedup=math.inf)
    made = json.loads(encode(record))
    assert made["speedup"] is None
    assert made["percentiles"][0]["p50"] is None
    assert made["percentiles"][0]["p90"] is None
