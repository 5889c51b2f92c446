"""Reports that come late, twice, or about another want."""

from __future__ import annotations

import itertools

import pytest

from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Event
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import DAY, HOUR, MINUTE
from gateway.core import notes
from gateway.core.control.control import Control
from gateway.core.effects import Note
from gateway.core.internal import Granted, Revoked
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import BrokerUp, CreateRollout, Enroll, Started, SteerRollout
from tests_kit.gateway_charts import Chart, PlainSigner, arrived, bundle, digest_of, factory, plan

NEW, OLD = digest_of("gauge@1.1.0"), digest_of("gauge@1.0.0")


def started(count=4, **fields):
    """A chart of the control machine alone, so that what it says to the others is seen."""
    chart = Chart(Control(ControlLimits(), PlainSigner(), PlainSigner()))
    chart >> bundle("gauge@1.0.0") >> bundle() >> factory()
    for number in range(count):
        chart >> Enroll(f"d00{number}", {"region": "eu"})
    return chart >> CreateRollout(plan(**{"waves": (1.0,), **fields}))


def wave(chart):
    return chart.rollout().waves[0]


def test_a_message_that_comes_twice_changes_nothing_the_second_time():
    chart = started(40, gate=plan().gate)
    ev = arrived("d000", Event(boot_id=1, seq=1, kind="update", state=S.FAILED, generation=1))
    chart >> ev
    before = (wave(chart), chart.twin("d000"))
    chart >> ev
    assert (wave(chart), chart.twin("d000")) == before
    assert chart.left == []
    assert wave(chart).failed == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_events_in_any_order_end_in_the_same_books(order):
    chart = started(40)
    states = [S.DOWNLOADING, S.VERIFIED, S.TRIAL, S.ROLLED_BACK]
    for index in order:
        digest = NEW if states[index] is S.TRIAL else b""
        event = Event(
            boot_id=1, seq=index, kind="update", state=states[index], generation=1, digest=digest
        )
        chart >> arrived("d000", event)
    assert (wave(chart).rolled_back, wave(chart).exposed) == (1, 1)
    assert chart.twin("d000").outcome == "rolled_back"


def test_an_ended_want_stays_ended():
    chart = started(40)
    chart.ev("d000", S.FAILED, "validation", generation=1)
    for state in (S.DOWNLOADING, S.VERIFIED, S.REJECTED, S.ROLLED_BACK):
        chart.ev("d000", state, generation=1)
        assert chart.twin("d000").outcome == "failed"


def test_the_digest_overrides_an_ended_want():
    chart = started(40)
    chart.ev("d000", S.FAILED, "validation", generation=1)
    chart.commit("d000")
    assert (chart.twin("d000").outcome, wave(chart).failed, wave(chart).committed) == (
        "committed", 0, 1,
    )  # fmt: skip


def test_a_device_that_rolls_back_after_its_commit_is_counted_against_the_release():
    chart = started(40)
    chart.commit("d000")
    chart.have("d000", generation=1, running=OLD, state=S.ROLLED_BACK, reason="runtime:reboot")
    assert (wave(chart).committed, wave(chart).rolled_back) == (0, 1)
    assert chart.twin("d000").quarantine == (NEW.hex(),)


def test_while_a_report_says_in_sync_an_event_does_not_say_otherwise():
    chart = started()
    chart.commit("d000")
    chart.ev("d000", S.ROLLED_BACK, generation=1)
    assert chart.twin("d000").outcome == "committed", "the next report will tell"


def test_a_generation_that_we_forgot_is_overtaken():
    chart = started()
    chart.have("d000", generation=41, running=OLD, state=S.IDLE)
    chart << (Note, {"kind": notes.REISSUE, "a": 41, "b": 42})
    chart.commit("d000", generation=42)
    assert wave(chart).committed == 1


def test_a_generation_without_room_above_is_not_believed():
    chart = started()
    chart.have("d000", generation=2**53, running=OLD)
    chart << (Note, {"kind": notes.BAD_MESSAGE})
    assert chart.twin("d000").generation == 1


def test_grants_come_with_wants_and_go_with_outcomes():
    chart = started()
    (granted,) = chart.all(Granted, device="d000")
    assert (granted.deployment, granted.manifest, granted.priority) == ("r1", NEW, 500)
    assert NEW in granted.blobs
    assert len({id(one.blobs) for one in chart.all(Granted)}) == 1, "one tuple for all devices"
    chart.commit("d000") << (Revoked, {"device": "d000", "code": Nack.GONE})
    chart.ev("d001", S.REJECTED, "hardware", generation=1)
    chart << (Revoked, {"device": "d001", "code": Nack.QUARANTINED})
    chart.ev("d002", S.CANCELED, generation=1) << (Revoked, {"code": Nack.GONE})
    chart.have("d000", generation=1, running=OLD, state=S.IDLE) << (Granted, {"device": "d000"})


