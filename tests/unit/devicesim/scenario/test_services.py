from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import SECOND
from devicesim.scenario.services import Agent, Backoff, Broker


def test_units():
    broker = Broker.model_validate({"accept_rate": "500/s", "queue_max": 10, "overload": "drop"})
    assert (broker.accept_rate_per_s, broker.queue_max_messages) == (500.0, 10)
    agent = Agent.model_validate({"keepalive": "60s", "backoff": {"base": "1s", "cap": "2m"}})
    assert (agent.keepalive_ns, agent.backoff.cap_ns) == (60 * SECOND, 120 * SECOND)


def test_a_backlog_has_a_bound_of_its_own():
    assert Broker().backlog_max_connections == 100, "as long as mosquitto's"
    assert Broker.model_validate({"backlog": 12}).backlog_max_connections == 12


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Backoff, {"base": "5s", "cap": "1s"}),
        (Backoff, {"jitter": "some"}),
        (Agent, {"keepalive": 60}),
        (Broker, {"queue_max": 0}),
        (Broker, {"backlog": 0}),
        (Broker, {"accept_rate": 500}),
    ],
)
def test_refused(model, data):
    with pytest.raises(ValidationError):
        model.model_validate(data)
