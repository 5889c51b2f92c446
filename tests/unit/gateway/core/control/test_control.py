"""What the control machine does about brokers, restarts and messages that make no sense."""

from __future__ import annotations

from devicesdk.wire.messages import Link
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from gateway.core import internal, notes
from gateway.core.control.control import Control
from gateway.core.effects import Note, Persist, Publish
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import (
    Arrived,
    BrokerDown,
    BrokerUp,
    CreateRollout,
    DeadlineReached,
    Enroll,
    Kill,
    PubAcked,
    SetFlag,
    Started,
    SteerRollout,
)
from tests_kit.gateway_charts import Chart, PlainSigner, arrived, bundle, digest_of, factory, plan

FLAG = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'
LIMITS = ControlLimits(page_devices=3, report_page_devices=2, outbox_in_flight_max=50)


def machine():
    return Control(LIMITS, PlainSigner(), PlainSigner())


class Kept(Chart):
    """A chart that keeps what was made durable."""

    def __init__(self):
        super().__init__(machine())
        self.rows = {}

    def __rshift__(self, stimulus):
        super().__rshift__(stimulus)
        for effect in self.left:
            if isinstance(effect, Persist):
                self.rows[effect.table, effect.key] = effect.row
        return self

    def restarted(self):
        """A new process with the durable rows; what it says to the other machines is left."""
        other = Kept()
        other.rows, other.now, other._seqs = dict(self.rows), self.now + HOUR, dict(self._seqs)
        stored = [(table, key, row) for (table, key), row in self.rows.items() if row is not None]
        other.left = other.machine.restore(stored, other.now)
        other.machine.validate()
        return other


def field(count=5):
    chart = Kept()
    chart >> Started(1_700_000_000_000) >> BrokerUp(session_present=False)
    chart >> bundle("gauge@1.0.0") >> bundle() >> factory()
    for number in range(count):
        chart >> Enroll(f"d{number}", {"region": "eu"})
    return chart


def acked(chart):
    for publish in chart.all(Publish):
        chart >> PubAcked(publish.token)
    return chart


def topics(chart):
    return [publish.topic.removeprefix("fd/main/") for publish in chart.all(Publish)]


def test_a_restart_publishes_what_was_decided_kill_list_first():
    chart = field(2) >> BrokerDown("gone")
    chart >> CreateRollout(plan(waves=(1.0,))) >> SetFlag("eu", "dial", FLAG) >> Kill("polish")
    assert topics(chart) == [], "published without a broker"
    again = chart.restarted()
    again >> Started(1_700_003_600_000) >> BrokerUp(session_present=True)
    assert topics(again) == ["k", "f/eu", "d/d0/want", "d/d1/want"]


def test_a_restart_tells_the_other_machines_everything_that_holds():
    chart = field(4) >> CreateRollout(plan(waves=(1.0,)))
    chart >> DeadlineReached()
    chart.commit("d0")
    chart.ev("d1", S.REJECTED, generation=1)
    chart >> SteerRollout("r1", "pause")
    said = [type(item).__name__ for item in chart.restarted().left]
    assert said == (
        (["BlobKnown"] * 3 + ["BundleKnown", "ModelKnown"]) * 2
        + ["DeviceLabelled"] * 4 + ["Watching"] + ["Granted"] * 2 + ["Paused"]
    )  # fmt: skip
    assert said.count("Granted") == 2, "who ended has a grant, or who did not has none"


def test_a_restart_goes_on_with_waves_soaks_and_timeouts():
    chart = field(4) >> CreateRollout(plan(waves=(0.5, 1.0), soak_ns=2 * HOUR))
    for device in sorted(chart.wants()):
        chart.commit(device)
    again = chart.restarted()
    # An hour passed; the process begins with another origin of time.
    again.now = 5
    again >> Started(1_700_003_600_000) >> BrokerUp(session_present=True)
    again.wait(HOUR - SECOND)
    assert len(again.rollout().waves) == 1
    assert len(again.wait(2 * SECOND).rollout().waves) == 2