def test_a_stop_revokes_and_a_revert_grants_what_has_to_be_fetched_again():
    chart = started().booted(["d001"])
    chart.commit("d000")
    chart >> SteerRollout("r1", "abort-revert")
    chart << (Granted, {"device": "d000", "deployment": "r1~revert", "priority": 900})
    assert chart.all(Granted, device="d001") == [], "what it says it runs need not be fetched"
    reported = started()
    reported.have("d001", generation=1, running=OLD, state=S.DOWNLOADING)
    reported >> SteerRollout("r1", "abort-revert")
    reported << (Revoked, {"device": "d001", "code": Nack.SUPERSEDED})


def test_a_revert_that_fails_on_the_link_is_tried_again():
    chart = started()
    chart.commit("d000")
    chart >> SteerRollout("r1", "abort-revert")
    chart.ev("d000", S.FAILED, "link", generation=2)
    chart << (Note, {"kind": notes.RETRY, "subject": "d000", "a": 3})
    chart.ev("d000", S.FAILED, "validation", generation=3)
    twin = chart.twin("d000")
    assert (twin.outcome, twin.quarantine) == ("failed", ())
    chart.have("d000", generation=3, running=OLD) << (Note, {"kind": notes.REVERTED})
    assert wave(chart).reverted == 1
    chart.have("d000", generation=3, running=NEW)
    assert wave(chart).reverted == 0


def test_after_a_stop_nothing_is_tried_again():
    chart = started(on_halt="hold")
    chart >> SteerRollout("r1", "abort-keep")
    chart.ev("d000", S.FAILED, "link", generation=2)
    assert chart.all(Note, kind=notes.RETRY) == []


def test_integrity_is_tried_again_and_then_blamed():
    chart = started(40)
    for generation in (1, 2, 3, 4):
        chart.ev("d000", S.FAILED, "integrity", generation=generation)
    twin = chart.twin("d000")
    assert (twin.outcome, twin.quarantine, twin.attempt) == ("failed", (NEW.hex(),), 3)


def test_alarms_are_noted_and_other_words_are_let_pass():
    chart = started()
    chart >> arrived("d000", Event(boot_id=1, seq=1, kind="alarm", value=930))
    assert chart.left == [Note(notes.ALARM, "d000", 930)]
    chart >> arrived("d000", Event(boot_id=1, seq=2, kind="weather", value=3))
    assert chart.left == []


def test_reports_of_factory_devices_and_strangers_are_only_kept():
    chart = Chart(Control(ControlLimits(), PlainSigner(), PlainSigner()))
    chart >> bundle("gauge@1.0.0") >> factory() >> Enroll("d1", {})
    chart.have("d1", generation=9, running=OLD)
    chart.ev("d1", S.FAILED, generation=9)
    chart.have("stranger", running=OLD)
    chart.ev("stranger", S.FAILED)
    assert (chart.twin("stranger").running, chart.twin("d1").outcome) == (OLD.hex(), "committed")


def test_an_older_report_is_not_read():
    chart = started()
    chart.have("d000", seq=9, generation=1, running=NEW, trial=True, state=S.TRIAL)
    chart.have("d000", seq=3, generation=1, running=NEW, state=S.COMMITTED)
    assert (chart.left, wave(chart).committed) == ([], 0)


def test_a_way_back_to_an_unknown_bundle_cannot_be_granted():
    chart = Chart(Control(ControlLimits(), PlainSigner(), PlainSigner()))
    chart >> bundle() >> Enroll("d000", {})
    chart.have("d000", running=b"?" * 32)
    chart >> CreateRollout(plan(waves=(1.0,)))
    chart.commit("d000")
    chart >> SteerRollout("r1", "abort-revert")
    assert chart.all(Granted) == []
    assert chart.twin("d000").wanted == "3f" * 32


