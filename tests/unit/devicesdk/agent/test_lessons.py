"""What hurt somebody once, each as a conversation; numbers are those of the protocol's lessons.

The public reports are named where there is one.
"""

from __future__ import annotations

from hashlib import sha256

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.download import EMPTY_ROUNDS_MAX
from devicesdk.agent.effects import (
    Activate,
    Connect,
    Delete,
    Disconnect,
    Publish,
    RunKit,
    RunModel,
    Save,
    Subscribe,
    Write,
)
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.snapshot import decode_state
from devicesdk.agent.stimuli import (
    Arrived,
    Connected,
    Disconnected,
    FileHashed,
    FileRead,
    KitRan,
    Subscribed,
)
from devicesdk.wire import codec
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Control, ControlVerb, UpdateState
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from tests_kit.agent_bundles import Bundle, Gateway, want_of
from tests_kit.agent_charts import (
    Agents,
    acknowledge,
    connect,
    fetch,
    frames_ran,
    sent,
    stage,
    want_arrives,
)
from tests_kit.agent_rig import Rig
from tests_kit.charts import DUE, SILENCE, After, Asks, Never

OLD, NEW = Bundle(1), Bundle(2)
IMAGE = sha256(NEW.image).digest()


def _downloading(agents=None):
    """A device that asks for the image of NEW."""
    chart = want_arrives((agents or Agents(OLD)).online(), NEW)
    chart >> FileRead("meta-manifest", NEW.envelope) >> FileRead("meta-hashes", NEW.hashes)
    chart << Asks(Publish, kind="get")
    return acknowledge(chart)


def _verb(chart, verb, **fields):
    get = sent(chart, "get")[-1]
    control = Control(verb=verb, transfer=get.transfer, seq=get.seq, **fields)
    return chart >> Arrived("ctl", codec.encode(control))


def _frame_trial(chart, **fields):
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    burst = chart.found(Asks(RunModel))
    chart >> After(burst.frames * burst.period_ns)
    return chart >> frames_ran(burst.burst, burst.frames, **fields)


def test_1_success_is_not_said_before_the_new_bundle_has_run():
    """hawkBit 3185: success before boot."""
    chart = stage(want_arrives(Agents(OLD).online(), NEW), NEW)
    for have in sent(chart, "have"):
        assert have.state is not UpdateState.COMMITTED
        assert have.running == OLD.digest or have.trial
    _frame_trial(chart)
    last = sent(chart, "have")[-1]
    assert (last.state, last.running, last.trial) == (UpdateState.COMMITTED, NEW.digest, False)


def test_1_a_device_that_fell_back_does_not_say_that_it_runs_the_new_bundle():
    """hawkBit 446: a device that fell back was taken for one in sync."""
    chart = _frame_trial(stage(want_arrives(Agents(OLD).online(), NEW), NEW), error=1)
    last = sent(chart, "have")[-1]
    assert (last.state, last.running, last.trial) == (UpdateState.ROLLED_BACK, OLD.digest, False)
    assert last.generation == 1


def test_2_a_bad_digest_is_never_flashed_again_also_after_a_boot():
    """mender PR 97, ADU 435: the poison loop."""
    agents = Agents(OLD)
    chart = _frame_trial(stage(want_arrives(agents.online(), NEW), NEW), error=1)
    chart = agents.online(chart.machine.snapshot())
    for generation in range(2, 6):
        want_arrives(chart, NEW, generation, attempt=generation)
        acknowledge(chart)
        last = sent(chart, "have")[-1]
        assert (last.state, last.reason) == (UpdateState.REJECTED, "quarantined")
    touched = [e for e in chart.all if isinstance(e, Write | Delete | RunKit)]
    assert touched == []
    assert sent(chart, "get") == []


def test_3_a_vanished_file_is_asked_for_once():
    """rauc-hawkbit-updater 158: retried for ever."""
    chart = _verb(_downloading(), ControlVerb.NACK, code=Nack.RESOURCE_NOT_FOUND)
    asked = len(sent(chart, "get"))
    acknowledge(chart)
    last = sent(chart, "have")[-1]
    assert (last.state, last.reason) == (UpdateState.FAILED, "nack:ResourceNotFound")
    chart >> After(HOUR) >> DUE
    assert len(sent(chart, "get")) == asked
    assert chart.machine.deadline() is None or chart.machine.deadline()[1] != "download"


