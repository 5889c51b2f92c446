"""Delays grow, stay within bounds, differ, and are forgotten after a stable connection."""

from devicesdk.wire.timebase import SECOND
from gateway.runtime.backoff import BASE_NS, CAP_NS, STABLE_NS, Backoff


def test_delays_stay_within_base_and_cap_and_grow():
    backoff = Backoff(1, "data")
    delays = [backoff.next() for _ in range(200)]
    assert all(BASE_NS <= delay <= CAP_NS for delay in delays)
    assert delays[0] <= 3 * BASE_NS
    assert max(delays) > CAP_NS // 2


def test_seed_and_name_decide_the_delays():
    def draw(seed, name):
        backoff = Backoff(seed, name)
        return [backoff.next() for _ in range(5)]

    assert draw(1, "data") == draw(1, "data")
    assert draw(1, "data") != draw(1, "control")
    assert draw(1, "data") != draw(2, "data")


def test_only_a_stable_connection_is_forgiven():
    backoff = Backoff(3, "data")
    for _ in range(50):
        backoff.next()
    backoff.ended(STABLE_NS - SECOND)
    assert max(backoff.next() for _ in range(20)) > 10 * SECOND
    backoff.ended(STABLE_NS)
    assert backoff.next() <= 3 * BASE_NS
