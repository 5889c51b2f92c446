"""The order of things: rows, then publishes, then acknowledgements; and what survives a crash."""

import asyncio

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.messages import Get, Have, Telemetry
from devicesdk.wire.timebase import SECOND
from gateway.adapters.blobs import VERIFY_INLINE_BYTES_MAX, FileBlobs
from gateway.config import RuntimeLimits
from gateway.core import effects as ask
from gateway.core import rows
from gateway.core import stimuli as hear
from gateway.ports import StorageError, Unobserved
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.runtime import Runtime
from tests_kit.agent_rig import DEVICE, Bundle
from tests_kit.fake_wires import MemoryBlobs, MemoryStorage, Wires
from tests_kit.plant import WALL_START_MS, core, until

NAMES = topics.Topics()
HAVE = NAMES.device(DEVICE, topics.HAVE)
TEL = NAMES.device(DEVICE, topics.TEL)
QUICK = RuntimeLimits(group_commit_s=0.05, drain_s_max=1.0, suback_s_max=0.2, round_wait_s_max=0.2)


def telemetry(seq):
    return Telemetry(boot_id=1, seq=seq, bundle=bytes(8), frames=0)


class Stage:
    def __init__(self, *, observer=None, limits=QUICK, speed=500.0):
        self.wires = Wires()
        self.storage, self.blobs = MemoryStorage(self.wires.log), MemoryBlobs()
        self.clock = RealClock(speed, WALL_START_MS)
        self.runtime = Runtime(
            core, self.storage, self.blobs, self.clock, self.wires.ports, NAMES,
            observer=observer, limits=limits, seed=1,
        )  # fmt: skip

    async def up(self):
        await self.runtime.start()
        await until(lambda: self.runtime.connected, "both connections")
        await self.quiet()

    async def quiet(self):
        """All that has arrived is handled."""
        await self.runtime.read(lambda _: None)

    def have(self, seq=1):
        return self.wires.data.deliver(HAVE, codec.encode(Have(boot_id=1, seq=seq)))

    def words(self, *kinds):
        return self.wires.words(*kinds)

    def clear(self):
        self.wires.log.clear()


@pytest.fixture
async def stage():
    made = Stage()
    await made.up()
    yield made
    made.runtime.close()


async def test_a_message_is_acknowledged_after_its_commit(stage):
    stage.clear()
    stage.have()
    await until(lambda: ("ack", 1) in stage.wires.log, "the acknowledgement")
    expected = [("commit", (rows.DEVICE, rows.REPORTED)), ("ack", 1)]
    found = [entry for entry in stage.wires.log if entry[0] in ("commit", "ack")]
    assert [entry[0] for entry in found] == [entry[0] for entry in expected], found


async def test_while_a_commit_runs_nothing_is_said_and_the_next_turn_is_one_commit(stage):
    stage.clear()
    stage.storage.gate.clear()
    stage.have(1)
    await until(stage.storage.waiting.is_set, "the first commit")
    for seq in range(2, 50):
        stage.have(seq)
    killed = stage.runtime.submit(hear.Kill("gauge"))
    await asyncio.sleep(0.05)
    assert stage.words("ack", "publish", "commit") == [], "said before it was durable"
    stage.storage.gate.set()
    await killed
    assert len(stage.words("commit")) == 2, stage.words("commit")
    assert stage.words("ack") == [("ack", number) for number in range(1, 50)]
    said = [entry[0] for entry in stage.words("commit", "publish", "ack")]
    assert said[:4] == ["commit", "ack", "commit", "publish"], said


async def test_kills_go_over_control_and_leave_the_outbox_when_they_are_acknowledged(stage):
    stage.clear()
    await stage.runtime.submit(hear.Kill("gauge"))
    assert ("publish", "control", NAMES.kill) in stage.wires.log
    await until(lambda: not stage.runtime.counters.outbox_rows_now, "an empty outbox")
    assert (rows.OUTBOX, NAMES.kill) not in stage.storage.durable
    assert stage.wires.control.sent[-1]["retain"] is True


