"""Rehearsed outages: every pull request on some seeds, every night on many."""

import fleetdrill


@fleetdrill.test(scenario="carrier-outage.yaml", seeds=200)
def test_a_carrier_outage(run: fleetdrill.RunRecord) -> None:
    reconnects = [row for row in run.percentiles if row.metric == "reconnect"]
    assert max(row.max or 0 for row in reconnects) < 300, "back within five minutes"


@fleetdrill.test(
    scenario="carrier-outage.yaml",
    seeds=20,
    set={"agent.backoff.jitter": "none", "broker.accept_rate": "5/s"},
)
def test_it_is_outlived_even_without_jitter_on_a_slow_broker() -> None:
    """The checks of the scenario say it all."""