def test_who_begins_after_the_rollout_expired_is_held():
    chart = Chart.with_fleet(5) >> CreateRollout(plan(waves=(1.0,), expires_ns=HOUR))
    chart.have("d002", generation=1, running=OLD, state=S.WAITING, reason="power")
    chart.wait(HOUR + MINUTE)
    for device, generation, state in [
        ("d000", 0, S.COMMITTED),  # has not even heard of it
        ("d001", 1, S.DOWNLOADING),  # heard of it just now
        ("d002", 1, S.DOWNLOADING),  # was at work already
        ("d003", 1, S.TRIAL),  # has been at work, unheard
    ]:
        chart.have(device, generation=generation, running=OLD, state=state)
        held = {name: want.generation for name, want in chart.wants().items() if want.hold}
        assert held == ({device: 2} if device in ("d000", "d001") else {}), device
    assert [chart.twin(f"d00{n}").outcome for n in range(5)] == ["stopped"] * 2 + ["open"] * 3
    chart.have("d000", generation=2, running=OLD, state=S.CANCELED)
    assert chart.wants() == {}, "once held it is left alone"


def test_how_an_update_ended_is_judged_though_it_is_heard_after_the_expiry():
    def judged(expires_ns):
        chart = Chart.with_fleet(3).booted(["d000", "d001", "d002"])
        chart >> CreateRollout(plan(waves=(1.0,), expires_ns=expires_ns))
        chart.wait(HOUR + MINUTE)
        chart.have("d000", generation=1, running=OLD, state=S.FAILED, reason="kit:answers")
        chart.have("d001", generation=1, running=OLD, state=S.ROLLED_BACK, reason="runtime:reboot")
        chart.have("d002", generation=1, running=OLD, state=S.REJECTED, reason="hardware")
        twins = [chart.twin(f"d00{n}") for n in range(3)]
        return [(twin.outcome, twin.attempt, twin.hold) for twin in twins]

    assert judged(HOUR) == judged(0), "what it did in time is not undone by when it was heard"
    assert "stopped" not in {outcome for outcome, _, _ in judged(HOUR)}


def test_who_comes_in_time_or_to_a_rollout_that_never_expires_is_welcome():
    for expires_ns in (0, 11 * DAY):
        chart = Chart.with_fleet(1) >> CreateRollout(plan(waves=(1.0,), expires_ns=expires_ns))
        chart.wait(10 * DAY)
        chart.have("d000", generation=1, running=OLD, state=S.OFFERED)
        assert chart.twin("d000").outcome == "open"


def test_an_attempt_that_is_made_again_is_no_new_beginning():
    chart = Chart.with_fleet(1) >> CreateRollout(plan(waves=(1.0,), expires_ns=HOUR))
    chart.have("d000", generation=1, running=OLD, state=S.DOWNLOADING)
    chart.wait(2 * HOUR)
    chart.have("d000", generation=1, running=OLD, state=S.FAILED, reason="link")
    assert chart.wants()["d000"].attempt == 1
    chart.have("d000", generation=2, running=OLD, state=S.DOWNLOADING)
    assert chart.twin("d000").outcome == "open"


POISON, SAFE = "gauge@6.6.6", "gauge@1.1.0"


def believed(devices=("d000",)):
    """Devices that somebody says left the factory with a poison, and nothing was offered."""
    chart = Chart() >> Started(1_700_000_000_000) >> BrokerUp(session_present=False)
    chart >> bundle(POISON) >> bundle("gauge@1.0.0") >> bundle(SAFE) >> factory(POISON)
    for device in devices:
        chart >> Enroll(device, {"region": "eu"})
        assert chart.wants() == {}, "factory state was offered"
    return chart


def reverted(chart):
    """What devices are sent back to when a good rollout of theirs is taken back."""
    chart >> SteerRollout("r1", "abort-revert")
    return [(want.manifest, want.hold) for want in chart.wants().values()]


def test_nobody_is_sent_back_to_what_only_the_factory_is_said_to_have_shipped():
    silent = believed() >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    assert reverted(silent) == [(digest_of(SAFE), True)], "who never spoke is left where they are"

    late = believed() >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    late.have("d000", running=OLD).commit("d000", SAFE)
    assert reverted(late) == [(OLD, False)], "its first word is believed, not ours"

    already = believed() >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    already.have("d000", running=digest_of(SAFE)).commit("d000", SAFE)
    assert reverted(already) == []

    trying = believed() >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    trying.have("d000", running=digest_of("other"), trial=True).commit("d000", SAFE)
    assert reverted(trying) == []

    spoke = believed().have("d000", running=digest_of(SAFE))
    spoke >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    spoke.commit("d000", SAFE)
    assert digest_of(POISON) not in [manifest for manifest, _ in reverted(spoke)]


def test_who_says_that_it_runs_what_the_factory_shipped_goes_back_to_that():
    for early in (True, False):
        chart = believed()
        if early:
            chart.have("d000", running=digest_of(POISON))
        chart >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
        if not early:
            chart.have("d000", running=digest_of(POISON))
        chart.commit("d000", SAFE)
        assert reverted(chart) == [(digest_of(POISON), False)]