async def test_telemetry_is_committed_and_acknowledged_by_the_group(stage):
    await stage.runtime.submit(hear.Enroll(DEVICE, {}))
    stage.clear()
    for seq in range(1, 33):
        stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=seq)))
    await until(lambda: len(stage.words("ack")) == 32, "32 acknowledgements")
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit"] + ["ack"] * 32
    stage.clear()
    stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=33)))
    stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=34)), qos=0)
    await stage.quiet()
    assert stage.words("ack") == [], "acknowledged before it was durable"
    await until(lambda: stage.words("ack") == [("ack", 33)], "the timer")
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit", "ack"]
    assert not stage.runtime.counters.unacked_in_now


async def test_acknowledgements_keep_the_order_of_arrival_and_telemetry_hurries_for_others():
    stage = Stage(limits=RuntimeLimits(group_commit_s=60.0))
    await stage.up()
    stage.clear()
    stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=1)))
    stage.have(1)
    stage.wires.data.deliver("fd/main/d/not an id/have", b"")
    await until(lambda: len(stage.words("ack")) == 3, "three acknowledgements")
    assert stage.words("ack") == [("ack", 1), ("ack", 2), ("ack", 3)]
    assert not stage.runtime.counters.unacked_in_now
    stage.runtime.close()


async def test_what_comes_ahead_of_the_suback_is_acknowledged(stage):
    stage.wires.data.subacks = [None, None]
    stage.clear()
    stage.wires.data.lose()
    await until(lambda: stage.words("subscribe"), "the next connection")
    stage.have(1)
    await until(lambda: stage.words("ack") == [("ack", 1)], "the acknowledgement")


async def test_a_packet_id_of_a_lost_connection_is_not_acknowledged_on_the_next(stage):
    stage.storage.gate.clear()
    stage.have(1)
    await until(stage.storage.waiting.is_set, "the commit")
    stage.have(2)  # still in the inbox when the connection goes
    stage.wires.data.session_present = True
    stage.wires.data.lose()
    await until(lambda: len(stage.wires.data.dials) == 2, "the next connection")
    stage.clear()
    stage.storage.gate.set()
    await until(lambda: stage.runtime.connected, "both connections")
    await stage.quiet()
    assert stage.words("ack") == [], "the new connection's packet 1 is another message"
    assert stage.have(3) == 1
    await until(lambda: stage.words("ack") == [("ack", 1)], "its own acknowledgement")


async def test_what_was_answered_survives_a_crash(stage):
    await stage.runtime.submit(hear.Kill("gauge"))
    stage.runtime.crash()
    assert {("abort", "control"), ("abort", "data")} <= set(stage.wires.log)
    with pytest.raises(NotRunningError):
        stage.runtime.submit(hear.Kill("lamp"))
    await stage.up()
    assert (await stage.runtime.read(lambda core: core.overview())).kill_version == 1


async def test_what_was_not_durable_at_the_crash_was_never_answered(stage):
    stage.storage.gate.clear()
    asked = stage.runtime.submit(hear.Kill("gauge"))
    looked = stage.runtime.read(lambda core: core.overview())
    await until(stage.storage.waiting.is_set, "the commit")
    stage.runtime.crash()
    for future in (asked, looked):
        with pytest.raises(NotRunningError):
            await future
    assert stage.words("publish") == []
    stage.storage.gate.set()
    await stage.up()


class Fuse(Unobserved):
    """Crashes the runtime at the n-th thing that it is shown."""

    def __init__(self, number):
        self.left, self.runtime, self.late = number, None, 0

    def persisted(self, effect, now):
        self._burn()

    published = noted = persisted

    def _burn(self):
        self.late += not self.runtime.running
        self.left -= 1
        if not self.left:
            self.runtime.crash()


async def test_a_crash_at_any_effect_loses_nothing_that_was_decided():
    """Crash at the first, second, third... effect of a story; the story is told until it is done."""
    crashes = 0
    for number in range(1, 60):
        fuse = Fuse(number)
        stage = Stage(observer=fuse)
        fuse.runtime = stage.runtime
        await _tell_story(stage)
        await until(lambda: not stage.runtime.counters.outbox_rows_now, f"outbox (fuse {number})")  # noqa: B023
        overview = await stage.runtime.read(lambda core: core.overview())
        assert overview.flags_revs == {"all": 1}, number
        assert (overview.kill_version, overview.enrolled) == (1, 1), number
        retained = {s["topic"] for s in stage.wires.control.sent}
        crashed = stage.runtime.counters.starts > 1
        crashes += crashed
        stage.runtime.core.validate()
        assert not fuse.late, f"shown {fuse.late} effects after the crash (fuse {number})"
        assert crashed or retained >= {NAMES.kill, NAMES.flags("all")}, retained
        stage.runtime.close()
        if not crashed:
            break
    assert crashes >= 8, "the fuse was hardly ever lit"


