from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from devicesdk.wire.timebase import DAY, HOUR
from devicesim.scenario.faults import AnyAction
from devicesim.scenario.publish import json_schema

READ = TypeAdapter(AnyAction).validate_python


def test_what_a_broker_does_to_its_clients_is_for_all_of_them_unless_it_is_said():
    for verb, more in (
        ("broker.certificate_expires", {}),
        ("broker.refuse", {}),
        ("broker.flow_control", {"share": "50%"}),
    ):
        assert str(READ({"do": verb, "at": "1h", **more}).target) == "all"
        assert str(READ({"do": verb, "at": "1h", "target": "group=a", **more}).target) == "group=a"


def test_a_certificate_expires_now_for_everybody_unless_it_is_said():
    action = READ({"do": "broker.certificate_expires", "at": "1h"})
    assert (action.clocks, action.lasts_ns, action.age_ns) == ("right", 0, 90 * DAY)
    later = READ({"do": "broker.certificate_expires", "at": "1h", "lasts": "1h", "age": "400d"})
    assert (later.lasts_ns, later.age_ns) == (HOUR, 400 * DAY)


def test_a_source_has_no_target():
    assert READ({"do": "source.gone", "at": "1h"}).share == 1.0
    with pytest.raises(ValidationError, match="target"):
        READ({"do": "source.gone", "at": "1h", "target": "all"})


def test_the_schema_wants_no_target_where_there_is_a_default():
    definitions = json_schema()["$defs"]
    assert "target" not in definitions["BrokerRefuse"]["required"]
    assert "target" in definitions["Hold"]["required"]
