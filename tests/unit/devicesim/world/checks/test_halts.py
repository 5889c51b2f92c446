from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Activate
from devicesdk.wire.messages import Have, Want
from devicesdk.wire.timebase import SECOND
from devicesim.world.checks.halts import TOLD_NS, HaltHolds
from devicesim.world.checks.releases import digest_of
from gateway.core import rows
from gateway.core.effects import Persist
from tests_kit import worlds

HALT = 1000 * SECOND


class Rehearsal:
    def __init__(self):
        self.world = worlds.make_world(worlds.scenario_text(worlds.ROLLOUT, count=1))
        self.host = self.world.hosts[0]
        self.host.online, self.host.path.black = True, False
        self.world.gateway.up = self.world.gateway.connected = True
        self.check = HaltHolds(self.world)
        self.bad = digest_of(self.world, "gauge@1.1.0")
        self.old = digest_of(self.world, "gauge@1.0.0")
        self.host.manifest = self.old
        self.check.wanted(self.host.device, self.want(1, self.bad), 900 * SECOND)
        self.check.heard_want(self.host, self.want(1, self.bad), 900 * SECOND)

    def want(self, generation, manifest, deployment="r1", *, hold=False):
        return Want(
            device=self.host.device, generation=generation, deployment=deployment,
            manifest=manifest, manifest_bytes=9, hold=hold,
        )  # fmt: skip

    def halt(self, phase=rows.Phase.HALTED, brake=rows.Brake.REVERT):
        row = SimpleNamespace(phase=phase, brake=brake)
        self.check.persisted(Persist(rows.ROLLOUT, "r1", row), HALT)

    def start(self, now):
        self.check.activated(self.host, Activate("b", self.bad, "fp32"), now)
        return self.check.held


@pytest.fixture
def rehearsal():
    return Rehearsal()


def test_before_a_halt_everything_may_start(rehearsal):
    assert rehearsal.start(HALT - 1)
    assert rehearsal.check.verdict is None


@pytest.mark.parametrize("revert", [True, False])
def test_who_was_told_starts_nothing(rehearsal, revert):
    rehearsal.halt()
    stop = (
        rehearsal.want(2, rehearsal.old, "r1~revert")
        if revert
        else rehearsal.want(2, rehearsal.bad, hold=True)
    )
    rehearsal.check.wanted(rehearsal.host.device, stop, HALT + 1)
    rehearsal.check.heard_want(rehearsal.host, stop, HALT + SECOND)
    assert not rehearsal.start(HALT + 2 * SECOND)
    assert "after the device was told" in rehearsal.check.story()


def test_who_could_have_heard_has_five_seconds(rehearsal):
    rehearsal.halt()
    stop = rehearsal.want(2, rehearsal.old, "r1~revert")
    rehearsal.check.wanted(rehearsal.host.device, stop, HALT)
    assert rehearsal.start(HALT + 4 * SECOND)
    assert not rehearsal.start(HALT + 6 * SECOND)


def test_who_could_not_hear_is_excused(rehearsal):
    rehearsal.halt()
    rehearsal.check.wanted(
        rehearsal.host.device, rehearsal.want(2, rehearsal.old, "r1~revert"), HALT
    )
    rehearsal.host.path.black = True
    assert rehearsal.start(HALT + 600 * SECOND)
    rehearsal.host.path.black, rehearsal.host.path.cleared_at = False, HALT + 598 * SECOND
    assert rehearsal.start(HALT + 600 * SECOND)


def test_a_gateway_that_is_up_tells_everybody(rehearsal):
    rehearsal.halt()
    assert rehearsal.start(HALT + TOLD_NS - 1)
    assert not rehearsal.start(HALT + TOLD_NS + 1)
    assert "nobody told the device" in rehearsal.check.story()


def test_a_gateway_that_was_killed_meanwhile_may_take_longer(rehearsal):
    rehearsal.halt()
    rehearsal.world.gateway.crashes += 1
    assert rehearsal.start(HALT + 2 * TOLD_NS)


def test_a_later_rollout_may_ship_the_same_bundle(rehearsal):
    rehearsal.halt()
    rehearsal.check.heard_want(
        rehearsal.host, rehearsal.want(3, rehearsal.bad, "r2"), HALT + SECOND
    )
    assert rehearsal.start(HALT + 600 * SECOND)


def test_what_runs_already_may_run_on_after_a_boot(rehearsal):
    rehearsal.halt()
    rehearsal.host.manifest = rehearsal.bad
    assert rehearsal.start(HALT + 600 * SECOND)


@pytest.mark.parametrize(("brake", "held"), [(rows.Brake.NONE, True), (rows.Brake.REVERT, False)])
def test_an_aborted_rollout_is_halted_only_when_it_is_braked(rehearsal, brake, held):
    rehearsal.halt(rows.Phase.ABORTED, brake)
    assert rehearsal.start(HALT + 2 * TOLD_NS) is held


def test_a_device_may_go_back_to_what_it_ran_for_good(rehearsal):
    rehearsal.halt()
    have = Have(boot_id=1, seq=1, running=rehearsal.bad)
    rehearsal.check.said_have(rehearsal.host, have, HALT)
    assert rehearsal.start(HALT + 2 * TOLD_NS)
