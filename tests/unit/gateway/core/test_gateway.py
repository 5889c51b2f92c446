"""The router: every stimulus finds its machine, and what machines say to each other arrives."""

from __future__ import annotations

import pytest

from devicesdk.wire import codec
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Control, ControlVerb, Get, Telemetry
from devicesdk.wire.messages import UpdateState as S
from gateway.core import internal
from gateway.core.effects import Persist, Publish, SendRound
from gateway.core.gateway import TABLES
from gateway.core.stimuli import (
    Arrived,
    BrokerDown,
    CreateRollout,
    DeadlineReached,
    Enroll,
    GatePlan,
    PubAcked,
)
from tests_kit.gateway_charts import Chart, Loop, bundle, digest_of, new_gateway, plan


def get(name="gauge@1.1.0"):
    request = Get(transfer=1, seq=1, blob=digest_of(name), base=0, count=1)
    return Arrived("get", "d000", codec.encode(request))


def test_a_grant_reaches_the_transfers_machine_in_the_batch_of_the_offer():
    chart = Chart.with_fleet(1)
    chart >> get()
    (refused,) = chart.all(Publish)
    assert codec.decode(Control, refused.payload).code is Nack.UNAUTHORIZED
    chart >> CreateRollout(plan(waves=(1.0,)))
    assert not chart.all(internal.Internal), "a message between machines left the gateway"
    chart >> get()
    (served,) = chart.all(SendRound)
    assert (served.device, served.blob, served.indices) == ("d000", digest_of("gauge@1.1.0"), (0,))
    chart.ev("d000", S.REJECTED, generation=1) >> get()
    (refused,) = chart.all(Publish)
    answer = codec.decode(Control, refused.payload)
    assert (answer.verb, answer.code) == (ControlVerb.NACK, Nack.QUARANTINED)


def test_grants_survive_a_restart():
    loop = Loop()
    loop.start()
    for one in (bundle(), Enroll("d000", {}), CreateRollout(plan(waves=(1.0,)))):
        loop.ask(one)
    loop.start()
    effects = loop.core.handle(get(), loop.now)
    assert any(isinstance(effect, SendRound) for effect in effects)


def test_telemetry_goes_to_collect_and_nonsense_is_survived_everywhere():
    chart = Chart.with_fleet(1)
    for kind in ("tel", "get", "have", "ev", "link"):
        chart >> Arrived(kind, "d000", b"\xc1")
    assert chart.machine.collect.overview().counters.malformed == 1
    assert chart.machine.overview().bad_messages == 3


@pytest.mark.parametrize("token", [1, 2, 3, 4])
def test_an_answer_to_nothing_is_ignored(token):
    chart = Chart.with_fleet(1)
    chart >> PubAcked(token)
    assert chart.left == []


def test_the_nearest_deadline_of_all_machines():
    chart = Chart.with_fleet(1)
    before = chart.machine.deadline()
    chart >> CreateRollout(plan(waves=(1.0,))) >> get()
    due = chart.machine.deadline()
    assert due is not None
    assert before is None or due[0] <= before[0]
    assert due[1].startswith("transfers")
    chart.now = due[0]
    chart >> DeadlineReached() >> BrokerDown("gone")


def test_telemetry_leaves_the_deadlines_of_the_other_machines_as_they_were():
    chart = Chart.with_fleet(1)
    chart >> CreateRollout(plan(waves=(1.0,))) >> get()
    for seq in range(1, 4):
        window = Telemetry(boot_id=1, seq=seq, bundle=digest_of("gauge@1.0.0")[:8], frames=1)
        chart >> Arrived("tel", "d000", codec.encode(window))
        remembered = chart.machine.deadline()
        chart.machine._due_known = False
        assert chart.machine.deadline() == remembered, f"after window {seq}"
    assert chart.machine.collect.overview().counters.received == 3


def test_tables_are_told_apart_by_machine():
    chart = Chart.with_fleet(1) >> CreateRollout(plan())
    for effect in chart.all(Persist):
        assert isinstance(effect.row, TABLES[effect.table])
    assert chart.machine.checkpoint(chart.now) == []
    assert chart.machine.transfers.active == 0


def test_a_judgement_reaches_control_in_the_batch_in_which_it_was_made():
    chart = Chart.with_fleet(4) >> CreateRollout(plan(gate=GatePlan(drift=True)))
    verdict = internal.Judged(digest_of("gauge@1.1.0")[:8], "pi", 1.0, 1.0, 900, "hardware", 0.4)
    effects = chart.machine._route([verdict], chart.now)
    assert chart.rollout().state == "halted"
    assert not any(isinstance(effect, internal.Internal) for effect in effects)


def test_rows_of_an_unknown_machine_are_let_pass():
    gateway = new_gateway()
    gateway.restore([("elsewhere.table", "key", object())], 0)
    gateway.validate()