def test_a_restart_finds_the_middle_of_a_page():
    chart = field(5) >> CreateRollout(plan(waves=(1.0,)))
    assert chart.rollout().waves[0].offered == 3
    again = chart.restarted()
    again >> Started(1_700_003_600_000) >> BrokerUp(session_present=True)
    again.wait(0)
    assert again.rollout().waves[0].offered == 5
    stopped = again >> SteerRollout("r1", "abort-revert")
    assert stopped.rollout().waves[0].stopped == 3
    last = again.restarted()
    assert any(isinstance(item, internal.Paused) for item in last.left)
    last >> Started(1_700_007_200_000) >> BrokerUp(session_present=True)
    last.wait(0)
    assert last.rollout().waves[0].stopped == 5


def test_after_a_restart_everybody_is_asked_in_pages():
    """mosquitto 2887: the broker drops silently past its queue."""
    chart = field(5).restarted()
    chart >> Started(1) >> BrokerUp(session_present=True)
    asked = []
    for _ in range(3):
        chart.wait(SECOND)
        asked.append([topic[2:4] for topic in topics(chart) if topic.endswith("ctl")])
    assert asked == [["d0", "d1", "d2", "d3"], ["d4"], []], (
        "two pages at 0 s and 1 s, then the rest"
    )


def test_a_first_start_asks_nobody():
    chart = Kept() >> Started(1) >> Enroll("d0", {}) >> BrokerUp(session_present=False)
    assert chart.machine.deadline() is None


def test_a_lost_session_says_everything_again_and_asks_everybody():
    chart = field(5) >> SetFlag("eu", "dial", FLAG) >> Kill("polish")
    chart >> CreateRollout(plan(waves=(1.0,)))
    chart.wait(0)
    chart.commit("d0")
    for token in range(1, 200, 4):
        chart >> PubAcked(token)
    assert chart.machine.overview().outbox_rows == 0
    chart >> BrokerDown("reset") >> BrokerUp(session_present=False)
    assert topics(chart) == ["k", "f/eu"]
    chart.wait(0)
    wants = [topic for topic in topics(chart) if topic.endswith("want")]
    assert wants == ["d/d1/want", "d/d2/want", "d/d3/want", "d/d4/want"]
    chart.wait(10 * SECOND)
    assert chart.machine.overview().queries_waiting == 0


def test_a_short_gap_asks_only_those_with_an_open_want():
    chart = field(3) >> CreateRollout(plan(waves=(1.0,)))
    chart.commit("d0")
    acked(chart) >> BrokerDown("reset") >> BrokerUp(session_present=True)
    assert chart.machine.overview().queries_waiting == 2
    chart >> BrokerDown("reset")
    assert chart.machine.overview().queries_waiting == 0
    assert "wave timeout" in chart.machine.deadline()[1], "nobody can be asked without a broker"


def test_a_broker_with_an_older_state_hears_the_kill_list_and_the_flags_again():
    """Our session is there, what the broker took later is not: it acknowledges before it saves."""
    chart = acked(field(1) >> Kill("gauge"))
    assert topics(chart) == []
    chart >> BrokerDown("killed") >> BrokerUp(session_present=True)
    assert "k" in topics(chart)