async def _tell_story(stage):
    """Ask until everything was answered; whoever crashes is started again."""
    on = '{"defaultVariant":"on","state":"ENABLED","variants":{"on":true}}'
    wishes = [hear.Enroll(DEVICE, {}), hear.Kill("gauge"), hear.SetFlag("all", "x", on)]
    while wishes or not stage.runtime.connected:
        try:
            if not stage.runtime.running:
                await stage.runtime.start()
            if wishes and not _done(stage, wishes[0]):
                await stage.runtime.submit(wishes[0])
            wishes = wishes[1:]
            await asyncio.sleep(0.001)
        except NotRunningError:
            pass


def _done(stage, wish):
    durable = stage.storage.durable
    match wish:
        case hear.Kill():
            return any(table == rows.KILL for table, _ in durable)
        case hear.SetFlag(segment=segment):
            return (rows.SEGMENT, segment) in durable
    return False


async def test_rows_of_a_batch_that_was_never_committed_do_not_ride_on_the_next():
    fuse = Fuse(2)
    stage = Stage(observer=fuse)
    fuse.runtime = stage.runtime
    await stage.runtime.start()
    with pytest.raises(NotRunningError):
        await stage.runtime.submit(hear.Kill("gauge"))
    assert stage.storage.batch, "the crash came too early to mean anything"
    await stage.up()
    await stage.runtime.submit(hear.Enroll(DEVICE, {}))
    assert {table for table, _ in stage.storage.durable} == {rows.DEVICE}
    stage.runtime.close()


async def test_an_exception_in_the_core_ends_the_runtime_and_names_the_stimulus(stage, caplog):
    asked = stage.runtime.submit(hear.PubAcked("no number"))
    with pytest.raises(TypeError):
        await stage.runtime.wait()
    with pytest.raises(NotRunningError):
        await asked
    assert not stage.runtime.running
    assert stage.words("abort") == [("abort", "control"), ("abort", "data")]
    told = [r for r in caplog.records if r.getMessage() == "the core raised"]
    assert "no number" in str(told[0].fields["stimulus"])


async def test_a_disk_that_is_full_ends_the_runtime_before_anything_is_said(stage):
    stage.clear()
    stage.storage.fails = StorageError("expected room, found none")
    asked = stage.runtime.submit(hear.Kill("gauge"))
    with pytest.raises(StorageError):
        await stage.runtime.wait()
    with pytest.raises(NotRunningError):
        await asked
    assert stage.words("publish", "ack") == []


async def test_nonsense_from_devices_is_acknowledged_and_harms_nobody(stage):
    stage.clear()
    data = stage.wires.data
    data.deliver(NAMES.device("no such id!", "have"), b"x")
    for kind in topics.UPLINK_KINDS:
        data.deliver(NAMES.device(DEVICE, kind), b"\xff" * 40)
        data.deliver(NAMES.device(DEVICE, kind), b"", qos=0)
    await until(lambda: len(stage.words("ack")) == 7, "seven acknowledgements")
    assert stage.runtime.running
    assert stage.runtime.counters.messages_in["?"] == 1
    await stage.runtime.submit(hear.Kill("gauge"))


async def test_a_name_that_cannot_be_one_is_refused_and_changes_nothing(stage):
    with pytest.raises(BadTopic):
        await stage.runtime.submit(hear.Enroll("a/b", {}))
    assert stage.runtime.running


async def test_refusals_are_among_the_notes_of_the_answer(stage):
    notes = await stage.runtime.submit(hear.SteerRollout("nobody", "pause"))
    assert [note.kind for note in notes] == ["rollout.steer_refused"]


