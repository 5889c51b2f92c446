"""Windows, budgets, late joiners, scheduled starts and approvals as sequence charts."""

from __future__ import annotations

import pytest

from devicesdk.wire.messages import Link
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from gateway.core import notes, stimuli
from gateway.core.effects import Note, Persist
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.pace import Budget, Pace, read_windows
from gateway.core.stimuli import CreateRollout, DecideWave, SteerRollout
from tests_kit.gateway_charts import Chart, arrived, bundle, digest_of, factory, new_gateway, plan

NEW, OLD = digest_of("gauge@1.1.0"), digest_of("gauge@1.0.0")
NIGHT = read_windows(("23:00-01:00",))
START_S = 1_700_000_000
"""2023-11-14, 22:13:20 UTC, a Tuesday: the night opens 46 min 40 s later."""
TO_NIGHT = 46 * MINUTE + 40 * SECOND
BY_SITE = (Budget("site", count=1),)


def fleet(count, sites="ab", config=None, **labels):
    """Devices that are all online, in turn of each site."""
    chart = Chart.with_fleet(0, config)
    for number in range(count):
        site = sites[number % len(sites)]
        join(chart, f"d{number:03}", site=site, **labels)
    return chart


def join(chart, name, **labels):
    chart.enroll(name, {"region": "eu", "hardware": "pi", **labels})
    left = chart.left
    chart >> arrived(name, Link(boot_id=1, session=1, online=True))
    chart.left = left + chart.left


def paced(chart, waves=(1.0,), **pace):
    fields = {k: pace.pop(k) for k in ("wave_timeout_ns", "soak_ns") if k in pace}
    return chart >> CreateRollout(plan(waves=waves, pace=Pace(**pace), **fields))


def commit(chart, *devices):
    """All effects of these commits are left."""
    left = []
    for device in devices:
        chart.commit(device, generation=chart.twin(device).generation)
        left += chart.left
    chart.left = left


def fail(chart, device, reason="link", state=S.FAILED):
    generation = chart.twin(device).generation
    chart.have(device, generation=generation, running=OLD, state=state, reason=reason)


def offered(chart):
    return sorted(n.subject for n in chart.all(Note) if n.kind in (notes.OFFER, notes.RETRY))


