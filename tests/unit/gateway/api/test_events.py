"""Events are states: a slow listener loses none of them but the old ones."""

import asyncio

import pytest

from gateway.api.events import Beacon, Listener
from gateway.core.stimuli import Kill
from gateway.runtime.verbs import VerbError
from tests_kit.plant import until

KINDS = {"fleet", "rollouts", "experiments", "flags", "kills", "alarms", "approvals"}


def test_the_newest_state_of_a_kind_replaces_the_older():
    listener = Listener()
    for number in range(1_000):
        listener.tell("fleet", b"%d" % number)
        listener.tell("kills", b"%d" % number)
    assert listener.pending == {"fleet": b"999", "kills": b"999"}
    assert listener.wake.is_set()


@pytest.fixture
async def beacon(stage):
    made = Beacon(stage.runtime, clients_max=2, look_s=0.01)
    yield made
    made.close()


async def test_a_new_listener_hears_every_state_and_then_what_changes(stage, beacon):
    one = beacon.join()
    await until(lambda: set(one.pending) == KINDS, "every state", 60)
    other = beacon.join()
    assert set(other.pending) == KINDS, "it has to wait for what is known"
    one.pending.clear()
    await stage.runtime.submit(Kill("gauge"))
    await until(lambda: "kills" in one.pending, "the kill", 60)
    assert b'"features":["gauge"]' in one.pending["kills"]
    assert "rollouts" not in one.pending, "nothing of rollouts has changed"
    for listener in (one, other):
        beacon.leave(listener)


async def test_one_with_a_scope_is_told_no_sum_of_what_others_ask_for(stage):
    waits = [1]
    beacon = Beacon(stage.runtime, clients_max=3, look_s=0.01, waiting=lambda: waits[0])
    early, other = beacon.join(scoped=True), beacon.join()
    await until(lambda: set(other.pending) == KINDS, "every state", 60)
    late = beacon.join(scoped=True)
    waits[0] = 7
    await until(lambda: b'{"waiting":7}' in other.pending["approvals"], "the new sum", 60)
    assert set(early.pending) == set(late.pending) == KINDS - {"approvals"}
    for listener in (early, other, late):
        beacon.leave(listener)


async def test_listeners_are_bounded_and_nobody_looks_for_none(stage, beacon):
    listeners = [beacon.join(), beacon.join()]
    with pytest.raises(VerbError, match="2 listen already") as caught:
        beacon.join()
    assert caught.value.code == "busy"
    for listener in listeners:
        beacon.leave(listener)
    assert beacon.listeners == 0
    await asyncio.sleep(0.05)
    turns = stage.runtime.counters.turns
    await asyncio.sleep(0.05)
    assert stage.runtime.counters.turns == turns, "it looks, and nobody listens"


async def test_a_request_that_lapses_is_told_though_nothing_is_committed(stage):
    waits = [1]
    beacon = Beacon(stage.runtime, clients_max=1, look_s=0.01, waiting=lambda: waits[0])
    listener = beacon.join()
    await until(lambda: set(listener.pending) == KINDS, "every state", 60)
    assert b'{"waiting":1}' in listener.pending.pop("approvals")
    waits[0] = 0
    await until(lambda: "approvals" in listener.pending, "the end of the request", 60)
    assert b'{"waiting":0}' in listener.pending["approvals"]
    beacon.close()
    beacon.leave(listener)


async def test_a_beacon_that_closes_ends_its_streams(beacon):
    listener = beacon.join()
    beacon.close()
    assert listener.over
    beacon.leave(listener)