async def test_too_many_requests_are_refused_at_once():
    stage = Stage(limits=RuntimeLimits(submissions_max=2))
    await stage.up()
    asked = [stage.runtime.submit(hear.Kill(f"f{i}")) for i in range(2)]
    with pytest.raises(BusyError):
        stage.runtime.submit(hear.Kill("one more"))
    await asyncio.gather(*asked)
    await stage.runtime.submit(hear.Kill("now"))
    stage.runtime.close()


async def test_qos_0_past_the_inbox_is_dropped_and_counted():
    stage = Stage(limits=RuntimeLimits(inbox_messages_max=10))
    await stage.up()
    for _ in range(25):
        stage.wires.data.deliver(HAVE, codec.encode(Have(boot_id=1, seq=1)), qos=0)
    assert stage.runtime.counters.inbox_dropped == 15
    await stage.quiet()
    stage.runtime.close()


async def test_stop_makes_telemetry_durable_acknowledges_it_and_says_goodbye():
    stage = Stage(limits=RuntimeLimits(group_commit_s=60.0))
    await stage.up()
    await stage.runtime.submit(hear.Enroll(DEVICE, {}))
    stage.clear()
    stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=1)))
    await stage.runtime.stop()
    found = [entry[0] for entry in stage.words("commit", "ack", "disconnect")]
    assert found[-4:] == ["commit", "ack", "disconnect", "disconnect"], found
    with pytest.raises(NotRunningError):
        stage.runtime.read(lambda core: core.overview())
    stage.runtime.close()


async def test_stop_waits_for_acknowledgements_but_not_for_ever():
    stage = Stage(limits=RuntimeLimits(drain_s_max=0.1))
    await stage.up()
    stage.wires.control.pubacks = [None]
    await stage.runtime.submit(hear.Kill("gauge"))
    await stage.runtime.stop()
    assert (rows.OUTBOX, NAMES.kill) in stage.storage.durable, "it will be said again"
    stage.clear()
    await stage.up()
    await until(lambda: ("publish", "control", NAMES.kill) in stage.wires.log, "the kill again")
    stage.runtime.close()


# -- connections ----------------------------------------------------------------------------------


async def test_the_core_hears_of_the_broker_when_both_connections_are_up_and_subscribed():
    stage = Stage()
    await stage.runtime.start()
    stage.wires.data.subacks = [None, None]
    await stage.runtime.submit(hear.Kill("gauge"))
    assert not stage.runtime.connected
    assert stage.words("publish") == []
    await until(lambda: stage.runtime.connected, "a second attempt, after no SUBACK came")
    await until(lambda: ("publish", "control", NAMES.kill) in stage.wires.log, "the kill")
    assert len(stage.wires.data.dials) == 2
    stage.runtime.close()


async def test_one_connection_alone_is_not_the_broker():
    stage = Stage(speed=1.0)
    stage.wires.refuse["control"] = 1
    await stage.runtime.start()
    await stage.runtime.submit(hear.Kill("gauge"))
    await until(lambda: stage.runtime._life.data.up, "the data connection")
    await stage.quiet()
    assert not stage.runtime.connected
    assert stage.words("publish") == []
    stage.runtime.close()


async def test_the_kill_list_is_said_again_after_every_loss(stage):
    """A broker that came back may hold an older one, and our session all the same."""
    await stage.runtime.submit(hear.Kill("gauge"))
    for wire in (stage.wires.control, stage.wires.data):
        await until(lambda: not stage.runtime.counters.outbox_rows_now, "an empty outbox")
        stage.clear()
        stage.wires.data.session_present = True
        wire.lose()
        await until(lambda: ("publish", "control", NAMES.kill) in stage.wires.log, "the kill again")


async def test_a_refused_subscription_is_tried_again_and_nothing_counts_as_up_before():
    stage = Stage()
    await stage.runtime.start()
    stage.wires.data.subacks = [(1, 1, 0x87, 1), (0,), (1, 1), (0,), (1, 1, 1, 1), (0x87,)]
    await until(lambda: stage.runtime.connected, "the fourth attempt")
    assert len(stage.words("subscribe")) == 4 * 2
    stage.runtime.close()


async def test_a_session_that_was_kept_is_not_subscribed_again_by_the_same_process(stage):
    stage.wires.data.session_present = True
    stage.wires.data.lose()
    await until(lambda: stage.runtime.connected, "both connections")
    assert len(stage.words("subscribe")) == 2
    stage.wires.data.session_present = False
    stage.wires.data.lose()
    await until(lambda: stage.runtime.connected, "both connections")
    assert len(stage.words("subscribe")) == 2 * 2