def restarted(chart):
    """The same after a crash, from its rows."""
    again = Chart(new_gateway())
    again.now, again._seqs = chart.now, chart._seqs
    rows = [(table, key, row) for (table, key), row in chart.rows.items() if row is not None]
    again.machine.restore(rows, again.now)
    again >> stimuli.Started((START_S * SECOND + again.now) // 1_000_000)
    return again >> stimuli.BrokerUp(session_present=True)


class Keeping(Chart):
    """A chart that keeps durable rows."""

    def __rshift__(self, stimulus):
        super().__rshift__(stimulus)
        self.rows = getattr(self, "rows", {})
        self.rows.update({(e.table, e.key): e.row for e in self.all(Persist)})
        return self


# -- a scheduled start -----------------------------------------------------------------------------


def test_nothing_is_offered_before_the_scheduled_start():
    chart = paced(fleet(4), start_at_ns=(START_S + 3600) * SECOND)
    assert chart.wants() == {}
    view = chart.rollout()
    assert (view.state, view.why) == ("waiting", "starts at 2023-11-14 23:13Z")
    assert chart.machine.deadline()[0] == HOUR
    assert chart.wait(HOUR - 1).wants() == {}
    assert len(chart.wait(1).wants()) == 4


def test_a_start_in_the_past_is_now():
    assert len(paced(fleet(2), start_at_ns=SECOND).wants()) == 2


# -- windows ---------------------------------------------------------------------------------------


def test_a_device_is_offered_when_the_window_on_its_own_wall_opens():
    chart = fleet(1)
    join(chart, "east", tz="UTC+1")
    paced(chart, windows=NIGHT)
    assert offered(chart) == ["east"], "its clock shows 23:13"
    why = chart.rollout().why
    assert "1 of 2; waiting: 1 for their window, the next at 2023-11-14 23:00Z" in why
    assert offered(chart.wait(TO_NIGHT - 1)) == []
    assert offered(chart.wait(1)) == ["d000"]


def test_an_offer_is_void_when_its_window_has_closed():
    chart = fleet(1)
    join(chart, "east", tz="UTC+1")
    paced(chart, windows=NIGHT)
    (want,) = chart.wants().values()
    assert want.expires_ms == (START_S + 46 * 60 + 40 + 3600) * 1000, "01:00 on its wall"


def test_who_did_not_begin_in_its_window_is_offered_again_in_the_next_one():
    chart = paced(fleet(1), windows=NIGHT)
    chart.wait(TO_NIGHT)
    assert offered(chart) == ["d000"]
    chart.wait(3 * HOUR)
    fail(chart, "d000", "expired", S.CANCELED)
    assert (offered(chart.wait(0)), chart.twin("d000").outcome) == ([], "open")
    assert offered(chart.wait(20 * HOUR)) == []
    assert offered(chart.wait(HOUR)) == ["d000"]
    commit(chart, "d000")
    chart.wait(2 * MINUTE)
    assert chart.rollout().state == "completed"


def test_a_retry_waits_for_the_window_too():
    chart = paced(fleet(1), windows=NIGHT)
    chart.wait(TO_NIGHT)
    chart.wait(HOUR)
    fail(chart, "d000")
    assert offered(chart.wait(0)) == ["d000"], "the window is open still"
    chart.wait(2 * HOUR)
    fail(chart, "d000")
    assert offered(chart.wait(20 * HOUR)) == []
    assert offered(chart.wait(HOUR)) == ["d000"]


def test_going_back_waits_for_no_window():
    chart = paced(fleet(2), windows=NIGHT)
    chart.wait(TO_NIGHT)
    chart.wait(3 * HOUR)
    chart >> SteerRollout("r1", "abort-revert")
    assert {want.manifest for want in chart.wants().values()} <= {OLD, NEW}
    assert [want.expires_ms for want in chart.wants().values()] == [0, 0]


def test_a_zone_that_nobody_knows_waits_and_is_told():
    chart = fleet(1)
    join(chart, "lost", tz="Mars/Olympus")
    paced(chart, windows=NIGHT)
    chart.wait(TO_NIGHT)
    assert offered(chart) == ["d000"]
    assert "1 name a time zone that is not known" in chart.rollout().why
    join(chart, "lost", tz="UTC")
    assert offered(chart.wait(0)) == ["lost"]


def test_the_zone_of_devices_that_name_none_is_the_plans():
    assert offered(paced(fleet(1), windows=NIGHT, zone="UTC+1")) == ["d000"]
    refused = paced(fleet(1), windows=NIGHT, zone="Mars/Olympus")
    refused << (Note, {"kind": notes.ROLLOUT_REFUSED})


# -- budgets ---------------------------------------------------------------------------------------


def test_one_of_each_site_at_a_time():
    chart = paced(fleet(6), budgets=BY_SITE)
    first = offered(chart)
    assert {chart.twin(name).labels["site"] for name in first} == {"a", "b"}
    assert len(first) == 2
    assert "1 of 1 are updating or offline" in chart.rollout().why
    assert offered(chart.wait(10 * MINUTE)) == []
    commit(chart, first[0])
    (third,) = offered(chart.wait(30 * SECOND))
    assert chart.twin(third).labels["site"] == chart.twin(first[0]).labels["site"]


def test_a_site_that_lost_a_device_by_itself_has_less_left():
    chart = fleet(4, sites="a")
    chart >> arrived("d001", Link(boot_id=1, session=1, online=False))
    paced(chart, budgets=BY_SITE)
    assert offered(chart) == ["d001"], "no other may go while it is away"
    chart >> arrived("d001", Link(boot_id=1, session=2, online=True))
    commit(chart, "d001")
    assert len(offered(chart.wait(30 * SECOND))) == 1


def test_rollouts_share_a_budget():
    chart = fleet(4, sites="a")
    chart >> CreateRollout(plan("other", selector=(("site", "a"),), waves=(0.25, 1.0)))
    assert len(chart.wants()) == 1
    paced(chart, budgets=BY_SITE)
    (busy,) = (n for n in ("d000", "d001", "d002", "d003") if chart.twin(n).outcome == "open")
    assert offered(chart) in ([], [busy]), "a second device of the site went"


def test_pages_go_on_at_once_under_a_budget():
    config = GatewayConfig(control=ControlLimits(page_devices=3))
    chart = paced(fleet(8, config=config), budgets=(Budget("site", share=1.0),))
    assert len(offered(chart)) == 3
    assert len(offered(chart.wait(0))) == 5


def test_a_wave_that_stands_still_is_cut_and_the_rest_joins_the_next():
    chart = paced(fleet(10), waves=(0.5, 1.0), budgets=BY_SITE, wave_timeout_ns=DAY)
    first = offered(chart)
    commit(chart, *first)
    second = offered(chart.wait(30 * SECOND))
    assert (len(first), len(second)) == (2, 2)
    chart >> arrived(second[0], Link(boot_id=1, session=1, online=False))
    chart >> arrived(second[1], Link(boot_id=1, session=1, online=False))
    assert chart.wait(DAY - MINUTE).notes().count(notes.WAVE_CUT) == 0
    chart.wait(2 * MINUTE)
    chart << (Note, {"kind": notes.WAVE_CUT, "a": 0, "b": 1})
    assert chart.rollout().waves[0].size == 4
    chart.wait(5 * MINUTE)
    assert len(chart.rollout().waves) == 2, "the others were not let go on"


# -- those who come late ---------------------------------------------------------------------------


def completed(chart=None, **pace):
    chart = chart or fleet(2)
    paced(chart, **pace)
    commit(chart, "d000", "d001")
    chart.wait(2 * MINUTE)
    assert chart.rollout().state == "completed"
    return chart


def test_late_joiners_come_so_many_an_hour():
    chart = completed(late_per_hour=2)
    for number in range(3):
        join(chart, f"late{number}")
    assert chart.rollout().late == 3
    assert len(offered(chart.wait(0))) == 1
    assert offered(chart.wait(30 * MINUTE - 1)) == []
    assert len(offered(chart.wait(1))) == 1
    assert len(offered(chart.wait(HOUR))) == 1
    assert (chart.rollout().late, chart.rollout().waves[-1].size) == (0, 5)


def test_late_joiners_wait_for_the_gate_of_the_last_wave():
    chart = paced(fleet(2), late_after_gate=True)
    join(chart, "late")
    assert offered(chart.wait(HOUR)) == []
    commit(chart, "d000", "d001")
    assert offered(chart.wait(59 * SECOND)) == []
    assert offered(chart.wait(SECOND)) == ["late"]


def test_without_a_brake_they_are_offered_at_once_if_window_and_budget_allow():
    chart = fleet(2, sites="ab")
    paced(chart, budgets=BY_SITE)
    join(chart, "late", site="a")
    assert offered(chart.wait(0)) == [], "its site is busy"
    commit(chart, "d000", "d001")
    assert offered(chart.wait(MINUTE)) == ["late"]


def test_who_comes_before_the_last_wave_joins_it():
    chart = paced(fleet(4), waves=(0.25, 1.0), late_per_hour=1)
    join(chart, "late")
    names = ("d000", "d001", "d002", "d003")
    commit(chart, *(name for name in names if chart.twin(name).outcome == "open"))
    chart.wait(MINUTE)
    assert chart.rollout().waves[1].size == 4
    assert chart.rollout().late == 0


def test_late_joiners_are_not_forgotten_in_a_crash():
    chart = Keeping(new_gateway())
    chart >> stimuli.Started(START_S * 1000) >> stimuli.BrokerUp(session_present=False)
    chart >> bundle("gauge@1.0.0") >> bundle("gauge@1.1.0") >> factory()
    join(chart, "d000")
    join(chart, "d001")
    completed(chart, late_per_hour=1)
    join(chart, "late0")
    join(chart, "late1")
    assert len(offered(chart.wait(0))) == 1
    again = restarted(chart)
    assert again.rollout().late == 1
    assert offered(again.wait(58 * MINUTE)) == [], "the brake was forgotten"
    assert len(offered(again.wait(2 * MINUTE))) == 1


def test_a_rollout_that_stopped_takes_nobody_in():
    chart = completed(late_per_hour=1)
    join(chart, "late0")
    join(chart, "late1")
    chart.wait(0)
    chart >> SteerRollout("r1", "abort-revert")
    assert chart.rollout().late == 0
    assert offered(chart.wait(DAY)) == []


# -- approvals -------------------------------------------------------------------------------------


def test_a_wave_waits_until_somebody_approves():
    chart = paced(fleet(4), waves=(0.25, 1.0), approvals=(1,))
    commit(chart, *offered(chart))
    chart.wait(MINUTE)
    chart << (Note, {"kind": notes.WAVE_AWAITS, "subject": "r1", "a": 1, "b": 100})
    view = chart.rollout()
    assert (view.state, view.approval) == ("running", 1)
    assert view.why == "wave 1, to 100 %, waits for approval"
    assert offered(chart.wait(7 * DAY)) == []
    chart >> DecideWave("r1", approved=True, wave=1, why="looked at it")
    chart << (Note, {"kind": notes.WAVE_APPROVED, "subject": "r1: looked at it"})
    assert len(offered(chart)) == 3
    assert chart.rollout().approval is None


def test_the_first_wave_may_wait_too_and_nothing_older_is_ended_meanwhile():
    chart = fleet(2)
    chart >> CreateRollout(plan("older"))
    paced(chart, approvals=(0,))
    assert (chart.rollout().state, chart.rollout("older").state) == ("waiting", "running")
    assert chart.rollout().approval == 0
    chart >> DecideWave("r1", approved=True)
    assert (chart.rollout().state, chart.rollout("older").state) == ("running", "aborted")


def test_a_denied_wave_ends_the_rollout_and_who_has_it_keeps_it():
    chart = paced(fleet(4), waves=(0.25, 1.0), approvals=(1,))
    commit(chart, *offered(chart))
    chart.wait(MINUTE)
    chart >> DecideWave("r1", approved=False, why="numbers look odd")
    assert chart.rollout().state == "aborted"
    assert chart.rollout().why == "wave 1 was denied: numbers look odd"
    assert chart.rollout().waves[0].committed == 1
    assert chart.wait(DAY).wants() == {}


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (DecideWave("r1", approved=True), "no wave waits for approval, it is RUNNING"),
        (DecideWave("nobody", approved=True), "not known"),
    ],
)
def test_what_does_not_wait_cannot_be_decided(decision, said):
    chart = paced(fleet(4), waves=(0.25, 1.0), approvals=(1,))
    chart >> decision
    (note,) = chart.all(Note, kind=notes.DECISION_REFUSED)
    assert said in note.subject