def test_3_a_new_want_reaches_the_downloader():
    chart = want_arrives(_downloading(), OLD, 2)
    assert sent(chart, "have")[-1].state is UpdateState.COMMITTED
    chart << Never(Publish, kind="get")
    frames = Gateway(NEW).answer(codec.encode(sent(chart, "get")[-1]))
    chart >> Arrived("dat", frames[0])
    chart << SILENCE


def test_4_a_duplicate_multiplies_nothing():
    """amazon-freertos 3109: each duplicate caused a request; ThingsBoard: it corrupted the image."""
    chart = _downloading()
    frames = Gateway(NEW).answer(codec.encode(sent(chart, "get")[0]))
    chart >> Arrived("dat", frames[0])
    chart << Asks(Write, offset=0)
    for _ in range(10):
        chart >> Arrived("dat", frames[0])
        chart << SILENCE
    chart >> Arrived("dat", frames[1])
    chart << Asks(Write) << Asks(Publish, kind="get") << SILENCE
    chart >> Arrived("dat", frames[1])
    chart << SILENCE


def test_5_no_lost_message_hangs_anything():
    """amazon-freertos 875, 897: one lost message hung the transfer. Here every one is lost."""
    agents = Agents(OLD)
    chart = agents.boot()
    chart >> DUE
    chart << Asks(Connect)
    chart >> DUE  # no CONNACK
    chart << Asks(Disconnect)
    connect_again = chart >> DUE
    connect_again << Asks(Connect)
    chart >> Connected(session_present=False)
    chart << Asks(Subscribe)
    chart >> DUE  # no SUBACK
    chart << Asks(Disconnect)
    connect(chart)
    chart << Asks(Publish, kind="link") << Asks(Publish, kind="have")
    chart >> After(MINUTE) >> DUE  # no PUBACK
    chart << Asks(Publish, kind="link") << Asks(Publish, kind="have")
    acknowledge(chart)
    want_arrives(chart, NEW)
    chart >> FileRead("meta-manifest", None)
    asked = len(sent(chart, "get"))
    acknowledge(chart)
    while chart.machine.deadline()[1] != "download":
        chart >> DUE
        acknowledge(chart)
    chart >> DUE  # no chunk
    assert len(sent(chart, "get")) > asked


def test_6_a_retained_verb_is_ignored_at_each_connect():
    """Tasmota 449: a retained command was replayed at each connect."""
    chart = _downloading()
    get = sent(chart, "get")[-1]
    nack = Control(verb=ControlVerb.NACK, transfer=get.transfer, seq=get.seq, code=Nack.GONE)
    for verb in (nack, Control(verb=ControlVerb.REPORT)):
        chart >> Arrived("ctl", codec.encode(verb), retained=True)
        chart << SILENCE
        assert [effect.kind for effect in chart.left] == [NoteKind.RETAINED_VERB]


def test_6_the_same_want_at_each_connect_changes_nothing():
    chart = Agents(OLD).online()
    want_arrives(chart, OLD, 3)
    acknowledge(chart)
    for _ in range(3):
        chart >> Disconnected("reset")
        connect(chart)
        acknowledge(chart)
        want_arrives(chart, OLD, 3)
        chart << SILENCE


def test_8_a_redelivery_does_not_touch_the_fresh_slot():
    """RainMaker 1.16.1: a QoS 1 redelivery overwrote the fresh slot."""
    chart = _downloading()
    first = sent(chart, "get")
    fetch(chart, NEW)
    frames = [frame for get in first for frame in Gateway(NEW).answer(codec.encode(get))]
    chart >> FileHashed("slot-b", IMAGE) >> KitRan("b", True, "", 1, 1)
    _frame_trial(chart)
    acknowledge(chart)
    want_arrives(chart, NEW, 1)
    chart << SILENCE
    for frame in frames:
        chart >> Arrived("dat", frame)
        chart << SILENCE
    chart >> FileHashed("slot-b", bytes(32)) >> KitRan("b", False, "nan", 1, 1)
    chart << SILENCE


def test_9_a_refused_subscription_is_no_success():
    """RainMaker 1.17.0: a failed SUBACK was taken as success."""
    chart = Agents(OLD).boot()
    while not [effect for effect in chart.left if isinstance(effect, Connect)]:
        chart >> DUE
    chart >> Connected(session_present=False) >> Subscribed((1, 1, 0x87, 1, 1))
    chart << Never(Publish) << Asks(Disconnect)
    chart >> DUE
    chart << Asks(Connect)
    chart >> Connected(session_present=True)
    chart << Asks(Subscribe)
    chart << Never(Publish)


