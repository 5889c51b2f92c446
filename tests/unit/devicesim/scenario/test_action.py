from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR
from devicesim.scenario.action import REGISTRY, Hits, Span
from devicesim.scenario.faults import BrokerRestart, Heal, HeatWave, Partition

CUT = {"do": "partition", "target": "all"}


def complaint(model, data):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return str(caught.value.errors()[0]["ctx"]["error"])


def test_an_action_begins_once():
    assert Partition.model_validate({**CUT, "at": "1h"}).at_ns == HOUR
    assert (
        Partition.model_validate({**CUT, "when": "fleet.online < 5", "once": False}).once is False
    )
    assert "either at or when, found neither" in complaint(Partition, CUT)
    both = {**CUT, "at": "1h", "when": "fleet.online < 5"}
    assert "either at or when, found both" in complaint(Partition, both)
    assert "no once beside at" in complaint(Partition, {**CUT, "at": "1h", "once": False})


def test_for_is_as_the_verb_says():
    heat = {"do": "heat.wave", "at": "1h", "by_c": 5, "target": "all"}
    assert "must say for how long" in complaint(HeatWave, heat)
    assert HeatWave.model_validate({**heat, "for": "2h"}).for_ns == 2 * HOUR
    heal = {"do": "heal", "at": "1h", "target": "all", "for": "1h"}
    assert "is over at once" in complaint(Heal, heal)


def test_target_is_as_the_verb_says():
    assert "target, because partition hits devices" in complaint(
        Partition, {"do": "partition", "at": "1h"}
    )
    assert "no target, because broker.restart hits the broker" in complaint(
        BrokerRestart, {"do": "broker.restart", "at": "1h", "target": "all"}
    )


def test_a_verb_enters_the_registry_by_being_written_down():
    assert REGISTRY["partition"] is Partition
    assert (Partition.verb, Partition.hits, Partition.span) == (
        "partition",
        Hits.DEVICES,
        Span.OPTIONAL,
    )
    assert Partition.model_validate({**CUT, "at": "1h"}).key == "partition"
    assert Partition.model_validate({**CUT, "at": "1h", "id": "cut"}).key == "cut"
