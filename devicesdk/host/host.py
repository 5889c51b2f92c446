"""The host on a real device: drives one agent with stimuli and performs what it asks for.

The twin of `devicesim.world.device_host`. Decides how effects meet a real disk, a real broker, a real
clock and real models. Leaves out every decision about updates, flags or telemetry: those are the
agent's. Five steps for each stimulus: settle, handle, perform, ask for the deadline, re-arm.

Rules: effects are performed in their order, and durable ones are durable before the next begins (they
are made inline: small, and an MQTT keep-alive is minutes); a write that was refused ends its batch;
what takes long is asked of the worker; an exception of the agent ends the host, because a device that
half works is worse than one that its supervisor starts anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent, Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.job import MANIFEST_FILE
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.snapshot import Slot, decode_state
from devicesdk.agent.trust import TRUST_FILE
from devicesdk.aio.clock import Clock
from devicesdk.aio.log_brake import LogBrake
from devicesdk.aio.port import (
    REASON_WITH_WILL,
    REFUSED_FROM,
    Dial,
    Granted,
    Inbound,
    Listener,
    MqttPort,
    PortFullError,
    Will,
)
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.trust import Verifier, payload_named
from devicesdk.host import deltas
from devicesdk.host.boots import next_boot
from devicesdk.host.burst import Bench, Burst, Rows
from devicesdk.host.models import KIT_LIMITS, Models
from devicesdk.host.notice import NOTICE_FILE, Board
from devicesdk.host.notify import Supervisor
from devicesdk.host.sensors import Sensors, matters
from devicesdk.host.storage import Storage, StorageRefused
from devicesdk.host.taken import Reading, Shelf, Taking
from devicesdk.host.worker import Worker
from devicesdk.inference.runner import Judgement
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadTopic, ProtocolError
from devicesdk.wire.timebase import SECOND
from devicesdk.wire.topics import Topics

if TYPE_CHECKING:
    from devicesdk.bundle.trusted_set import Anchor

SENSORS_PERIOD_S: Final = 5.0
FAREWELL_S: Final = 0.1
_SUSPECT: Final = frozenset(
    {
        NoteKind.GARBAGE,
        NoteKind.IGNORED,
        NoteKind.RETAINED_VERB,
        NoteKind.WANT_OLD,
        NoteKind.WANT_NOT_MINE,
        NoteKind.KILL_OLD,
        NoteKind.FLAGS_OLD,
        NoteKind.FLAGS_NOT_OURS,
        NoteKind.CHUNK_BAD,
    }
)
"""Notes that anybody who may publish to this device can cause at will: of each and each topic the first,
the 10th, the 100th ... in a minute are logged (``count``)."""
_log = logging.getLogger("fleetdrill.device")


class Kit(msgspec.Struct, frozen=True):
    """What a host is made of."""

    config: AgentConfig
    identity: Identity
    verifier: Verifier
    seed: int
    """This device's luck."""
    storage: Storage
    models: Models
    sensors: Sensors
    clock: Clock
    make_port: Callable[[Listener], MqttPort]
    anchor: Anchor | None = None
    """The TUF root it is enrolled with; None: it goes by `verifier` alone."""
    notice: Path | None = None
    """Where programs on this device read its flags; None: in its own folder."""