def test_approval_of_another_wave_than_the_one_that_waits_is_refused():
    chart = paced(fleet(8), waves=(0.25, 0.5, 1.0), approvals=(1, 2))
    commit(chart, *offered(chart))
    chart.wait(MINUTE)
    chart >> DecideWave("r1", approved=True, wave=2)
    chart << (Note, {"kind": notes.DECISION_REFUSED})
    assert chart.rollout().approval == 1


def test_what_was_approved_while_it_was_paused_opens_when_it_resumes():
    chart = paced(fleet(4), waves=(0.25, 1.0), approvals=(1,))
    commit(chart, *offered(chart))
    chart.wait(MINUTE)
    chart >> SteerRollout("r1", "pause") >> DecideWave("r1", approved=True)
    assert offered(chart) == []
    chart >> SteerRollout("r1", "resume")
    assert len(offered(chart)) == 3


def test_the_gate_watches_while_a_wave_waits():
    chart = paced(fleet(40), waves=(0.25, 1.0), approvals=(1,))
    members = offered(chart)
    commit(chart, *members[:9])
    chart.wait(MINUTE)
    assert chart.rollout().approval == 1
    for device in members[:4]:
        chart.have(device, generation=1, running=OLD, state=S.ROLLED_BACK, reason="runtime:errors")
    state = chart.rollout().state
    assert state in ("running", "halted")
    assert chart.rollout().approval == (1 if state == "running" else None)


