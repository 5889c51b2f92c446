import pytest

from devicesdk.agent.effects import Activate
from devicesdk.wire.messages import Have, Want
from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks import releases
from gateway.core import notes, rows
from gateway.core.effects import Note
from tests_kit import worlds

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(worlds.ROLLOUT, count=2))


@pytest.fixture
def host(world):
    world.hosts[0].manifest = OLD
    return world.hosts[0]


@pytest.fixture
def check(world):
    return releases.NoFalseSuccess(world)


def run(check, host, manifest, now=1):
    check.activated(host, Activate("b", manifest, "fp32"), now)
    host.manifest = manifest


def have(seq, generation, running, *, trial=False):
    return Have(boot_id=1, seq=seq, generation=generation, running=running, trial=trial)


def want(host, generation, manifest=NEW):
    return Want(
        device=host.device,
        generation=generation,
        deployment="r1",
        manifest=manifest,
        manifest_bytes=9,
    )


def test_who_a_rollout_is_for_and_what_it_ships(world):
    plan = world.scenario.rollouts[0]
    assert releases.targets_of(world, plan) == [0, 1]
    digest = releases.digest_of(world, "gauge@1.1.0")
    assert releases.name_of(world, digest) == "gauge@1.1.0"
    assert releases.digest_of(world, "gauge@9.9.9") == b""
    assert releases.name_of(world, b"") == "nothing"


def test_success_is_what_was_wanted_ran_and_was_said(check, host):
    check.wanted(host.device, want(host, 1), 1)
    run(check, host, NEW)
    check.said_have(host, have(1, 1, NEW, trial=True), 2)
    check.said_have(host, have(2, 1, NEW), 3)
    check.gateway_noted(Note(notes.COMMITTED, host.device, 1, 0), 4)
    assert check.verdict is True


def test_a_device_may_not_boast(check, host):
    check.said_have(host, have(1, 1, NEW), 2)
    assert "expected its report to name what it runs" in check.story()


def test_a_report_that_is_sent_again_is_not_judged_again(check, host):
    check.said_have(host, have(1, 0, OLD), 1)
    run(check, host, NEW)
    check.said_have(host, have(1, 0, OLD), 3)
    assert check.verdict is True


@pytest.mark.parametrize("said", [(1, NEW, True), (0, NEW, False), (1, OLD, False)])
def test_success_before_the_device_said_so_is_false(check, host, said):
    generation, running, trial = said
    check.wanted(host.device, want(host, 1), 1)
    run(check, host, NEW)
    host.manifest = running
    check.said_have(host, have(1, generation, running, trial=trial), 2)
    check.gateway_noted(Note(notes.COMMITTED, host.device, 1, 0), 4)
    assert "the device to have said so" in check.story()


def test_success_of_what_never_ran_is_false(check, host):
    check.wanted(host.device, want(host, 1), 1)
    check.gateway_noted(Note(notes.COMMITTED, host.device, 1, 0), 4)
    assert "the device to have run it" in check.story()
    check.gateway_noted(Note(notes.COMMITTED, host.device, 7, 0), 5)
    assert check.failures == 2


def test_at_the_end_the_books_agree_with_the_slots(check, world, host):
    row = rows.DesiredRow(1, NEW, "r1", rows.Purpose.UPDATE, outcome=rows.Outcome.COMMITTED)
    world.gateway.store.put(rows.DESIRED, host.device, row)
    world.gateway.store.commit()
    run(check, host, NEW)
    run(check, host, OLD, now=2)
    check.ended(MINUTE)
    assert check.held, "the device had no time to report"
    host.online, host.path.black, world.gateway.connected = True, False, True
    check.ended(10 * MINUTE)
    assert "counts as committed" in check.story()
