"""How long a device waits for a session that it could have."""

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.world.waits import Waits
from tests_kit import worlds

RESTART = "timeline: [{id: blink, at: 40m, for: 1m, do: broker.restart}]\n"


@pytest.fixture
def world():
    made = worlds.make_world(worlds.scenario_text(RESTART, count=2))
    for host in made.hosts:
        host.path.black = False
    return made


@pytest.fixture
def waits(world):
    return Waits(world)


def test_a_wait_begins_with_a_loss_and_ends_with_a_session(world, waits):
    host = world.hosts[0]
    assert waits.connected(host, 5) is None, "nothing had been lost"
    waits.disconnected(host, 20)
    assert waits.since(0) == 20
    assert waits.connected(host, 50) == 30
    assert waits.since(0) is None


def test_nobody_waits_for_what_cannot_be(world, waits):
    host = world.hosts[0]
    waits.connected(host, 0)
    waits.disconnected(host, SECOND)
    host.path.cleared_at = 10 * SECOND
    assert waits.so_far(host, 12 * SECOND) == 2 * SECOND
    waits.faulted("another", 11 * SECOND)
    waits.faulted("blink", 11 * SECOND)
    assert waits.so_far(host, 12 * SECOND) == SECOND
    host.path.black = True
    assert waits.so_far(host, 12 * SECOND) == 0
    host.path.black, world.broker.up = False, False
    assert waits.so_far(host, 12 * SECOND) == 0


def test_a_boot_begins_a_wait_of_who_had_a_session(world, waits):
    host, fresh = world.hosts
    waits.booted(fresh, 3)
    assert waits.connected(fresh, 9) is None
    waits.connected(host, 1)
    waits.disconnected(host, 5)
    waits.went_off(host)
    assert waits.since(host.index) is None
    waits.booted(host, 30)
    assert waits.connected(host, 70) == 40