# -- the next wave ---------------------------------------------------------------------------------


def test_the_next_wave_may_be_opened_before_the_soak_is_over():
    chart = paced(fleet(8), waves=(0.5, 1.0), budgets=BY_SITE, soak_ns=DAY)
    first = offered(chart)
    chart >> SteerRollout("r1", "trigger-next")
    assert "nobody of the open wave has committed" in chart.all(Note)[0].subject
    commit(chart, *first)
    chart >> SteerRollout("r1", "trigger-next")
    waves = chart.rollout().waves
    assert [(wave.size, wave.verdict) for wave in waves] == [(2, "passed"), (6, "")]
    chart >> SteerRollout("r1", "trigger-next")
    assert "its last wave is open already" in chart.all(Note)[0].subject


def test_it_skips_neither_an_approval_nor_the_gate():
    chart = paced(fleet(8), waves=(0.5, 0.75, 1.0), approvals=(1,), soak_ns=DAY)
    members = offered(chart)
    commit(chart, *members[:3])
    chart >> SteerRollout("r1", "trigger-next")
    assert chart.rollout().approval == 1
    chart >> SteerRollout("r1", "trigger-next")
    assert "waits for approval" in chart.all(Note)[0].subject


def test_wants_carry_no_expiry_without_windows():
    chart = paced(fleet(2), budgets=BY_SITE)
    assert {want.expires_ms for want in chart.wants().values()} == {0}


def test_who_came_late_takes_nobodys_place_in_a_wave_that_is_looked_up_again():
    chart = Keeping(new_gateway())
    chart >> stimuli.Started(START_S * 1000) >> stimuli.BrokerUp(session_present=False)
    chart >> bundle("gauge@1.0.0") >> bundle("gauge@1.1.0") >> factory()
    for number in range(4):
        join(chart, f"d{number:03}", site="a")
    paced(chart, budgets=BY_SITE, late_per_hour=1)
    for number in range(4):
        join(chart, f"late{number}", site="b")
    chart.wait(0)
    again = restarted(chart)
    assert again.rollout().waves[0].size == chart.rollout().waves[0].size
    for _ in range(40):
        again.wait(HOUR)
        names = [f"d{n:03}" for n in range(4)] + [f"late{n}" for n in range(4)]
        commit(again, *(name for name in names if again.twin(name).outcome == "open"
                        and again.twin(name).purpose == "update"))  # fmt: skip
    assert all(again.twin(name).outcome == "committed" for name in names)
    assert {again.twin(name).rollout for name in names} == {"r1"}, again.rollout()