class Host:
    """One real device; a `Listener` of its port. Made and run on one event loop.

    Args:
        kit: its parts.
    """

    __slots__ = (
        "_agent", "_alarm_at", "_bearer_up", "_bench", "_brake", "_burst", "_heard", "_kit", "_over", "_performing", "_port", "_queue",
        "_sense_timer", "_shelf", "_supervisor", "_timer", "_told", "_topics", "_worker", "alarm_sounds", "board",
        "boot_id",
    )  # fmt: skip

    def __init__(self, kit: Kit) -> None:
        loop = asyncio.get_running_loop()
        self._kit, self._topics = kit, Topics(kit.config.root)
        self._over: asyncio.Future[None] = loop.create_future()
        self._worker = Worker(self._fail, loop)
        self._bench = Bench(kit.clock, loop, self._worker, kit.models)
        self._port = kit.make_port(self)
        self._supervisor = Supervisor()
        self._agent: Agent | None = None
        self._burst: Burst | Taking | Reading | None = None
        self._shelf = Shelf()
        self._queue: deque[hear.AnyStimulus] = deque()
        self._performing = False
        self._timer: asyncio.TimerHandle | None = None
        self._sense_timer: asyncio.TimerHandle | None = None
        self._alarm_at: int | None = None
        self._brake = LogBrake()
        self._heard = ""
        self._told = kit.sensors.conditions()
        notice = kit.notice or kit.storage.folder / NOTICE_FILE
        self.board = Board(notice, kit.identity, kit.config.segment, kit.clock)
        self._bearer_up = kit.sensors.carrier()
        self.boot_id = 0
        self.alarm_sounds = False

    # -- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Boot, and live until `stop`.

        Raises:
            Exception: whatever broke the agent, its worker or its port.
        """
        try:
            self._boot()
            self._supervisor.say("READY=1")
            await self._over
        finally:
            self._supervisor.say("STOPPING=1")
            self._close()
            await asyncio.sleep(FAREWELL_S)  # the farewell leaves

    def stop(self) -> None:
        """End politely: the broker publishes the will, what was written is made durable."""
        if not self._over.done():
            self._over.set_result(None)

    def _fail(self, error: BaseException) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    def _boot(self) -> None:
        kit = self._kit
        self.boot_id = next_boot(kit.storage, kit.clock.wall_ms())
        state, saved_map = self._remembered(STATE_FILE), self._remembered("map")
        self._agent = Agent.restore(
            kit.config, kit.identity, kit.verifier, kit.seed, state, saved_map,
            anchor=kit.anchor, trust=self._remembered(TRUST_FILE) if kit.anchor else None,
        )  # fmt: skip
        _log.info("boot=%d device=%s", self.boot_id, kit.identity.device)
        self.stimulate(hear.Booted(self.boot_id, kit.clock.wall_ms(), self._bearer_up, self._told))
        self._sense()

    def _remembered(self, file: str) -> bytes | None:
        try:
            return self._kit.storage.read(file)
        except StorageRefused as error:
            _log.error("storage=%s", error)
            return b""  # unreadable, which is not the same as never written

    def _close(self) -> None:
        for timer in (self._timer, self._sense_timer):
            if timer is not None:
                timer.cancel()
        if self._burst is not None:
            self._burst.cut()
        self._port.disconnect(REASON_WITH_WILL)
        self._worker.close()
        try:
            self._kit.storage.sync_all()
        except StorageRefused as error:
            _log.error("storage=%s", error)
        self._kit.storage.close()

    # -- the five steps -------------------------------------------------------------------------

    def stimulate(self, stimulus: hear.AnyStimulus) -> None:
        """Hand a stimulus to the agent and perform what it asks for."""
        if self._over.done():
            return
        self._queue.append(stimulus)
        if self._performing:
            return
        self._performing = True
        try:
            while self._queue:
                self._step(self._queue.popleft())
            self._rearm()
            self._post()
        except Exception as error:  # noqa: BLE001 - it ends the host, and `run` raises it
            self._fail(error)
        finally:
            self._performing = False

    def _step(self, stimulus: hear.AnyStimulus) -> None:
        assert self._agent is not None, "a stimulus before the boot"
        self._heard = stimulus.kind if isinstance(stimulus, hear.Arrived) else ""
        for effect in self._agent.handle(stimulus, self._kit.clock.now()):
            try:
                _PERFORM[type(effect)](self, effect)
            except StorageRefused as error:  # what depends on it must not happen
                _log.error("storage=%s", error)
                file = getattr(effect, "file", STATE_FILE)
                self._queue.append(hear.StorageFailed(file, str(error)))
                return

    def _rearm(self) -> None:
        assert self._agent is not None, "a deadline before the boot"
        due = self._agent.deadline()
        at = None if due is None else due[0]
        if at == self._alarm_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._alarm_at = at
        if at is not None:
            self._timer = self._bench.loop.call_later(
                self._kit.clock.wait_s(at), self._deadline_comes
            )

    def _deadline_comes(self) -> None:
        self._timer = None
        if self._alarm_at is not None and self._kit.clock.now() >= self._alarm_at:
            self.stimulate(hear.DeadlineReached())
        else:
            self._rearm()  # a timer may come a little early, or stand for less than a long wait

    def _post(self) -> None:
        if self._agent is not None:
            self.board.follow(self._agent)

    # -- what the sensors tell --------------------------------------------------------------------

    def _sense(self) -> None:
        """Look at the sensors, and again a little later."""
        self._sense_timer = self._bench.loop.call_later(SENSORS_PERIOD_S, self._sense)
        self._supervisor.say("WATCHDOG=1")
        self._post()
        now = self._kit.sensors.conditions()
        if matters(self._told, now):
            self._told = now
            self.stimulate(hear.ConditionsChanged(now))
        up = self._kit.sensors.carrier()
        if up is not self._bearer_up:
            self._bearer_up = up
            if not up and self._port.connected:
                self._port.abort()
                self.stimulate(hear.Disconnected("no carrier"))
            self.stimulate(hear.BearerChanged(up))

    # -- what the port tells (see devicesdk.aio.port.Listener) -------------------------------------

    def on_connected(self, granted: Granted) -> None:
        """CONNACK."""
        self.stimulate(hear.Connected(granted.session_present))

    def on_connect_failed(self, reason: str) -> None:
        """No connection."""
        _log.warning("connect=failed why=%s", reason)
        self.stimulate(hear.ConnectFailed(reason))

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone."""
        _log.warning("connection=lost why=%s", reason)
        self.board.offline()
        self.stimulate(hear.Disconnected(reason))

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """SUBACK."""
        self.stimulate(hear.Subscribed(codes))

    def on_puback(self, token: int, code: int) -> None:
        """PUBACK; a refused publish counts as one that nobody took, and is sent again in time."""
        if code >= REFUSED_FROM:
            _log.warning("publish=refused code=%#x", code)
        else:
            self.stimulate(hear.PubAcked(token))

    def on_message(self, message: Inbound) -> None:
        """A message came."""
        try:
            kind, _ = self._topics.parse(message.topic)
        except BadTopic as error:
            if count := self._brake.tells("topic", "", self._kit.clock.now()):
                _log.warning("message=ignored count=%d why=%s", count, error)
            return
        self.stimulate(hear.Arrived(kind, message.payload, message.retain))

    # -- effects --------------------------------------------------------------------------------

    def _connect(self, effect: ask.Connect) -> None:
        kit = self._kit
        config, clock, device = kit.config, kit.clock, kit.identity.device
        will = Will(self._topics.device(device, topics.LINK), codec.encode(effect.will))
        dial = Dial(
            client_id=device,
            keepalive_s=max(1, round(clock.wait_s(clock.now() + config.keepalive_ns))),
            session_expiry_s=config.session_expiry_ns // SECOND,
            timeout_s=clock.wait_s(clock.now() + config.connect_timeout_ns),
            will=will,
        )
        self._port.connect(dial)

    def _disconnect(self, effect: ask.Disconnect) -> None:
        _log.info("disconnect=%s", effect.reason)
        self._port.disconnect(REASON_WITH_WILL)

    def _subscribe(self, effect: ask.Subscribe) -> None:
        self._port.subscribe(effect.filters)

    def _publish(self, effect: ask.Publish) -> None:
        topic = self._topics.device(self._kit.identity.device, effect.kind)
        qos = 1 if effect.token else 0
        try:
            self._port.publish(
                topic, effect.payload, qos=qos, retain=effect.retain, token=effect.token
            )
        except (PortFullError, ValueError) as error:
            _log.warning("publish=refused kind=%s why=%s", effect.kind, error)

    def _write(self, effect: ask.Write) -> None:
        self._kit.storage.write(effect.file, effect.offset, effect.data)

    def _sync(self, effect: ask.Sync) -> None:
        self._kit.storage.sync(effect.file)

    def _save(self, effect: ask.Save) -> None:
        self._kit.storage.save(effect.file, effect.data)

    def _delete(self, effect: ask.Delete) -> None:
        self._kit.storage.delete(effect.file)

    def _read_file(self, effect: ask.ReadFile) -> None:
        self.stimulate(hear.FileRead(effect.file, self._remembered(effect.file)))

    def _hash_file(self, effect: ask.HashFile) -> None:
        storage, file = self._kit.storage, effect.file

        def digest() -> bytes:
            try:
                return storage.digest(file, effect.size_bytes)
            except StorageRefused as error:
                _log.error("storage=%s", error)
                return b""  # equals no digest: what cannot be read is not what was fetched

        self._worker.ask(digest, lambda found: self.stimulate(hear.FileHashed(file, found)))

    def _apply_delta(self, effect: ask.ApplyDelta) -> None:
        self._worker.ask(partial(deltas.apply, self._kit.storage, effect), self.stimulate)

    def _run_kit(self, effect: ask.RunKit) -> None:
        kit_digest = self._kit_named_by(effect.manifest)
        models = self._kit.models
        judge = partial(models.judge, effect.slot, self._holds(effect.slot), kit_digest)
        limit_s = KIT_LIMITS * models.limit_s
        self._worker.ask(judge, partial(self._judged, effect.slot), limit_s, models.stop)

    def _judged(self, slot: str, said: Judgement) -> None:
        _log.info("kit=%s slot=%s p95_us=%d", said.reason or "passed", slot, said.latency_us)
        self.stimulate(
            hear.KitRan(slot, said.passed, said.reason, said.worst_permille, said.latency_us)
        )

    def _run_probe(self, effect: ask.RunProbe) -> None:
        probe = partial(self._kit.models.probe, effect.slot, self._holds(effect.slot))
        self._worker.ask(probe, self._probed)

    def _probed(self, said: hear.ProbeRan) -> None:
        level = logging.INFO if said.passed else logging.WARNING
        _log.log(
            level, "probe=%s slot=%s residual=%d worst=%d like=%s",
            "passed" if said.passed else "failed", said.slot, said.residual_permille,
            said.worst_permille, said.resembles or "-",
        )  # fmt: skip
        self.stimulate(said)

    def _kit_named_by(self, manifest: bytes) -> str:
        """The kit's digest in hex, where the file of this manifest is still here; else empty."""
        envelope = self._remembered(MANIFEST_FILE) or b""
        try:  # the agent trusted the digest before it asked for the kit
            return decode_manifest(payload_named(envelope, manifest)).kit
        except ProtocolError:
            return ""

    def _holds(self, slot: str) -> Slot:
        """What the saved state says is in a slot; it was saved before anything ran from it."""
        state = decode_state(self._kit.storage.read(STATE_FILE) or b"")
        return state.a if slot == "a" else state.b

    def _activate(self, effect: ask.Activate) -> None:
        _log.info("active=%s variant=%s", effect.slot or "none", effect.variant)

    def _run_model(self, effect: ask.RunModel) -> None:
        shadow = self._holds(effect.shadow) if effect.shadow else None
        self._burst = Burst(self._bench, effect, self._holds(effect.slot), self._ran, shadow)

    def _stand_by(self, effect: ask.StandBy) -> None:
        _log.info("beside=%s variant=%s", effect.slot, effect.variant)

    def _cut_burst(self, effect: ask.CutBurst) -> None:
        burst = self._burst
        if burst is not None and burst.effect.burst == effect.burst:
            burst.cut()
            if isinstance(burst, Taking):
                self._taken(burst)
            else:
                self._ran(burst)

    def _take_frames(self, effect: ask.TakeFrames) -> None:
        holds = self._holds(effect.slot)
        self._burst = Taking(self._bench, effect, holds, self._shelf, self._taken)

    def _taken(self, taking: Taking) -> None:
        self._burst = None
        self._told = conditions = self._kit.sensors.conditions()
        burst = taking.effect.burst
        self.stimulate(hear.FramesTaken(burst, taking.frames, taking.pixels, conditions))

    def _run_taken(self, effect: ask.RunTaken) -> None:
        frames = self._shelf.take(effect.burst)
        holds = self._holds(effect.slot)
        self._burst = reading = Reading(self._bench, effect, holds, frames, self._ran)
        self._bench.loop.call_soon(reading.next)

    def _read_answer(self, effect: ask.ReadAnswer) -> None:
        frames, holds = self._shelf.take(effect.burst), self._holds(effect.slot)
        read = partial(self._kit.models.answer, effect.slot, holds, frames, effect.outputs)
        self._worker.ask(read, partial(self._answer_read, effect.burst))

    def _answer_read(self, burst: int, rows: list[list[int]]) -> None:
        conditions = self._kit.sensors.conditions()
        self.stimulate(hear.FramesRan(burst, len(rows), Rows(rows), 0, 0, conditions))

    def _drop_taken(self, effect: ask.DropTaken) -> None:
        self._shelf.take(effect.burst)

    def _ran(self, burst: Burst | Reading) -> None:
        self._burst = None
        self._told = conditions = self._kit.sensors.conditions()
        throttled = burst.frames if conditions.throttled else 0
        self.stimulate(
            hear.FramesRan(
                burst.effect.burst,
                burst.frames,
                burst.readings,
                burst.latency_us,
                throttled,
                conditions,
                self._kit.sensors.memory_peak_mib(),
                shadow=burst.shadow if isinstance(burst, Burst) else None,
                shadow_latency_us=burst.shadow_latency_us if isinstance(burst, Burst) else 0,
            )
        )

    def _act(self, effect: ask.Act) -> None:
        if effect.action != "last_known":
            self.alarm_sounds = effect.action == "alarm_on"
        _log.warning("act=%s value=%d age_ms=%d", effect.action, effect.value, effect.age_ms)

    def _note(self, effect: ask.Note) -> None:
        said = f"note={effect.kind} a={effect.a} b={effect.b}"
        if effect.kind not in _SUSPECT:
            _log.info(said)
        elif count := self._brake.tells(effect.kind, self._heard, self._kit.clock.now()):
            level = logging.WARNING if effect.kind == NoteKind.GARBAGE else logging.INFO
            _log.log(level, "%s on=%s count=%d", said, self._heard or "-", count)


