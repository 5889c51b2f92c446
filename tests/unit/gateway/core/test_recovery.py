"""What a gateway may still say after it went back in time."""

from itertools import pairwise

import pytest

from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import SECOND
from gateway.core import rows, stimuli
from gateway.core.access.approvals import APPROVED, LAPSED, WAITS, ApprovalRow
from gateway.core.access.tokens import TOKEN, TokenRow
from gateway.core.control import trust
from gateway.core.effects import Persist, Publish
from gateway.core.experiments import rows as experiments
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.recovery import (
    BY_RESTORE,
    FROZEN_WHY,
    PAUSED_WHY,
    RESTORED,
    Recovery,
    RestoredRow,
)
from gateway.core.rows import Outcome
from gateway.core.stimuli import BrokerUp, CreateRollout, Kill, SetFlag, Started, SteerRollout
from gateway.core.tenure import TENURE, TENURE_KEY, TenureRow
from tests_kit.gateway_charts import (
    Chart,
    PlainSigner,
    bundle,
    digest_of,
    factory,
    flags_of,
    kill_of,
    plan,
)

MADE_MS, NOW_MS = 1_750_000_000_000, 1_750_000_900_000
FLAG = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'
OTHER = '{"state":"DISABLED","variants":{"on":true},"defaultVariant":"on"}'


def recovered(*stored, **more):
    made = Recovery(MADE_MS, NOW_MS, **more)
    return {(table, key): row for table, key, row in made.rows(stored)}


class Past:
    """A gateway that keeps its rows, so that it can go back to what they were."""

    def __init__(self):
        self.chart = Chart(Gateway(GatewayConfig(), PlainSigner(), PlainSigner()))
        self.rows = {}
        self.tell(Started(MADE_MS), BrokerUp(session_present=False))
        for release in ("gauge@1.0.0", "gauge@1.1.0", "gauge@1.2.0"):
            self.tell(bundle(release))

    def tell(self, *stimuli_):
        for stimulus in stimuli_:
            self.chart >> stimulus
            said = self.chart.left
            self.chart.left = said + self.chart.wait(SECOND).left
            self.keep()

    def keep(self):
        for effect in self.chart.all(Persist):
            if effect.row is None:
                self.rows.pop((effect.table, effect.key), None)
            else:
                self.rows[effect.table, effect.key] = effect.row

    def back(self, kept, **more):
        """The gateway that begins with a backup's rows."""
        stored = [(table, key, row) for (table, key), row in sorted(kept.items())]
        self.rows = recovered(*stored, **more)
        core = Gateway(GatewayConfig(), PlainSigner(), PlainSigner())
        core.restore([(t, k, r) for (t, k), r in self.rows.items()], 0)
        self.chart = Chart(core)
        self.chart >> Started(NOW_MS)
        core.validate()
        return self

    def said(self, kind):
        return [effect.payload for effect in self.chart.all(Publish, kind=kind)]


@pytest.fixture
def past():
    made = Past()
    made.tell(stimuli.Enroll("kiosk-1", {"region": "eu"}))
    made.tell(factory())
    return made


def test_revisions_go_on_above_all_that_devices_saw_after_the_backup(past):
    past.tell(SetFlag("all", "x", FLAG))
    kept = dict(past.rows)
    for turn in range(4):
        past.tell(SetFlag("all", "x", OTHER if turn % 2 == 0 else FLAG))
        past.tell(SetFlag("new", "x", OTHER if turn % 2 == 0 else FLAG))
        past.tell(Kill("gauge", alive=turn % 2 == 1))
    seen = {
        "all": past.rows[rows.SEGMENT, "all"].rev,
        "new": past.rows[rows.SEGMENT, "new"].rev,
        "kill": past.rows[rows.KILL, "list"].version,
    }
    assert seen == {"all": 5, "new": 4, "kill": 4}
    past.back(kept)
    past.chart >> BrokerUp(session_present=True)
    assert flags_of(past.said("flags")[0]).rev > seen["all"]
    past.chart >> SetFlag("new", "x", FLAG)
    assert flags_of(past.said("flags")[0]).rev > seen["new"], "devices would not hear of it"
    past.chart >> Kill("lights")
    killed = kill_of(past.said("kill")[0])
    assert killed.version > seen["kill"]
    assert killed.features == ("lights",)


def test_a_second_restore_of_the_same_backup_is_newer_than_the_first(past):
    past.tell(SetFlag("all", "x", FLAG), Kill("gauge"))
    stored = [(table, key, row) for (table, key), row in sorted(past.rows.items())]
    made = [
        {(t, k): row for t, k, row in Recovery(MADE_MS, at).rows(stored)}
        for at in (NOW_MS, NOW_MS + 1_000)
    ]
    again = Recovery(MADE_MS, NOW_MS).rows([(t, k, row) for (t, k), row in made[1].items()])
    made.append({(t, k): row for t, k, row in again})
    for older, newer in pairwise(made):
        assert newer[rows.SEGMENT, "all"].rev > older[rows.SEGMENT, "all"].rev
        assert newer[rows.KILL, "list"].version > older[rows.KILL, "list"].version
        assert newer[rows.DESIRED, "kiosk-1"].generation > older[rows.DESIRED, "kiosk-1"].generation


