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
from typing import TYPE_CHECKING, Any, Final

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.trust import TRUST_FILE
from devicesdk.aio.log_brake import LogBrake
from devicesdk.aio.port import (
    NOBODY,
    REASON_WITH_WILL,
    REFUSED_FROM,
    Dial,
    Granted,
    Inbound,
    PortFullError,
    Will,
)
from devicesdk.host.boots import next_boot
from devicesdk.host.kit import Kit
from devicesdk.host.notice import NOTICE_FILE, Board
from devicesdk.host.notify import Supervisor
from devicesdk.host.sensors import matters
from devicesdk.host.storage import StorageRefused
from devicesdk.host.workshop import Workshop
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import SECOND
from devicesdk.wire.topics import Topics

if TYPE_CHECKING:
    pass

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


class Host:
    """One real device; a `Listener` of its port. Made and run on one event loop.

    Args:
        kit: its parts.
    """

    __slots__ = (
        "_agent", "_alarm_at", "_bearer_up", "_brake", "_heard", "_kit", "_loop", "_over", "_perform",
        "_performing", "_port", "_queue", "_sense_timer", "_supervisor", "_timer", "_topics", "_workshop",
        "alarm_sounds", "board", "boot_id",
    )  # fmt: skip

    def __init__(self, kit: Kit) -> None:
        loop = asyncio.get_running_loop()
        self._kit, self._topics = kit, Topics(kit.config.root)
        self._over: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._workshop = Workshop(kit, self.stimulate, self._fail, loop)
        self._perform = self._performs() | self._workshop.performs()
        self._port = kit.make_port(self)
        self._supervisor = Supervisor()
        self._agent: Agent | None = None
        self._queue: deque[hear.AnyStimulus] = deque()
        self._performing = False
        self._timer: asyncio.TimerHandle | None = None
        self._sense_timer: asyncio.TimerHandle | None = None
        self._alarm_at: int | None = None
        self._brake = LogBrake()
        self._heard = ""
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
        state, saved_map = kit.remembered(STATE_FILE), kit.remembered("map")
        self._agent = Agent.restore(
            kit.config, kit.identity, kit.verifier, kit.seed, state, saved_map,
            anchor=kit.anchor, trust=kit.remembered(TRUST_FILE) if kit.anchor else None,
        )  # fmt: skip
        _log.info("boot=%d device=%s", self.boot_id, kit.identity.device)
        self.stimulate(
            hear.Booted(self.boot_id, kit.clock.wall_ms(), self._bearer_up, self._workshop.told)
        )
        self._sense()

    def _close(self) -> None:
        for timer in (self._timer, self._sense_timer):
            if timer is not None:
                timer.cancel()
        self._port.disconnect(REASON_WITH_WILL)
        self._workshop.close()
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
        effects = self._agent.handle(stimulus, self._kit.clock.now())
        for done, effect in enumerate(effects, 1):
            try:
                self._perform[type(effect)](effect)
            except StorageRefused as error:  # what depends on it must not happen
                _log.error("storage=%s", error)
                file = getattr(effect, "file", STATE_FILE)
                self._queue.append(hear.StorageFailed(file, str(error), tuple(effects[done:])))
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
            self._timer = self._loop.call_later(self._kit.clock.wait_s(at), self._deadline_comes)

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
        self._sense_timer = self._loop.call_later(SENSORS_PERIOD_S, self._sense)
        self._supervisor.say("WATCHDOG=1")
        self._post()
        now = self._kit.sensors.conditions()
        if matters(self._workshop.told, now):
            self._workshop.told = now
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
            self.stimulate(hear.PubAcked(token, nobody=code == NOBODY))

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

    def _performs(self) -> dict[type[Any], Callable[[Any], None]]:
        """What is done at once, for which effect; the rest is the workshop's."""
        return {
            ask.Connect: self._connect,
            ask.Disconnect: self._disconnect,
            ask.Subscribe: self._subscribe,
            ask.Publish: self._publish,
            ask.Write: self._write,
            ask.Sync: self._sync,
            ask.Save: self._save,
            ask.Delete: self._delete,
            ask.ReadFile: self._read_file,
            ask.Activate: self._activate,
            ask.StandBy: self._stand_by,
            ask.Act: self._act,
            ask.Note: self._note,
        }

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
            proven_acks=True,
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
        self.stimulate(hear.FileRead(effect.file, self._kit.remembered(effect.file)))

    def _activate(self, effect: ask.Activate) -> None:
        _log.info("active=%s variant=%s", effect.slot or "none", effect.variant)

    def _stand_by(self, effect: ask.StandBy) -> None:
        _log.info("beside=%s variant=%s", effect.slot, effect.variant)

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
