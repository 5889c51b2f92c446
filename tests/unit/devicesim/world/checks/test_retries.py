import pytest

from devicesdk.agent.backoff import Backoff
from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.checks.retries import WINDOW_NS, BoundedRetry, attempts_max
from tests_kit import worlds


@pytest.fixture
def check():
    return BoundedRetry(worlds.make_world(worlds.scenario_text(count=12)))


@pytest.mark.parametrize("jitter", ["decorrelated", "full", "equal", "none"])
@pytest.mark.parametrize(("base", "cap"), [(1, 120), (1, 10), (5, 60), (2, 3600)])
def test_the_bound_is_above_what_the_back_off_ever_does(jitter, base, cap):
    config = BackoffConfig(base_ns=base * SECOND, cap_ns=cap * SECOND, jitter=jitter)
    most = 0
    for device in range(200):
        backoff, dice = Backoff(config), Dice(device, 1)
        spent = attempts = 0
        while spent < WINDOW_NS:
            spent += max(backoff.next(dice), SECOND // 50)
            attempts += 1
        most = max(most, attempts)
    assert most < attempts_max(config) < 600


def test_hammering_is_found(check):
    host = check.world.hosts[0]
    for second in range(200):
        check.attempted(host, second * SECOND)
    assert check.failures == 1
    assert check.first.device == host.device


def test_a_boot_and_a_stable_session_start_the_count_anew(check):
    host = check.world.hosts[0]
    for round_ in range(6):
        start = round_ * 3 * MINUTE
        for second in range(100):
            check.attempted(host, start + second * SECOND // 10)
        if round_ % 2:
            check.booted(host, start + MINUTE)
        else:
            check.connected(host, start + MINUTE)
            check.disconnected(host, start + 2 * MINUTE, "reset")
    assert check.verdict is True


def test_a_session_that_is_not_stable_does_not(check):
    host = check.world.hosts[0]
    for second in range(0, 400, 2):
        check.attempted(host, second * SECOND)
        check.connected(host, second * SECOND)
        check.disconnected(host, (second + 1) * SECOND, "reset")
    assert not check.held


def test_late_retries_in_step_are_found(check):
    for attempt in range(5):
        for host in check.world.hosts:
            check.attempted(host, 2**attempt * SECOND)
    assert "in step" in check.story()


def test_spread_ones_are_not(check):
    for attempt in range(6):
        for place, host in enumerate(check.world.hosts):
            check.attempted(host, (2**attempt + place) * SECOND)
    assert check.verdict is True