def test_what_was_killed_since_is_killed_when_it_is_named(past):
    past.tell(Kill("gauge"))
    past.back(dict(past.rows), kills=("lights", "gauge"))
    past.chart >> BrokerUp(session_present=True)
    assert kill_of(past.said("kill")[0]).features == ("gauge", "lights")


def test_a_device_that_was_updated_since_keeps_what_it_runs_and_takes_the_next_rollout(past):
    kept = dict(past.rows)
    past.tell(CreateRollout(plan("r2", "gauge@1.2.0", waves=(1.0,), soak_ns=0)))
    generation = past.rows[rows.DESIRED, "kiosk-1"].generation
    past.back(kept)
    chart = past.chart
    chart >> BrokerUp(session_present=True)
    told = {"generation": generation, "state": UpdateState.COMMITTED}
    chart.have("kiosk-1", running=digest_of("gauge@1.2.0"), **told)
    assert past.said("want") == [], "the backup's knowledge took a device back"
    past.tell(CreateRollout(plan("r3", "gauge@1.1.0", waves=(1.0,), soak_ns=0)))
    assert chart.twin("kiosk-1").generation > generation
    assert len(past.said("want")) == 1


def test_a_want_that_was_open_goes_on_under_a_number_that_no_device_has_seen(past):
    past.tell(CreateRollout(plan("r1", "gauge@1.1.0", waves=(1.0,), soak_ns=0)))
    before = past.rows[rows.DESIRED, "kiosk-1"]
    assert before.outcome is Outcome.OPEN
    past.back(dict(past.rows))
    chart = past.chart
    assert chart.rollout("r1").state == "paused"
    assert chart.rollout("r1").why == PAUSED_WHY
    chart >> BrokerUp(session_present=True)
    chart.have("kiosk-1", generation=before.generation + 3)
    assert chart.twin("kiosk-1").generation > before.generation + 3
    assert len(past.said("want")) == 1
    chart >> SteerRollout("r1", "resume")
    chart.commit("kiosk-1", "gauge@1.1.0", chart.twin("kiosk-1").generation)
    assert chart.twin("kiosk-1").outcome == "committed"


def test_what_was_signed_under_old_numbers_is_dropped():
    old = rows.RoleRow(b"signed")
    kept = recovered(
        (rows.OUTBOX, "fd/v1/kill", rows.OutboxRow("kill", b"x")),
        (rows.OUTBOX, "fd/v1/a/disk/7", rows.OutboxRow("alarm", b"x")),
        *((rows.ROLE, key, old) for key in ("root/1", "targets", "snapshot", "timestamp")),
    )
    assert (rows.OUTBOX, "fd/v1/kill") not in kept
    assert (rows.OUTBOX, "fd/v1/a/disk/7") in kept, "no number is in it that devices have seen"
    roles = {key for table, key in kept if table == rows.ROLE}
    assert roles == {"root/1", "targets", trust.FLOOR}
    assert kept[rows.ROLE, trust.FLOOR].data == b"%d" % NOW_MS


def test_tokens_are_revoked_unless_somebody_wants_them():
    token = (TOKEN, "ana", TokenRow("ana", "admin", b"x", MADE_MS, NOW_MS * 2, "first"))
    revoked = recovered(token)[TOKEN, "ana"]
    assert (revoked.revoked_ms, revoked.revoked_by) == (NOW_MS, BY_RESTORE)
    assert recovered(token, keep_tokens=True)[TOKEN, "ana"] == token[2]
    before = TokenRow("bo", "admin", b"y", MADE_MS, NOW_MS * 2, "first", MADE_MS, "ana")
    assert recovered((TOKEN, "bo", before))[TOKEN, "bo"] == before


def test_requests_that_waited_have_lapsed_and_those_decided_stay():
    waits = ApprovalRow(1, b"{}", "ana", "operator", MADE_MS)
    decided = ApprovalRow(2, b"{}", "ana", "operator", MADE_MS, APPROVED, "bo", MADE_MS + 1)
    assert waits.state == WAITS
    kept = recovered(("access.approval", "1", waits), ("access.approval", "2", decided))
    assert kept["access.approval", "1"].state == LAPSED
    assert kept["access.approval", "2"] == decided


def test_an_experiment_that_ran_is_frozen(past):
    row = experiments.ExperimentRow(plan=None, candidate=b"a", production=b"b")
    over = experiments.ExperimentRow(
        plan=None, candidate=b"a", production=b"b", phase=experiments.Phase.STOPPED
    )
    kept = recovered((experiments.EXPERIMENT, "e1", row), (experiments.EXPERIMENT, "e2", over))
    after = kept[experiments.EXPERIMENT, "e1"]
    assert (after.frozen, after.held, after.why) == (True, True, FROZEN_WHY)
    assert kept[experiments.EXPERIMENT, "e2"] == over


def test_that_it_was_restored_is_written_down_once():
    older = (RESTORED, "last", RestoredRow(1, 2))
    kept = recovered(older, kills=("gauge",))
    assert kept[RESTORED, "last"] == RestoredRow(MADE_MS, NOW_MS, ("gauge",))


def test_a_restored_database_is_not_the_one_that_a_folder_of_blobs_was_used_with():
    assert (TENURE, TENURE_KEY) not in recovered((TENURE, TENURE_KEY, TenureRow("1f")))