_PERFORM: Final[dict[type[Any], Callable[[Host, Any], None]]] = {
    ask.Connect: Host._connect,  # noqa: SLF001 - the table of this very class
    ask.Disconnect: Host._disconnect,  # noqa: SLF001
    ask.Subscribe: Host._subscribe,  # noqa: SLF001
    ask.Publish: Host._publish,  # noqa: SLF001
    ask.Write: Host._write,  # noqa: SLF001
    ask.Sync: Host._sync,  # noqa: SLF001
    ask.Save: Host._save,  # noqa: SLF001
    ask.Delete: Host._delete,  # noqa: SLF001
    ask.ReadFile: Host._read_file,  # noqa: SLF001
    ask.HashFile: Host._hash_file,  # noqa: SLF001
    ask.ApplyDelta: Host._apply_delta,  # noqa: SLF001
    ask.RunKit: Host._run_kit,  # noqa: SLF001
    ask.RunProbe: Host._run_probe,  # noqa: SLF001
    ask.Activate: Host._activate,  # noqa: SLF001
    ask.RunModel: Host._run_model,  # noqa: SLF001
    ask.TakeFrames: Host._take_frames,  # noqa: SLF001
    ask.RunTaken: Host._run_taken,  # noqa: SLF001
    ask.ReadAnswer: Host._read_answer,  # noqa: SLF001
    ask.DropTaken: Host._drop_taken,  # noqa: SLF001
    ask.StandBy: Host._stand_by,  # noqa: SLF001
    ask.CutBurst: Host._cut_burst,  # noqa: SLF001
    ask.Act: Host._act,  # noqa: SLF001
    ask.Note: Host._note,  # noqa: SLF001
}
