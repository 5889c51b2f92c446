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
from gateway.core.gateway import GatewayConfig
from gateway.core.internal import Granted, Revoked
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import BrokerUp, CreateRollout, Enroll, Started, SteerRollout
from tests_kit.gateway_charts import (
    Chart,
    PlainSigner,
    arrived,
    bundle,
    digest_of,
    factory,
    new_gateway,
    plan,
)

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
    chart = started()
    chart.commit("d000")
    chart >> SteerRollout("r1", "abort-revert")
    chart << (Granted, {"device": "d000", "deployment": "r1~revert", "priority": 900})
    chart << (Granted, {"device": "d001"})
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
        chart = Chart.with_fleet(3) >> CreateRollout(plan(waves=(1.0,), expires_ns=expires_ns))
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


CLAIM, SAFE = "gauge@6.6.6", "gauge@1.1.0"
STRICT = GatewayConfig(said_only=True)
"""Of a gateway where rollouts must be rehearsed, which factory state need not be."""


def believed(config=STRICT):
    """A device that somebody says left the factory with a bundle, and nothing was offered."""
    chart = Chart(new_gateway(config)) >> Started(1_700_000_000_000)
    chart >> BrokerUp(session_present=False)
    chart >> bundle(CLAIM) >> bundle("gauge@1.0.0") >> bundle(SAFE) >> factory(CLAIM)
    chart >> Enroll("d000", {"region": "eu"})
    assert chart.wants() == {}, "factory state was offered"
    return chart


def offered(config=STRICT):
    """The same, when a good rollout was offered to it."""
    chart = believed(config) >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    assert list(chart.wants()) == ["d000"]
    return chart


def reverted(chart):
    """What the device is sent back to when that rollout is taken back, and whether that is a hold."""
    chart >> SteerRollout("r1", "abort-revert")
    return [(want.manifest, want.hold) for want in chart.wants().values()]


def left(chart):
    """Devices of which it is told that they are not sent back."""
    return [note.subject for note in chart.all(Note, kind=notes.NOT_BACK)]


def heard_late(chart):
    """Its first word is that it runs the candidate for good: the gateway was away before."""
    return chart.commit("d000", SAFE)


def tried(chart):
    """Nothing is known but that it tries the candidate."""
    return chart.ev("d000", S.TRIAL, digest=digest_of(SAFE), generation=1)


def tries_another(chart):
    """Its first word is of something else that it may yet give up."""
    return chart.have("d000", running=digest_of("other"), trial=True)


def test_where_rollouts_must_be_rehearsed_nobody_is_sent_back_to_what_somebody_declared():
    silent = offered()
    assert reverted(silent) == [(digest_of(SAFE), True)], "who never spoke is left where it is"
    assert left(silent) == ["d000"], "and nobody is told"

    late = heard_late(offered())
    assert (reverted(late), left(late)) == ([], ["d000"]), "sent back to a claim"

    for begun in (tried, tries_another):
        chart = begun(offered())
        assert reverted(chart) == [(digest_of(SAFE), True)], begun.__doc__
        assert left(chart) == ["d000"], begun.__doc__


def test_where_they_need_not_be_a_declared_factory_state_is_a_way_back():
    for begun in (lambda chart: chart, heard_late, tried, tries_another):
        chart = begun(offered(GatewayConfig()))
        assert (reverted(chart), left(chart)) == ([(digest_of(CLAIM), False)], []), begun.__doc__


@pytest.mark.parametrize("config", [STRICT, GatewayConfig()], ids=["must", "need not"])
@pytest.mark.parametrize("generation", [0, 1, 7])
def test_the_first_word_of_a_device_is_believed_and_not_ours(config, generation):
    chart = offered(config).have(
        "d000", generation=generation, running=OLD, state=S.DOWNLOADING if generation else S.IDLE
    )
    assert chart.machine.twin_view("d000").outcome == "open"
    newest = chart.twin("d000").generation
    chart.have("d000", generation=newest, running=digest_of(SAFE), state=S.COMMITTED)
    assert (reverted(chart), left(chart)) == ([(OLD, False)], [])


def test_a_first_word_on_trial_is_made_good_by_the_next():
    chart = tries_another(offered()).have("d000", generation=1, running=OLD, state=S.DOWNLOADING)
    assert reverted(chart) == [(OLD, False)]


def test_who_says_that_it_runs_what_the_factory_shipped_goes_back_to_that():
    early = believed().have("d000", running=digest_of(CLAIM))
    early >> CreateRollout(plan(release=SAFE, waves=(1.0,)))
    for chart in (early, offered().have("d000", running=digest_of(CLAIM))):
        assert reverted(chart.commit("d000", SAFE)) == [(digest_of(CLAIM), False)]


def test_what_a_device_said_is_known_in_the_next_rollout_and_what_was_claimed_is_not():
    for begun, back in ((heard_late, SAFE), (tried, None)):
        chart = begun(offered()) >> bundle("gauge@1.2.0")
        chart >> CreateRollout(plan("r2", "gauge@1.2.0", waves=(1.0,)))
        chart.ev("d000", S.TRIAL, digest=digest_of("gauge@1.2.0"), generation=2)
        chart.wants()
        chart >> SteerRollout("r2", "abort-revert")
        (want,) = chart.wants().values()
        expected = (digest_of("gauge@1.2.0"), True) if back is None else (digest_of(back), False)
        assert (want.manifest, want.hold) == expected, begun.__doc__
