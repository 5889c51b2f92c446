"""What the runtime does about its two connections, and how rounds of chunks leave it."""

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Get
from devicesdk.wire.timebase import SECOND
from gateway.adapters.blobs import VERIFY_INLINE_BYTES_MAX, FileBlobs
from gateway.config import RuntimeLimits
from gateway.core import effects as ask
from gateway.core import stimuli as hear
from gateway.ports import Unobserved
from tests_kit.agent_bundles import DEVICE, Bundle
from tests_kit.plant import until
from tests_kit.runtime_stage import NAMES, Stage

PATIENT = RuntimeLimits(suback_s_max=3600.0, round_wait_s_max=3600.0)


async def test_the_core_hears_of_the_broker_when_both_connections_are_up_and_subscribed():
    stage = Stage(limits=PATIENT)
    await stage.runtime.start()
    stage.wires.data.subacks = [None, None]
    await stage.runtime.submit(hear.Kill("gauge"))
    await until(lambda: len(stage.words("subscribe")) == 2, "the question that nobody answers")
    assert not stage.runtime.connected
    assert stage.words("publish") == []
    stage.wires.data.lose()
    await until(lambda: stage.runtime.connected, "a second attempt")
    await until(lambda: ("publish", "control", NAMES.kill) in stage.wires.log, "the kill")
    assert len(stage.wires.data.dials) == 2
    stage.runtime.close()


async def test_a_connection_on_which_no_suback_comes_is_given_up():
    stage = Stage()
    await stage.runtime.start()
    stage.wires.data.subacks = [None, None]
    await until(lambda: stage.runtime.connected, "a second attempt, after no SUBACK came")
    assert len(stage.wires.data.dials) == 2
    stage.runtime.close()


async def test_one_connection_alone_is_not_the_broker():
    stage = Stage()
    stage.wires.refuse["control"] = 1_000_000
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


async def test_rounds_wait_for_room():
    stage = Stage(limits=PATIENT)
    await stage.up()
    bundle = await _granted(stage)
    stage.wires.data.unsent_bytes = 100 * 1024 * 1024
    _get(stage, bundle, 1)
    await stage.quiet()
    assert _frames(stage) == []
    assert stage.runtime.counters.rounds_waiting_now == 1
    stage.wires.data.unsent_bytes = 0
    await until(lambda: len(_frames(stage)) == 2, "the round, when there is room")
    stage.runtime.close()


async def test_rounds_that_waited_too_long_for_room_are_dropped(stage):
    bundle = await _granted(stage)
    stage.wires.data.unsent_bytes = 100 * 1024 * 1024
    _get(stage, bundle, 1)
    await until(lambda: stage.runtime.counters.rounds_dropped == 1, "the round to be dropped")
    assert _frames(stage) == []
    assert not stage.runtime.counters.rounds_waiting_now


async def test_the_newest_round_is_dropped_when_too_many_wait():
    stage = Stage(limits=RuntimeLimits(rounds_waiting_max=2, round_wait_s_max=3600.0))
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
