"""The order of things: rows, then publishes, then acknowledgements; and what survives a crash."""

import asyncio

import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.messages import Have
from gateway.config import RuntimeLimits
from gateway.core import rows
from gateway.core import stimuli as hear
from gateway.ports import StorageError, Unobserved
from gateway.runtime.life import BusyError, NotRunningError
from tests_kit.agent_bundles import DEVICE
from tests_kit.plant import until
from tests_kit.runtime_stage import HAVE, NAMES, TEL, Stage, telemetry


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


async def test_what_is_said_soon_after_a_commit_is_collected_for_the_next():
    stage = Stage(limits=RuntimeLimits(commit_rest_s=1.0))
    await stage.up()
    await asyncio.sleep(1.1)  # nothing is left to rest from
    stage.clear()
    for number in range(5):
        have = codec.encode(Have(boot_id=1, seq=1))
        stage.wires.data.deliver(NAMES.device(f"new-{number}", topics.HAVE), have)
        await asyncio.sleep(0.01)
    await until(lambda: len(stage.words("ack")) == 5, "five acknowledgements")
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit", "ack", "commit"] + [
        "ack"
    ] * 4
    stage.runtime.close()


async def test_what_is_said_while_a_commit_runs_is_collected_too():
    stage = Stage(limits=RuntimeLimits(commit_rest_s=1.0))
    await stage.up()
    await asyncio.sleep(1.1)
    stage.clear()
    stage.storage.gate.clear()
    stage.have()
    await until(stage.storage.waiting.is_set, "the first commit")
    stage.wires.data.deliver(NAMES.device("new", topics.HAVE), codec.encode(Have(boot_id=1, seq=1)))
    stage.storage.gate.set()
    await until(lambda: stage.words("ack"), "the first acknowledgement")
    await asyncio.sleep(0.1)
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit", "ack"]
    await until(lambda: len(stage.words("ack")) == 2, "the end of the rest")
    stage.runtime.close()


async def test_a_stop_ends_the_rest_and_loses_nothing_of_what_was_collected():
    stage = Stage(limits=RuntimeLimits(commit_rest_s=3600.0, drain_s_max=3600.0))
    await stage.up()
    stage.have()
    await stage.quiet()
    stage.clear()
    stage.wires.data.deliver(NAMES.device("new", topics.HAVE), codec.encode(Have(boot_id=1, seq=1)))
    async with asyncio.timeout(30.0):
        await stage.runtime.stop()
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit", "ack"]
    stage.runtime.close()


async def test_an_operator_does_not_wait_for_what_is_collected():
    stage = Stage(limits=RuntimeLimits(commit_rest_s=3600.0))
    await stage.up()
    async with asyncio.timeout(30.0):
        for name in ("a", "b", "c"):
            stage.have()
            await stage.runtime.submit(hear.Kill(name))
            await stage.runtime.read(lambda core: core.overview())
    assert len(stage.words("ack")) == 3, "what was collected goes along"
    stage.runtime.close()


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
    await until(lambda: stage.words("ack") == [("ack", 33)], "the timer")
    assert [entry[0] for entry in stage.words("commit", "ack")] == ["commit", "ack"]
    assert not stage.runtime.counters.unacked_in_now


async def test_telemetry_waits_for_its_group():
    stage = Stage(limits=RuntimeLimits(group_commit_s=3600.0))
    await stage.up()
    await stage.runtime.submit(hear.Enroll(DEVICE, {}))
    stage.clear()
    stage.wires.data.deliver(TEL, codec.encode(telemetry(seq=1)))
    await stage.quiet()
    assert stage.words("commit", "ack") == [], "acknowledged before it was durable"
    stage.runtime.close()


async def test_acknowledgements_keep_the_order_of_arrival_and_telemetry_hurries_for_others():
    stage = Stage(limits=RuntimeLimits(group_commit_s=3600.0))
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
        async with asyncio.timeout(60.0):
            await _tell_story(stage)
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
    """Ask until everything was answered and published; whoever crashes is started again."""
    on = '{"defaultVariant":"on","state":"ENABLED","variants":{"on":true}}'
    wishes = [hear.Enroll(DEVICE, {}), hear.Kill("gauge"), hear.SetFlag("all", "x", on)]
    while wishes or not stage.runtime.connected or stage.runtime.counters.outbox_rows_now:
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
    stage = Stage(limits=RuntimeLimits(group_commit_s=3600.0))
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
