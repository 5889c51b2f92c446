"""The virtual device: drives one agent with stimuli and performs what it asks for.

The twin of the host on a real device. Decides how effects meet this world's flash, path, body and
models, and how long that takes. Leaves out every decision about updates, flags or telemetry: those
are the agent's. Five steps for each stimulus: settle, handle, perform, ask for the deadline, re-arm.

Rules: nothing happens to a device that is off; effects are performed in their order and power can go
between any two (`fuse`); what the agent hears about itself comes from the body's sensors, never from
the world's truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.wire.timebase import MS, NEVER, SECOND
from devicesim.models.crossing import Crossing
from devicesim.world import deltas
from devicesim.world.broker.packets import Message
from devicesim.world.burst import Burst
from devicesim.world.device_elsewhere import ELSEWHERE, Elsewhere
from devicesim.world.device_kits import KITS
from devicesim.world.device_messages import MESSAGES
from devicesim.world.device_parts import Parts, Workshop
from devicesim.world.device_storage import STORAGE, refusal
from devicesim.world.ledger import DropCause

BOOT_NS: Final = 8 * SECOND
_DIES: Final = frozenset({Crossing.SHUTDOWN, Crossing.BROWN_OUT, Crossing.EMPTY})
_REVIVES: Final = frozenset({Crossing.COOLED, Crossing.REVIVED})


class DeviceHost:
    """One device of the world.

    Args:
        shop: what all devices share.
        parts: what is this device's own.
    """

    __slots__ = (
        "_burst",
        "_crossing",
        "_crowded",
        "_deadline",
        "_performing",
        "_queue",
        "acked_by",
        "agent",
        "alarm_sounds",
        "beside",
        "boot_id",
        "burst_alarm",
        "bytes_down",
        "bytes_up",
        "device",
        "elsewhere",
        "frames_lost",
        "frames_run",
        "fuse",
        "index",
        "manifest",
        "on",
        "online",
        "parts",
        "path",
        "refused",
        "revives",
        "shop",
        "slot",
        "topics",
        "variant",
        "wanted_on",
    )  # fmt: skip

    table: ClassVar[dict[type[Any], Callable[[Any, Any, int], None]]] = {}
    """What performs each kind of effect."""

    def __init__(self, shop: Workshop, parts: Parts) -> None:
        self.shop, self.parts, self.index = shop, parts, parts.index
        self.device = parts.identity.device
        """The device's id."""
        self.path = shop.make_path(shop, parts, self)
        self.topics = shop.topics
        self.agent: Agent | None = None
        self.boot_id = 0
        self.on = self.online = False
        self.wanted_on = True
        self.acked_by = NEVER
        self.slot, self.manifest, self.variant = "", b"", ""
        self.beside = ("", b"", "")
        """Slot, manifest and variant of what stands by."""
        self.alarm_sounds = False
        self.frames_run = self.frames_lost = 0
        self.bytes_down = self.bytes_up = 0
        """Payload that arrived, and that was sent while there was a connection."""
        self.fuse = -1
        """Counts down with each effect performed; power goes when it reaches zero; -1: never."""
        self.revives = 0
        """Faults under which the device boots again when the fuse has burnt."""
        self._burst: Burst | None = None
        self.elsewhere: Elsewhere | None = None
        self._queue: list[hear.AnyStimulus] = []
        self._performing = self._crowded = False
        self.refused: hear.StorageFailed | None = None
        self._deadline = shop.kernel.alarm(self._deadline_comes)
        self._crossing = shop.kernel.alarm(self._body_crosses)
        self.burst_alarm = shop.kernel.alarm(self._burst_ends)

    # -- power ----------------------------------------------------------------------------------

    def power_on(self, now: int, _: object = None) -> None:
        """Boot: the agent is restored from its files."""
        if self.on or not self.wanted_on:
            return
        parts = self.parts
        self.on = True
        self.boot_id += 1
        parts.body.power_on(now)
        parts.clock.boot(now)
        flash = parts.flash
        self.agent = Agent.restore(
            parts.config, parts.identity, parts.verifier, parts.seed,
            flash.read("state"), flash.read("map"), self.shop.digests,
            parts.anchor, flash.read("trust") if parts.anchor is not None else None,
            parts.hardship,
        )  # fmt: skip
        for seen in self.shop.watch.booted:
            seen(self, now)
        wall = parts.clock.wall_ms(now)
        self.stimulate(
            hear.Booted(
                self.boot_id, wall if wall > 0 else None, self.path.carrier, self.conditions()
            ),
            now,
        )
        self._watch_body(now)

    def power_off(self, now: int, *, tear: bool = True) -> None:
        """Power goes: RAM is lost, unsynced writes are torn, the connection falls silent."""
        if not self.on:
            return
        self.path.close(now, DropCause.POWER_OFF)
        self._end_burst_unheard(now)
        self.on = self.online = False
        self.agent = None
        self._queue.clear()
        self._deadline.arm(NEVER)
        if tear:
            self.parts.flash.cut()
        else:
            self.parts.flash.sync_all()
        self.parts.body.power_off(now)
        self.shop.trace.row(now, self.index, "power off", int(tear))
        for seen in self.shop.watch.went_off:
            seen(self, now)
        self._watch_body(now)

    def reboot(self, now: int, *, tear: bool) -> None:
        """Off, and on again after the time that a boot takes."""
        self.power_off(now, tear=tear)
        self.shop.kernel.at(now + BOOT_NS, self.power_on)

    def _body_crosses(self, now: int) -> None:
        body = self.parts.body
        outlook = body.next_crossing(now)
        if outlook is not None and outlook[0] <= now:
            self._meet(now, outlook[1], happened=body.on_crossing(now, outlook[1]))
        self._watch_body(now)

    def _meet(self, now: int, crossing: Crossing, *, happened: bool) -> None:
        if not happened:
            return
        self.shop.trace.row(
            now, self.index, "body " + crossing.name.lower(), int(self.conditions().chip_c)
        )
        if crossing in _DIES:
            self.power_off(now)
        elif crossing in _REVIVES:
            self.shop.kernel.at(now + BOOT_NS, self.power_on)
        elif self.on:
            self.stimulate(hear.ConditionsChanged(self.conditions()), now)

    def _watch_body(self, now: int) -> None:
        outlook = self.parts.body.next_crossing(now)
        at = NEVER if outlook is None else outlook[0]
        self._crossing.arm(at if at > now + MS else now + MS)

    def body_changed(self, now: int) -> None:
        """A fault has modified the body: look again at what comes next."""
        if self.on:
            self.stimulate(hear.ConditionsChanged(self.conditions()), now)
        self._watch_body(now)

    def conditions(self) -> hear.Conditions:
        """What the sensors say."""
        chip_c, soc, throttled, plugged = self.parts.body.sense()
        return hear.Conditions(
            int(soc * 100), plugged, round(chip_c), throttled, self.parts.metered
        )

    # -- the five steps -------------------------------------------------------------------------

    def stimulate(self, stimulus: hear.AnyStimulus, now: int) -> None:
        """Hand a stimulus to the agent and perform what it asks for."""
        if not self.on:
            return
        queue, connection = self._queue, self.path.connection
        settled: list[int] | None = None
        if connection is not None:
            late = connection.late_acks
            if late and late[0][0] <= now:
                settled = connection.settle(now)
        if self._performing:
            queue += [hear.PubAcked(token) for token in settled or ()]
            queue.append(stimulus)
            return
        self._performing = True
        try:
            if settled:
                self._acknowledged(settled, now)
            if self.on:
                self._step(stimulus, now)
            while queue and self.on:
                self._step(queue.pop(0), now)
        finally:
            self._performing = False
        if not self._crowded:
            self._rearm(now)

    def _acknowledged(self, tokens: list[int], now: int) -> None:
        for token in tokens:
            if self.on:  # the fuse may burn at what an acknowledgement leads to
                self._step(hear.PubAcked(token), now)

    def _step(self, stimulus: hear.AnyStimulus, now: int) -> None:
        agent, shop = self.agent, self.shop
        assert agent is not None
        effects = agent.handle(stimulus, now)
        code, detail = shop.stimulus_rows[type(stimulus)]
        shop.trace.extend(
            (now, self.index, code, 0 if detail is None else detail(stimulus), len(effects))
        )
        perform = self.table
        for effect in effects:
            if self.fuse > 0:
                self.fuse -= 1
                if not self.fuse:
                    perform[type(effect)](self, effect, now)
                    if self.revives:
                        self.reboot(now, tear=True)
                    else:
                        self.power_off(now)
            if not self.on:
                return
            perform[type(effect)](self, effect, now)
            if self.refused is not None:  # what depends on a refused write must not happen
                self._queue.append(refusal(self, effects, effect))
                return

    def _rearm(self, now: int) -> None:
        if self.agent is not None:
            due = self.agent.deadline(self.acked_by)
            at = NEVER if due is None else due[0]
            alarm = self._deadline
            if at != alarm.at:
                alarm.arm(at if at > now else now)

    def _deadline_comes(self, now: int) -> None:
        if self.agent is None:
            return
        connection = self.path.connection
        if connection is not None and connection.late_acks:
            for token in connection.settle(now):
                self.stimulate(hear.PubAcked(token), now)
            if not self.on:  # the fuse may burn at what an acknowledgement leads to
                return
        due = self.agent.deadline(self.acked_by)
        if due is not None and due[0] <= now:
            self.stimulate(hear.DeadlineReached(), now)
        else:
            self._rearm(now)

    # -- what the path tells (see path.Station) --------------------------------------------------

    def on_connected(self, now: int, session_present: bool) -> None:  # noqa: FBT001
        """CONNACK."""
        self.online = True
        self.parts.body.set_connected(now, connected=True)
        for seen in self.shop.watch.connected:
            seen(self, now)
        self.stimulate(hear.Connected(session_present), now)

    def on_connect_failed(self, now: int, reason: str) -> None:
        """No connection."""
        self.stimulate(hear.ConnectFailed(reason), now)

    def on_disconnected(self, now: int, reason: str) -> None:
        """The connection is gone and the device knows."""
        self.went_offline(now, reason)
        self.stimulate(hear.Disconnected(reason), now)

    def went_offline(self, now: int, reason: str) -> None:
        """The connection is no longer of use, whoever ended it; tells those who watch."""
        if self.online:
            self.online = False
            self.parts.body.set_connected(now, connected=False)
            for seen in self.shop.watch.disconnected:
                seen(self, now, reason)

    def on_suback(self, now: int, codes: tuple[int, ...]) -> None:
        """SUBACK."""
        self.stimulate(hear.Subscribed(codes), now)

    def on_acked(self, now: int, token: int) -> None:
        """PUBACK."""
        self.stimulate(hear.PubAcked(token), now)

    def on_unheard(self, now: int, token: int) -> None:
        """PUBACK: nobody has subscribed."""
        self.stimulate(hear.PubAcked(token, nobody=True), now)

    def on_doubt(self, now: int) -> None:
        """What is in flight may not be acknowledged: its timer runs again."""
        self._rearm(now)

    def on_message(self, now: int, message: Message) -> None:
        """A message came."""
        nbytes = len(message.payload)
        self.bytes_down += nbytes
        self.parts.body.message(now, nbytes, uplink=False)
        for seen in self.shop.watch.received:
            seen(self, message, now)
        self.stimulate(hear.Arrived(message.kind, message.payload, message.retain), now)

    def on_messages(self, now: int, messages: Iterable[Message]) -> None:
        """Several came at once: the agent hears each, and is asked for its deadline at the end."""
        self._crowded = True
        for message in messages:
            self.on_message(now, message)
        self._crowded = False
        self._rearm(now)

    def on_bearer(self, now: int, up: bool) -> None:  # noqa: FBT001
        """The carrier came or went; without it the connection cannot be used."""
        if not up and self.online:
            self.path.close(now, DropCause.LINK_DOWN)
            self.on_disconnected(now, "no carrier")
        self.stimulate(hear.BearerChanged(up), now)

    # -- effects --------------------------------------------------------------------------------

    def _activate(self, effect: ask.Activate, now: int) -> None:
        for seen in self.shop.watch.activated:
            seen(self, effect, now)
        self.slot, self.manifest, self.variant = effect.slot, effect.manifest, effect.variant

    def _stand_by(self, effect: ask.StandBy, now: int) -> None:
        for seen in self.shop.watch.stood_by:
            seen(self, effect, now)
        self.beside = (effect.slot, effect.manifest, effect.variant)

    def holds(self, slot: str) -> tuple[bytes, str]:
        """Manifest and variant of what the agent said is in this slot."""
        if slot == self.slot:
            return self.manifest, self.variant
        assert slot == self.beside[0], f"{self.device} runs slot {slot}, which does not stand by"
        return self.beside[1:]

    def _run_model(self, effect: ask.RunModel, now: int) -> None:
        if effect.shadow or effect.slot != self.slot:
            for seen in self.shop.watch.tried:
                seen(self, effect, now)
        self._burst = Burst(self, effect, now)
        self._watch_body(now)

    def _burst_ends(self, now: int) -> None:
        if self._burst is not None:
            self.burst_over(self._burst, now)

    def _cut_burst(self, effect: ask.CutBurst, now: int) -> None:
        burst = self._burst
        if burst is not None and burst.effect.burst == effect.burst:
            self.burst_over(burst, now)
        elif self.elsewhere is not None:
            self.elsewhere.cut(effect.burst, now)

    def burst_over(self, burst: Burst, now: int) -> None:
        """The burst has run its course, or was cut: tell the agent what ran."""
        self._burst = None
        ran = burst.finish(now)
        beside = None
        if burst.effect.shadow:
            beside = burst.shadowed(ran)
            self._inferred(burst, ran, now)
        else:
            self.frames_run += ran
            for seen in self.shop.watch.inferred:
                seen(self, ran, now)
        self.parts.body.advance(now)
        conditions = self.conditions()
        throttled = ran if burst.cost.throttled or conditions.throttled else 0
        self.stimulate(
            hear.FramesRan(
                burst.effect.burst,
                ran,
                burst.readings(ran),
                burst.latency_us,
                throttled,
                conditions,
                burst.memory_mib,
                self.parts.accelerator_permille,
                beside,
                burst.shadow_latency_us,
            ),
            now,
        )

    def _end_burst_unheard(self, now: int) -> None:
        """Power goes while a burst runs: its frames ran, and nobody will ever report them."""
        burst, self._burst = self._burst, None
        if burst is not None:
            ran = burst.finish(now)
            self.frames_lost += self._inferred(burst, ran, now)
            burst.discard()
        if self.elsewhere is not None:
            self.elsewhere.lost()
            self.elsewhere = None

    def _inferred(self, burst: Burst, ran: int, now: int) -> int:
        """Count what was executed: what was served, and what ran in its shadow."""
        times = 2 if burst.effect.shadow else 1
        for _ in range(times):
            self.executed(ran, now)
        return times * ran

    def executed(self, frames: int, now: int) -> None:
        """Frames were inferred here, whether or not anybody will hear of them."""
        self.frames_run += frames
        for seen in self.shop.watch.inferred:
            seen(self, frames, now)

    def frames_under_way(self, now: int) -> int:
        """Frames of the running burst that have been captured by `now`."""
        return 0 if self._burst is None else self._burst.captured(now)

    def _act(self, effect: ask.Act, now: int) -> None:
        if effect.action != "last_known":
            self.alarm_sounds = effect.action == "alarm_on"
        self.shop.trace.row(now, self.index, effect.action, effect.value)

    def _note(self, effect: ask.Note, now: int) -> None:
        shop = self.shop
        shop.trace.extend((now, self.index, shop.note_code(effect.kind), effect.a, effect.b))
        for seen in shop.watch.noted:
            seen(self, effect, now)


DeviceHost.table = {
    **MESSAGES,
    **STORAGE,
    **KITS,
    ask.ApplyDelta: deltas.apply,
    ask.Activate: DeviceHost._activate,  # noqa: SLF001 - the table of this very class
    ask.RunModel: DeviceHost._run_model,  # noqa: SLF001
    **ELSEWHERE,
    ask.StandBy: DeviceHost._stand_by,  # noqa: SLF001
    ask.CutBurst: DeviceHost._cut_burst,  # noqa: SLF001
    ask.Act: DeviceHost._act,  # noqa: SLF001
    ask.Note: DeviceHost._note,  # noqa: SLF001
}
