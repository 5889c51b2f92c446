from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Publish
from devicesdk.wire.timebase import SECOND
from devicesim.world.checks import messages
from devicesim.world.ledger import UP
from tests_kit import worlds


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(count=3))


def test_a_copy_that_is_in_no_queue_was_lost(world):
    check = messages.Conservation(world)
    check.sweep(0)
    assert check.verdict is True
    assert messages.copies_unaccounted(world) == 0
    world.ledger.opened(UP, "tel")
    check.sweep(1)
    assert "1 vanished without a cause" in check.story()
    assert messages.copies_unaccounted(world) == 1


def test_an_older_connection_must_end_when_a_newer_one_is_accepted(world):
    check, host = messages.OneSession(world), world.hosts[0]
    check.connected(host, 5)
    assert check.held
    host.path._ghost = SimpleNamespace(broker_open=True)
    check.connected(host, 6)
    assert "take-over" in check.story()


def test_the_broker_serves_the_connection_that_the_device_is_on(world):
    check, host = messages.OneSession(world), world.hosts[0]
    host.path.connection = SimpleNamespace(broker_open=True)
    check.sweep(7)
    assert "found another or none" in check.story()


@pytest.mark.parametrize(("after_s", "held"), [(99, True), (101, False)])
def test_a_dead_path_is_noticed_in_one_and_a_half_keep_alives_and_the_grace(world, after_s, held):
    check, host = messages.DeadLinkNoticed(world), world.hosts[0]
    config = host.parts.config
    assert (config.keepalive_ns, config.keepalive_grace_ns) == (60 * SECOND, 10 * SECOND)
    host.path.black, host.path.black_since = True, 1000 * SECOND
    check.disconnected(host, (1000 + after_s) * SECOND, "keep-alive")
    assert check.held is held


def test_one_that_never_notices_is_found_by_the_sweep(world):
    check, host = messages.DeadLinkNoticed(world), world.hosts[1]
    host.online, host.path.black, host.path.black_since = True, True, 0
    check.sweep(600 * SECOND)
    assert check.first.device == host.device


def test_a_half_open_connection_on_a_clear_path_is_found_by_two_sweeps(world):
    check, host = messages.DeadLinkNoticed(world), world.hosts[1]
    host.online, host.path.connection = True, SimpleNamespace(broker_open=False)
    check.sweep(600 * SECOND)
    assert check.held
    check.sweep(1200 * SECOND)
    assert "clear path" in check.story()


def test_a_device_without_power_is_silent(world):
    host, said = world.hosts[0], Publish("tel", b"", 1, False)
    host.on = True
    quiet = messages.SilentWhenOff(world)
    quiet.published(host, said, 1)
    quiet.attempted(host, 1)
    quiet.inferred(host, 2, 1)
    assert quiet.verdict is True
    host.on = False
    for moment, arguments in (
        ("published", (host, said, 2)), ("attempted", (host, 2)), ("connected", (host, 2)),
        ("inferred", (host, 3, 2)),
    ):  # fmt: skip
        check = messages.SilentWhenOff(world)
        getattr(check, moment)(*arguments)
        assert not check.held, moment


def test_queues_and_books_have_bounds(world):
    check = messages.BoundedQueues(world)
    check.ended(0)
    assert check.verdict is True
    world.gateway.inbox_peak = 10**6
    check.sweep(1)
    assert "inbox" in check.story()


def test_copies_in_flight_to_one_client_have_a_bound(world, monkeypatch):
    check, broker = messages.BoundedQueues(world), world.broker.core
    for flying, held in (
        (broker.limits.inflight_max, True),
        (broker.limits.inflight_max + 1, False),
    ):
        monkeypatch.setattr(type(broker), "most_in_flight", lambda self, most=flying: most)
        check.sweep(1)
        assert check.held is held
    assert "in flight to one client" in check.story()


def test_a_machine_whose_books_are_out_of_order_is_reported(world):
    def broken():
        raise AssertionError("two and two are five")

    world.hosts[2].agent = SimpleNamespace(validate=broken)
    check = messages.BoundedQueues(world)
    check.sweep(0)
    assert check.first.device == world.hosts[2].device
    assert "two and two are five" in check.story()
