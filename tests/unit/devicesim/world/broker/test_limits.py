from __future__ import annotations

import pytest

from devicesim.world.broker.limits import BrokerLimits


@pytest.mark.parametrize(
    "bad",
    [
        {"accept_rate_per_s": 0},
        {"accept_rate_per_s": 1e10},
        {"inflight_max": 0},
        {"inflight_max": 65_536},
        {"queue_messages_max": 0},
        {"sessions_max": -1},
        {"session_expiry_ns_max": -1},
    ],
)
def test_bounds_that_cannot_work_are_refused_by_name(bad: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        BrokerLimits(**bad)


def test_a_broker_may_keep_no_sessions() -> None:
    assert BrokerLimits(session_expiry_ns_max=0).session_expiry_ns_max == 0