def test_a_broker_that_forgot_a_report_is_made_good_by_asking_who_has_not_obeyed():
    """A device does not say again what was acknowledged; killed, the broker had not saved it. The gateway would not
    have known for good who had obeyed."""
    chart = field(3)
    for device in ("d0", "d1"):
        chart >> arrived(device, Link(boot_id=1, session=1, online=True))
    acked(chart >> SetFlag("eu", "dial", FLAG) >> Kill("gauge"))
    chart.have("d0", kill_version=1, flags_rev=1)
    acked(chart >> BrokerDown("killed") >> BrokerUp(session_present=True))
    chart.wait(0)
    assert [topic for topic in topics(chart) if topic.endswith("ctl")] == ["d/d1/ctl"]
    chart.have("d1", kill_version=1)
    acked(chart >> BrokerDown("killed") >> BrokerUp(session_present=True))
    assert chart.machine.overview().queries_waiting == 0, "a device may have no flags"
    acked(chart >> SetFlag("eu", "dial2", FLAG) >> BrokerDown("killed"))
    chart >> BrokerUp(session_present=True)
    assert chart.machine.overview().queries_waiting == 1, "d0 has flags that no segment has now"


def test_a_want_that_its_device_has_not_seen_is_said_again_when_the_broker_had_taken_it():
    chart = field(2) >> CreateRollout(plan(waves=(1.0,)))
    chart.have("d0", running=digest_of("gauge@1.0.0"))
    assert topics(chart) == [], "the first publish is under way"
    acked(chart >> BrokerDown("killed") >> BrokerUp(session_present=True))
    chart.have("d0", running=digest_of("gauge@1.0.0"))
    assert topics(chart) == ["d/d0/want"]
    acked(chart).commit("d0")
    chart.have("d0", running=digest_of("gauge@1.1.0"))
    assert topics(chart) == [], "that want has ended"


def test_a_silent_device_with_an_open_want_is_asked():
    chart = field(2) >> CreateRollout(plan(waves=(1.0,)))
    for device in ("d0", "d1"):
        chart >> arrived(device, Link(boot_id=1, session=1, online=True))
    chart.wait(25 * MINUTE)
    chart.have("d1", running=digest_of("gauge@1.0.0"), state=S.DOWNLOADING)
    chart.wait(20 * MINUTE)
    assert "d/d0/ctl" in topics(chart)
    assert "d/d1/ctl" not in topics(chart)


def test_a_message_that_makes_no_sense_is_counted_and_dropped():
    chart = field(1)
    for number, kind in enumerate(("have", "ev", "link"), 1):
        chart >> Arrived(kind, "d0", b"\xff\x00")
        assert chart.left == [Note(notes.BAD_MESSAGE, "d0", number)]
    chart >> Arrived("tel", "d0", b"") >> internal.BlobKnown(b"", 1, 1)
    assert chart.left == []


def test_rows_of_others_are_let_pass():
    assert machine().restore([("transfers.x", "key", object())], 0) == []


def test_devices_beyond_the_limit_are_noted():
    chart = Chart(Control(ControlLimits(twins_max=1), PlainSigner(), PlainSigner()))
    chart >> Enroll("d0", {})
    chart.have("d1") << (Note, {"kind": notes.FULL})
    chart >> Enroll("d2", {})
    chart << (Note, {"kind": notes.FULL})


def test_strangers_are_not_told_to_collect_and_ended_wants_are_not_published_again():
    chart = field(4) >> CreateRollout(plan(waves=(1.0,)))
    chart.wait(0)
    chart.have("stranger")
    chart >> bundle() >> BrokerDown("reset") >> BrokerUp(session_present=False)
    chart.commit("d3")
    before = chart.machine.overview().updating
    chart.wait(0)
    published = [note for note in chart.all(Note) if note.kind == notes.REPUBLISH]
    assert (before, sum(note.a for note in published)) == (3, 3)
    labelled = [
        item for item in chart.restarted().left if isinstance(item, internal.DeviceLabelled)
    ]
    assert len(labelled) == 4


def test_without_a_broker_rollouts_go_on_and_wants_pile_up_in_the_outbox():
    chart = field(5) >> BrokerDown("reset") >> CreateRollout(plan(waves=(1.0,)))
    chart.wait(0)
    assert topics(chart) == []
    assert (chart.rollout().waves[0].offered, chart.machine.overview().outbox_rows) == (5, 5)
