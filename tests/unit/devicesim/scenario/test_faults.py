from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from devicesim.scenario.action import REGISTRY, Hits, Span
from devicesim.scenario.faults import AnyAction

PARAMETERS = {
    "latency": {"add": "200ms", "jitter": "50ms"},
    "bandwidth": {"rate": "256kbit/s"},
    "loss": {"share": "2%"},
    "broker.slow_accept": {"rate": "20/s"},
    "gateway.slow_store": {"commit": "2s"},
    "battery.age": {"health": "70%", "resistance": 2},
    "clock.skew": {"ppm": -40.0},
    "heat.wave": {"by_c": 8},
    "sun": {"by_w": 4},
    "data.drift": {"what": "haze(.4)", "ramp": "1h"},
    "nat.timeout": {"idle": "90s"},
    "dns.gone": {"ttl": "5m"},
    "broker.flow_control": {"share": "50%"},
    "broker.overflow": {"queue_max": 10},
    "broker.drop_acked": {"share": "5%", "of": "gateway"},
    "broker.take_over": {"every": "5m"},
    "gateway.crash": {"effect": 3},
}
ASKED_FOR = [
    "partition",
    "heal",
    "latency",
    "bandwidth",
    "loss",
    "broker.restart",
    "broker.slow_accept",
    "gateway.crash",
    "gateway.slow_store",
    "keys.rotate",
    "keys.tidy",
    "power.cut",
    "device.reboot",
    "boot.loop",
    "brown_out",
    "flash.worn",
    "device.repair",
    "flash.full",
    "clock.lose_rtc",
    "clock.skew",
    "heat.wave",
    "sun",
    "battery.age",
    "data.drift",
    "sensor.stuck",
    "kernel.fault",
    "tamper.chunks",
    "plug",
    "unplug",
    "hold",
    "captive_portal",
    "nat.timeout",
    "dns.gone",
    "source.gone",
    "broker.certificate_expires",
    "broker.refuse",
    "broker.flow_control",
    "broker.overflow",
    "broker.drop_acked",
    "broker.take_over",
    "gateway.full_store",
    "gateway.restart",
    "gateway.deploy_older",
]
ADAPTER = TypeAdapter(AnyAction)


def line(verb, **more):
    model = REGISTRY[verb]
    data = {"do": verb, "at": "1h", **PARAMETERS.get(verb, {}), **more}
    if model.hits is Hits.DEVICES:
        data.setdefault("target", "all")
    if model.span is Span.REQUIRED:
        data.setdefault("for", "30m")
    return data


def test_the_verbs_that_were_asked_for_are_there():
    assert sorted(REGISTRY) == sorted(ASKED_FOR)


@pytest.mark.parametrize("verb", sorted(REGISTRY))
def test_every_verb_loads_and_explains_itself(verb):
    action = ADAPTER.validate_python(line(verb))
    assert type(action) is REGISTRY[verb]
    assert action.do == verb
    assert REGISTRY[verb].__doc__, f"{verb} needs a docstring: editors show it"
    for name, field in REGISTRY[verb].model_fields.items():
        assert name == "do" or field.description, f"{verb}.{name} needs a description"


@pytest.mark.parametrize(
    ("verb", "change"),
    [
        ("partition", {"how": "politely"}),
        ("heal", {"order": "slowly"}),
        ("latency", {"add": 200}),
        ("bandwidth", {"rate": "0kbit/s"}),
        ("loss", {"share": "120%"}),
        ("clock.skew", {"ppm": "fast"}),
        ("clock.skew", {"ppm": 1000.5}),
        ("clock.skew", {"ppm": -1001}),
        ("heat.wave", {"by_c": -3}),
        ("data.drift", {"what": "fog"}),
        ("battery.age", {"health": "0%"}),
        ("tamper.chunks", {"share": 0}),
        ("kernel.fault", {"kind": "gremlins"}),
        ("sensor.stuck", {"colour": 1}),
        ("captive_portal", {"existing": "dead"}),
        ("nat.timeout", {"idle": "0s"}),
        ("dns.gone", {"ttl": "-1s"}),
        ("source.gone", {"share": "0%"}),
        ("source.gone", {"target": "all"}),
        ("broker.certificate_expires", {"clocks": "wrong"}),
        ("broker.refuse", {"share": "200%"}),
        ("broker.flow_control", {"share": "half"}),
        ("broker.overflow", {"queue_max": -1}),
        ("broker.drop_acked", {"of": "nobody"}),
        ("broker.take_over", {"every": 5}),
        ("gateway.crash", {"effect": -1}),
    ],
)
def test_wrong_parameters(verb, change):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(line(verb, **change))