def test_10_waiting_is_no_attempt():
    """screentinker 153: load shedding counted as failure parked two thirds of a fleet."""
    chart = _downloading()
    answered = 0
    for _ in range(3 * EMPTY_ROUNDS_MAX):
        for get in sent(chart, "get")[answered:]:
            wait = Control(
                verb=ControlVerb.WAIT,
                transfer=get.transfer,
                seq=get.seq,
                retry_after_ms=60_000,
                why=Wait.BUSY,
            )
            chart >> Arrived("ctl", codec.encode(wait))
            answered += 1
        before = chart.now
        acknowledge(chart)
        chart >> DUE
        if chart.left and isinstance(chart.left[0], RunModel):
            chart >> DUE
        assert chart.now - before >= MINUTE
        assert len(sent(chart, "get")) > answered, "waiting ended the transfer"
    assert sent(chart, "have")[-1].state is UpdateState.DOWNLOADING


def test_12_reports_are_numbered_and_an_old_one_never_overtakes_a_new_one():
    """ADU 625: the state ran backwards."""
    agents = Agents(OLD)
    chart = connect(agents.boot())
    want_arrives(chart, OLD, 1)
    want_arrives(chart, OLD, 2)
    chart >> After(MINUTE) >> DUE
    chart << Asks(Publish, kind="link") << Asks(Publish, kind="have") << SILENCE
    haves = sent(chart, "have")
    assert haves[-1] == haves[-2], "an older report was sent again"
    numbers = [(have.boot_id, have.seq) for have in haves]
    again = connect(agents.boot(chart.machine.snapshot()))
    numbers += [(have.boot_id, have.seq) for have in sent(again, "have")]
    assert numbers == sorted(numbers)
    assert numbers[-1][0] == 2


def test_13_the_trial_marker_is_durable_before_the_swap():
    """greengrass-nucleus PR 1838: an unverified version was durable after a power cut."""
    chart = stage(want_arrives(Agents(OLD).online(), NEW), NEW)
    kinds = [(type(e), getattr(e, "file", "")) for e in chart.left]
    marker, swap = kinds.index((Save, "state")), kinds.index((Activate, ""))
    assert marker < swap
    state = decode_state(chart.left[marker].data)
    assert (state.trial.slot, state.committed, state.a.verified) == ("b", "a", True)


def test_15_a_device_that_is_kicked_right_after_each_connect_backs_off():
    """rainmaker-neo 1: no back-off when kicked right after connect."""
    chart = Agents(OLD).boot()
    waits = []
    for _ in range(14):
        connect(chart)
        chart >> After(2 * SECOND) >> Disconnected("kicked")
        lost = chart.now
        while not [effect for effect in chart.left if isinstance(effect, Connect)]:
            chart >> DUE
        waits.append(chart.now - lost)
    assert sum(waits[-5:]) > 5 * sum(waits[:5]), f"{[w // SECOND for w in waits]} s"


def test_15_a_herd_does_not_return_in_step():
    """fleetdm 3271: the herd of a reconnect echoed even with jitter."""
    moments = []
    for seed in range(200):
        chart = Agents(OLD).online(seed=seed)
        chart >> After(HOUR - chart.now)
        for _ in range(4):
            chart >> Disconnected("broker restart")
            while not [effect for effect in chart.left if isinstance(effect, Connect)]:
                chart >> DUE
            chart >> Connected(session_present=True)
        moments.append(chart.now - HOUR)
    assert len(set(moments)) == 200
    fullest = max(sum(m <= other < m + SECOND for other in moments) for m in moments)
    assert fullest < 60, f"{fullest} of 200 devices connect within one second at the fourth try"


def test_the_whole_conversation_with_a_gateway():
    """Not a lesson: an update from want to commit, with a host and a gateway."""
    rig = Rig(NEW, factory=OLD, config=AgentConfig(window_ns=MINUTE))
    rig.publish("want", want_of(NEW))
    rig.boot()
    rig.run(lambda: rig.committed(NEW))
    told = [event.state for event in rig.events.values()]
    assert told == [
        UpdateState.DOWNLOADING,
        UpdateState.VERIFIED,
        UpdateState.TRIAL,
        UpdateState.COMMITTED,
    ]
    assert rig.runs == [("a", OLD.digest), ("b", NEW.digest)]