async def test_chunk_requests_pass_with_qos_0_so_that_no_broker_keeps_them(stage):
    """One kept for a gateway that is away is answered when its device has long asked again."""
    asked = [(filters, qos) for _, _, filters, qos in stage.words("subscribe")]
    assert ((NAMES.every_device(topics.GET), NAMES.every_device(topics.ASK)), 0) in asked
    assert all(qos == 1 for filters, qos in asked if NAMES.every_device(topics.GET) not in filters)


async def test_connects_that_fail_are_tried_again(stage):
    stage.wires.control.refuse_connects = 3
    stage.wires.control.lose()
    assert not stage.runtime.connected
    await until(lambda: stage.runtime.connected, "the fourth attempt")
    assert stage.runtime.counters.connect_failures == 3


async def test_a_refused_kill_is_said_again_on_another_connection(stage):
    stage.wires.control.pubacks = [0x87]
    await stage.runtime.submit(hear.Kill("gauge"))
    await until(lambda: len(stage.wires.control.dials) == 2, "another connection")
    await until(lambda: not stage.runtime.counters.outbox_rows_now, "an empty outbox")
    assert stage.runtime.counters.publishes_refused == 1


async def test_a_connection_that_takes_no_more_is_given_up_and_the_outbox_said_again(stage):
    stage.wires.control.full = True
    await stage.runtime.submit(hear.Kill("gauge"))
    stage.wires.control.full = False
    await until(lambda: not stage.runtime.counters.outbox_rows_now, "an empty outbox")
    assert len(stage.wires.control.dials) == 2


async def test_dials_are_as_the_broker_must_see_them(stage):
    control, data = stage.wires.control.dials[0], stage.wires.data.dials[0]
    assert (control.client_id, control.clean_start) == ("fleetdrill-gateway-control", True)
    assert (data.client_id, data.clean_start) == ("fleetdrill-gateway-data", False)
    assert data.manual_ack
    assert data.session_expiry_s == 24 * 3600


# -- rounds ---------------------------------------------------------------------------------------


async def _granted(stage, bundle=None):
    """A device that may fetch a bundle."""
    bundle = bundle or Bundle(2, 300_000)
    for blob, _ in bundle.blobs.values():
        stage.blobs.put(blob)
    submit = stage.runtime.submit
    await submit(hear.RegisterBundle(bundle.manifest, bundle.digest, len(bundle.envelope)))
    await submit(hear.Enroll(DEVICE, {}))
    plan = hear.RolloutPlan(id="r1", bundle=bundle.manifest.name, waves=(1.0,))
    await submit(hear.CreateRollout(plan))
    return bundle


def _get(stage, bundle, seq, count=2):
    get = Get(transfer=1, seq=seq, blob=bundle.variant.image.raw, base=0, count=count)
    stage.wires.data.deliver(NAMES.device(DEVICE, topics.GET), codec.encode(get))


def _frames(stage):
    dat = NAMES.device(DEVICE, topics.DAT)
    return [codec.decode_frame(s["payload"]) for s in stage.wires.data.sent if s["topic"] == dat]


async def test_a_round_is_read_and_sent_with_its_count_on_the_last_frame(stage):
    bundle = await _granted(stage)
    _get(stage, bundle, 1, count=3)
    await stage.quiet()
    frames = _frames(stage)
    assert [frame.round_count for frame, _ in frames] == [0, 0, 3]
    assert b"".join(bytes(chunk) for _, chunk in frames) == bundle.image[: 3 * 16_384]
    assert stage.runtime.counters.rounds == 1
    assert stage.runtime.counters.messages_out["dat"] == 3


async def test_rounds_wait_for_room_and_are_dropped_when_they_waited_too_long(stage):
    bundle = await _granted(stage)
    stage.wires.data.unsent_bytes = 100 * 1024 * 1024
    _get(stage, bundle, 1)
    await stage.quiet()
    assert _frames(stage) == []
    assert stage.runtime.counters.rounds_waiting_now == 1
    stage.wires.data.unsent_bytes = 0
    await until(lambda: len(_frames(stage)) == 2, "the round, when there is room")
    stage.wires.data.unsent_bytes = 100 * 1024 * 1024
    _get(stage, bundle, 2)
    await until(lambda: stage.runtime.counters.rounds_dropped == 1, "the round to be dropped")
    assert len(_frames(stage)) == 2
    assert not stage.runtime.counters.rounds_waiting_now


