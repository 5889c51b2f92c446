"""Events reach a receiver once each, in order, whatever happens to it; over real sockets."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager

import pytest

from gateway.adapters.webhook import Webhook
from gateway.config import AlarmsSection
from gateway.core.alarms.rows import DELIVERY
from gateway.core.alarms.rules import DISK
from gateway.core.stimuli import Observed, Reading
from gateway.runtime.courier import Courier
from tests_kit.alarm_stage import SECRET, Receiver, core_with
from tests_kit.office_stage import Bureau
from tests_kit.plant import until

PATIENCE_S = 60.0
SAID = AlarmsSection(webhook_retry_s_min=0.01, webhook_retry_s_max=0.03)


@pytest.fixture
async def bureau():
    made = Bureau(make=core_with())
    await made.up()
    yield made
    made.runtime.close()


async def see(bureau, percent):
    await bureau.runtime.submit(Observed(DISK, (Reading("/", percent),)))


@asynccontextmanager
async def courier(bureau, url, said=SAID):
    hook = Webhook(url, SECRET, 5.0)
    wall_ms = bureau.clock.wall_ms
    task = asyncio.get_running_loop().create_task(
        Courier(bureau.runtime, hook, said, wall_ms, 1).run()
    )
    yield
    task.cancel()
    await asyncio.wait((task,))
    await hook.close()
    assert task.cancelled(), task.exception()


async def delivered(bureau):
    await until(lambda: not bureau.table(DELIVERY), "all events", PATIENCE_S)


def ids(receiver):
    return [one.headers["webhook-id"] for one in receiver.got]


async def test_what_happened_before_and_after_it_began_arrives_in_order(bureau):
    await see(bureau, 9)
    with Receiver() as receiver:
        async with courier(bureau, receiver.url):
            await delivered(bureau)
            await see(bureau, 3)
            await until(lambda: len(receiver.got) == 2, "the second", PATIENCE_S)
            await delivered(bureau)
        assert receiver.events == [("raised", DISK), ("escalated", DISK)]
        assert len(receiver.got) == 2


async def test_one_that_is_away_gets_everything_later_once_each(bureau):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await see(bureau, 9)
    async with courier(bureau, f"http://127.0.0.1:{port}/"):
        await see(bureau, 3)
        await asyncio.sleep(0.2)
        assert len(bureau.table(DELIVERY)) == 2, "they wait"
        with Receiver(port=port) as receiver:
            await delivered(bureau)
            assert receiver.events == [("raised", DISK), ("escalated", DISK)]
            assert len(set(ids(receiver))) == len(receiver.got) == 2


async def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_id_and_bytes(bureau):
    await see(bureau, 9)
    with Receiver(500, 502, 429) as receiver:
        async with courier(bureau, receiver.url):
            await delivered(bureau)
        assert len(receiver.got) == 4
        assert len(set(ids(receiver))) == len({one.body for one in receiver.got}) == 1


async def test_what_waits_survives_a_crash(bureau):
    await see(bureau, 9)
    with Receiver() as receiver:
        receiver.hold()
        async with courier(bureau, receiver.url):
            await until(lambda: receiver.got != [], "the first attempt", PATIENCE_S)
            await bureau.again()
        receiver.go_on()
        async with courier(bureau, receiver.url):
            await delivered(bureau)
        assert set(ids(receiver)) == {ids(receiver)[0]}, "one event, however often it was sent"


async def test_an_event_that_the_receiver_does_not_want_is_dropped_and_said(bureau, caplog):
    logging.getLogger("fleetdrill.gateway").propagate = True
    await see(bureau, 9)
    await see(bureau, 3)
    with caplog.at_level(logging.ERROR, "fleetdrill.gateway"), Receiver(422) as receiver:
        async with courier(bureau, receiver.url):
            await delivered(bureau)
        assert len(receiver.got) == 2, "the next is sent all the same"
    fields = [vars(record).get("fields", {}) for record in caplog.records]
    assert [f["found"] for f in fields if "found" in f] == ["HTTP 422"]
    assert "s3cret" not in str(fields)
    assert bureau.runtime.core.alarms.dropped == 1


async def test_an_event_that_nobody_takes_for_too_long_is_given_up(bureau):
    await see(bureau, 9)
    said = AlarmsSection(
        webhook_retry_s_min=0.01, webhook_retry_s_max=0.02, webhook_give_up_s=0.001
    )
    with Receiver(*[503] * 1000) as receiver:
        async with courier(bureau, receiver.url, said):
            await delivered(bureau)
    assert bureau.runtime.core.alarms.dropped == 1