async def test_the_newest_round_is_dropped_when_too_many_wait():
    stage = Stage(limits=RuntimeLimits(rounds_waiting_max=2))
    await stage.up()
    bundle = await _granted(stage)
    stage.wires.data.unsent_bytes = 100 * 1024 * 1024
    for seq in (1, 2, 3):
        _get(stage, bundle, seq)
    await stage.quiet()
    assert stage.runtime.counters.rounds_dropped == 1
    stage.wires.data.unsent_bytes = 0
    await until(lambda: len(_frames(stage)) == 4, "the two that waited")
    assert [frame.seq for frame, _ in _frames(stage)] == [1, 1, 2, 2]
    stage.runtime.close()


async def test_a_large_blob_is_hashed_elsewhere_before_it_is_served(tmp_path):
    stage = Stage(limits=RuntimeLimits())
    stage.runtime._blobs = stage.blobs = FileBlobs(tmp_path / "blobs")
    await stage.up()
    bundle = Bundle(2, image=bytes(VERIFY_INLINE_BYTES_MAX + 1))
    await _granted(stage, bundle)
    stage.blobs.close()  # as after a restart: nothing is verified
    _get(stage, bundle, 1)
    await stage.quiet()
    assert stage.runtime.counters.rounds_dropped == 1
    await until(lambda: stage.blobs.ready(bundle.variant.image.raw), "the hash")
    _get(stage, bundle, 2)
    await until(lambda: len(_frames(stage)) == 2, "the round")
    stage.runtime.close()
    stage.blobs.close()


async def test_a_damaged_blob_is_not_served_and_hashed_only_once(tmp_path):
    stage = Stage(limits=RuntimeLimits())
    stage.runtime._blobs = stage.blobs = FileBlobs(tmp_path / "blobs")
    await stage.up()
    bundle = Bundle(2, image=bytes(VERIFY_INLINE_BYTES_MAX + 1))
    await _granted(stage, bundle)
    stage.blobs.close()
    name = bundle.variant.image.digest
    (tmp_path / "blobs" / name[:2] / name).write_bytes(b"\1" * (VERIFY_INLINE_BYTES_MAX + 1))
    for seq in (1, 2, 3):
        _get(stage, bundle, seq)
        await until(lambda n=seq: stage.runtime.counters.rounds_dropped == n, "the drop")
        await until(lambda: not stage.runtime._life.rounds._hashing, "the hash")
    assert _frames(stage) == []
    stage.blobs.put(bundle.image)
    _get(stage, bundle, 4)
    await until(lambda: len(_frames(stage)) == 2, "the round, after it was published again")
    stage.runtime.close()
    stage.blobs.close()


async def test_expiries_follow_the_clocks_speed():
    stage = Stage(speed=10.0)
    await stage.up()
    get = Get(transfer=1, seq=1, blob=bytes(32), base=0, count=1)
    stage.wires.data.deliver(NAMES.device(DEVICE, topics.GET), codec.encode(get))
    await stage.quiet()
    (answer,) = stage.wires.data.sent
    assert answer["topic"] == NAMES.device(DEVICE, topics.CTL)
    assert answer["expiry_s"] == 6, "a minute at ten times the speed"
    stage.runtime.close()


async def test_deadlines_of_the_core_come_without_a_stimulus():
    seen = []

    class Ears(Unobserved):
        def noted(self, effect, now):
            seen.append(effect.kind)

    other = Stage(observer=Ears())
    await other.up()
    bundle = await _granted(other)
    _get(other, bundle, 1)
    await until(lambda: "transfers.lapsed" in seen, f"the lease to run out by itself: {seen}")
    other.runtime.close()


def test_the_observer_that_looks_at_nothing_does_nothing():
    quiet = Unobserved()
    note = ask.Note("gateway.query")
    assert quiet.noted(note, 0) is quiet.published(None, 0) is quiet.persisted(None, SECOND) is None
