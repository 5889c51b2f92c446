"""The virtual gateway host: drives the gateway core with stimuli and performs what it asks for.

The twin of the asyncio runtime. Decides durability and order: the rows of a batch are committed before
its outward effects are performed, and an inbound message is acknowledged to the broker after the
commit. Leaves out every decision: those are the core's.

Rules: `crash` may come between any two effects (`fuse`); it forgets the core, the inbox and what was
not committed. `restart` builds a new core from the durable rows. The broker keeps the session, so what
was not acknowledged comes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Any, ClassVar, Final

from devicesdk.wire import codec
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import DAY, MS, NEVER, SECOND
from devicesdk.wire.topics import PASSING_KINDS, TEL, UPLINK_KINDS, Topics
from devicesim.world.broker.packets import Connack, Connect, Message, ReasonCode
from devicesim.world.broker_host import BrokerHost
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DOWN, UP, DropCause, Ledger
from devicesim.world.store import BlobStore, GatewayStore
from devicesim.world.trace import GATEWAY, Trace
from devicesim.world.watch import Watch
from gateway.core import effects as ask
from gateway.core import rows
from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway

CLIENT_ID: Final = "gateway"
LATENCY_NS: Final = MS // 2
"""Between broker and gateway, one way: they stand in one rack."""
RECONNECT_NS: Final = SECOND
SUPERVISOR_NS: Final = 5 * SECOND
"""How long a supervisor waits before it starts a process again that has failed."""
DRAIN_BATCHES_MAX: Final = 64
"""Batches that an orderly end handles still; what comes later comes again."""
BATCH_MESSAGES_MAX: Final = 256
GROUP_COMMIT_NS: Final = SECOND
"""Telemetry is made durable and acknowledged this often: nobody waits for its acknowledgement."""
GROUP_COMMIT_MESSAGES_MAX: Final = 32
"""Or as soon as so many wait: they fill the broker's in-flight window, and requests queue behind them."""
RECEIVE_MAXIMUM: Final = 4096
"""In-flight window of the gateway: beyond it the broker queues, and past its bound drops."""


class GatewayHost:
    """Runs the gateway.

    Args:
        make: builds a new core (without rows).
        clock_start_ms: wall-clock UTC at instant 0.
    """

    __slots__ = (
        "_alarm", "_checkpoint", "_down", "_effect_codes", "_fresh", "_group_alarm", "_in_flight", "_inbox", "_inbox_alarm",
        "_kernel", "_ledger", "_make", "_silent", "_start_ms", "_tampering", "_trace", "_unacked", "_watch", "batch_max", "blobs", "broker", "commit_ns", "connected", "core", "crashes", "full", "fuse", "inbox_peak", "kept_down", "messages_in", "models", "store", "topics", "up",
    )  # fmt: skip

    table: ClassVar[dict[type[Any], Callable[[Any, Any, int], None]]] = {}
    """What performs each kind of effect; rows are none of them."""

    def __init__(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        broker: BrokerHost,
        watch: Watch,
        topics: Topics,
        make: Callable[[], Gateway],
        clock_start_ms: int,
    ) -> None:
        self._kernel, self._trace, self._ledger, self.broker = kernel, trace, ledger, broker
        self._down = ledger.leg(DOWN)
        self._watch, self.topics, self._make, self._start_ms = watch, topics, make, clock_start_ms
        self.store, self.blobs = GatewayStore(), BlobStore()
        self.core: Gateway = make()
        self.up = self.connected = False
        self.commit_ns = 0
        self.batch_max = BATCH_MESSAGES_MAX
        self.models: Callable[[ask.Infer], tuple[bytes, int]] | None = None
        """Runs the asks of devices: outputs, and how long it took."""
        self.fuse = -1
        self.kept_down = 0
        """Faults that keep it from being started."""
        self.full = False
        """Whether commits fail."""
        self.crashes = self.messages_in = self.inbox_peak = 0
        self._tampering: Callable[[str, bytes], bytes] | None = None
        self._silent: Callable[[str], bool] | None = None
        self._inbox: deque[tuple[int, Message]] = deque()
        self._in_flight: list[int] = []
        self._inbox_alarm = kernel.alarm(self._take)
        self._alarm = kernel.alarm(self._deadline_comes)
        self._unacked: list[int] = []
        self._group_alarm = kernel.alarm(self._group_commit)
        self._effect_codes: dict[str, int] = {}
        self._fresh = True
        broker.neighbour = self.look

    # -- life -----------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Start the process: restore the core from its rows and connect."""
        self.up = True
        self.core = self._make()
        self._alarm.arm(NEVER)
        self._trace.row(now, GATEWAY, "gateway start", self.crashes)
        self.core.restore(self.store.rows(), now)
        self.stimulate(hear.Started(self._start_ms + now // MS), now)
        if self.up:
            self._connect(now)

    def keep_down(self, now: int) -> None:
        """Once the process has ended nobody starts it, until `let_up` was called as often."""
        del now
        self.kept_down += 1

    def let_up(self, now: int) -> None:
        """One reason less to be down; with the last one gone it starts, if it has ended."""
        self.kept_down -= 1
        if not self.kept_down:
            self.fuse = -1
            self._supervise(now)

    def _supervise(self, now: int, _: object = None) -> None:
        if not self.up and not self.kept_down:
            self.start(now)

    def fill_store(self, now: int, *, full: bool) -> None:
        """Let commits fail, or succeed again; a process whose commit failed ends, and is started again."""
        self.full = full
        self._trace.row(now, GATEWAY, "gateway store full" if full else "gateway store writable", 0)

    def lose_roots(self, keep: int) -> None:
        """All roots but so many of the newest vanish from the store of a process that has ended."""
        held = {key: row for table, key, row in self.store.rows() if table == rows.ROLE}
        roots = sorted(
            (key for key in held if key.startswith("root/")), key=lambda key: int(key[5:])
        )
        for key in roots[:-keep]:
            self.store.put(rows.ROLE, key, None)
            self.blobs.discard(sha256(held[key].data).digest())
        self.store.commit()

    def refuse_rows(self, now: int) -> None:
        """An older version starts, finds rows of a newer one, and ends: it must not guess."""
        rows = sum(1 for _ in self.store.rows())
        self._trace.row(now, GATEWAY, "gateway refuses newer rows", rows)

    def stop(self, now: int) -> None:
        """End in good order: what waits is handled, what was handled is durable, and goodbye is said."""
        for _ in range(DRAIN_BATCHES_MAX):
            if not (self._inbox and self._alive()):
                break
            self._take(now)
        self._group_commit(now)
        if not self.up:
            return
        connected, self.connected = self.connected, False
        self._end(now, "gateway stop")
        if connected:
            self.broker.core.disconnect(now, CLIENT_ID, send_will=False)

    def crash(self, now: int, effect: int = 0) -> None:
        """Kill the process: RAM, inbox and the open batch are gone; the broker sees the socket close.

        Args:
            now: the instant.
            effect: 0: at once; else it is killed at the so manieth effect that it performs from now on.
        """
        if effect:
            self.fuse = effect if self.fuse < 0 else min(self.fuse, effect)
            return
        if not self.up:
            return
        self.crashes += 1
        connected, self.connected = self.connected, False
        self._end(now, "gateway crash")
        if connected:
            self.broker.core.connection_lost(now, CLIENT_ID, ReasonCode.UNSPECIFIED_ERROR)

    def _end(self, now: int, how: str) -> None:
        self.up = False
        self.fuse = -1
        lost = self.store.crash()
        for _, message in self._inbox:
            self._ledger.dropped(DOWN, message.kind, DropCause.GATEWAY_DOWN)
        self._inbox.clear()
        self._in_flight.clear()
        self._unacked.clear()
        self._alarm.arm(NEVER)
        self._trace.row(now, GATEWAY, how, lost)

    def _connect(self, now: int, _: object = None) -> None:
        if not self.up or self.connected:
            return
        if not self.broker.up:
            self._kernel.at(now + RECONNECT_NS, self._connect)
            return
        request = Connect(
            client_id=CLIENT_ID, session_expiry_ns=DAY, receive_maximum=RECEIVE_MAXIMUM
        )
        connack = self.broker.connect(now, request, self)
        self.connected = True
        filters = [
            (self.topics.every_device(kind), int(kind not in PASSING_KINDS))
            for kind in UPLINK_KINDS
        ]
        self.broker.core.subscribe(now, CLIENT_ID, filters)
        self.stimulate(hear.BrokerUp(connack.session_present), now)

    # -- outlet of the broker -------------------------------------------------------------------

    def accepted(self, now: int, connack: Connack) -> None:
        """Outlet: CONNACK (its content came back from `connect`)."""

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:  # noqa: ARG002, FBT001
        """Outlet: a message is on its way to the gateway."""
        self._down.opened[message.kind] += 1
        self._inbox.append((packet_id, message))
        if self._inbox_alarm.at == NEVER and (self.commit_ns or not self.broker.publishing):
            self._inbox_alarm.arm(now + max(LATENCY_NS, self.commit_ns))

    def look(self, now: int) -> None:
        """A device has published: take what came of it, unless the store is slow and a batch waits."""
        if self._inbox and self._inbox_alarm.at == NEVER:
            self._take(now)

    def closed(self, now: int, reason: ReasonCode) -> None:
        """Outlet: the broker ended the connection."""
        self.connected = False
        for _, message in self._inbox:
            self._ledger.dropped(DOWN, message.kind, DropCause.BROKER_DOWN)
        self._inbox.clear()
        self._in_flight.clear()
        self._unacked.clear()
        self._kernel.at(now, self._tell_down, reason.name.lower())

    def _tell_down(self, now: int, reason: str) -> None:
        self.stimulate(hear.BrokerDown(reason), now)
        self._kernel.at(now + RECONNECT_NS, self._connect)

    def on_the_wire(self) -> int:
        """Messages delivered to the gateway's machine and not handled yet."""
        return len(self._inbox)

    def _take(self, now: int) -> None:
        """Handle what is in the inbox; a message is acknowledged once what follows is durable."""
        if not self.up:
            return
        inbox, delivered = self._inbox, self._down.delivered
        waiting, peak = len(inbox), self.inbox_peak
        self.inbox_peak = peak if peak > waiting else waiting
        for _ in range(waiting if waiting < self.batch_max else self.batch_max):
            packet_id, message = inbox.popleft()
            delivered[message.kind] += 1
            self.messages_in += 1
            self._hear_message(message, now)
            if not self._alive():
                return
            if message.kind == TEL:
                self._unacked.append(packet_id)
            elif packet_id:
                self.broker.core.puback(now, CLIENT_ID, packet_id)
        self._after(now)
        if len(self._unacked) >= GROUP_COMMIT_MESSAGES_MAX:
            self._group_commit(now)
        elif self._unacked and self._group_alarm.at == NEVER:
            self._group_alarm.arm(now + GROUP_COMMIT_NS)
        if inbox:
            self._inbox_alarm.arm(now + max(LATENCY_NS // 10, self.commit_ns))

    def _alive(self) -> bool:
        return self.up and self.connected

    def _group_commit(self, now: int) -> None:
        """Make the telemetry of the last moments durable in one go, then acknowledge it."""
        if not self._alive():
            return
        self._perform(self.core.checkpoint(now), now)
        packets, self._unacked = self._unacked, []
        for packet_id in packets:
            if packet_id and self.up and self.connected:
                self.broker.core.puback(now, CLIENT_ID, packet_id)

    def _hear_message(self, message: Message, now: int) -> None:
        try:
            kind, device = self.topics.parse(message.topic)
        except BadTopic:
            self._trace.row(now, GATEWAY, "bad topic", len(message.topic))
            return
        said = self.core.handle(hear.Arrived(kind, device, message.payload, message.retain), now)
        if said:
            self._perform(said, now)

    # -- the five steps -------------------------------------------------------------------------

    def stimulate(self, stimulus: hear.AnyStimulus, now: int) -> None:
        """Hand a stimulus to the core and perform what it asks for; lost when the process is down."""
        if self.up:
            self._step(stimulus, now)
            self._after(now)

    def _step(self, stimulus: hear.AnyStimulus, now: int) -> None:
        self._perform(self.core.handle(stimulus, now), now)

    def _after(self, now: int) -> None:
        """Tell the core of its acknowledgements, and ask for its deadline."""
        if self._in_flight and self._fresh:
            self._fresh = False
            self._kernel.at(now + 2 * LATENCY_NS, self._acknowledged)
        if self.up:
            due = self.core.deadline()
            at = NEVER if due is None else due[0]
            at = at if at > now else now
            if at != self._alarm.at:
                self._alarm.arm(at)

    def _acknowledged(self, now: int, _: object) -> None:
        self._fresh = True
        tokens, self._in_flight = self._in_flight, []
        if self.connected:
            for token in tokens:
                if self.up:
                    self._step(hear.PubAcked(token), now)
        if self.up:
            self._after(now)

    def _deadline_comes(self, now: int) -> None:
        self.stimulate(hear.DeadlineReached(), now)

    def _perform(self, effects: list[ask.AnyEffect], now: int) -> None:
        """Rows first, one commit, then everything else in order; a crash can come at any of them."""
        if not effects:
            return
        rows = [effect for effect in effects if type(effect) is ask.Persist]
        if rows and not self._made_durable(rows, now):
            return
        for effect in effects:
            perform = self.table.get(type(effect))
            if perform is None:
                continue  # a row: already durable
            if self._burns(now):
                return
            perform(self, effect, now)

    def _made_durable(self, rows: list[ask.Persist], now: int) -> bool:
        """Put the rows and commit them; False when the process ended at it."""
        for row in rows:
            if self._burns(now):
                return False
            for seen in self._watch.persisted:
                seen(row, now)
            self.store.put(row.table, row.key, row.row)
        if self._burns(now):
            return False
        if self.full:  # as the real one: a commit that fails ends the process
            self.crash(now)
            self._kernel.at(now + SUPERVISOR_NS, self._supervise)
            return False
        self.store.commit()
        return True

    def _burns(self, now: int) -> bool:
        if self.fuse > 0:
            self.fuse -= 1
            if not self.fuse:
                self.crash(now)
        return not self.up

    def _publish(self, effect: ask.Publish, now: int) -> None:
        for seen in self._watch.gateway_published:
            seen(effect, now)
        if not self.connected:
            return  # the outbox keeps it; `BrokerUp` says it again
        expiry = now + effect.expiry_ns if effect.expiry_ns else None
        message = Message(
            effect.topic,
            effect.payload,
            1 if effect.token else 0,
            effect.retain,
            expiry,
            effect.kind,
        )
        self._ledger.opened(UP, effect.kind)
        self._ledger.delivered(UP, effect.kind)
        self.broker.core.publish(now, CLIENT_ID, message)
        if effect.token:
            self._in_flight.append(effect.token)

    def _send_round(self, effect: ask.SendRound, now: int) -> None:
        if not self.connected:
            return
        if self._silent is not None and self._silent(effect.device):
            self._ledger.opened(UP, "dat", len(effect.indices))
            self._ledger.dropped(UP, "dat", DropCause.SOURCE_GONE, len(effect.indices))
            return
        topic = self.topics.device(effect.device, "dat")
        last = len(effect.indices) - 1
        for place, index in enumerate(effect.indices):
            chunk = self.blobs.read(effect.blob, index * effect.chunk_bytes, effect.chunk_bytes)
            if self._tampering is not None:
                chunk = self._tampering(effect.device, chunk)
            frame = codec.Frame(
                effect.transfer,
                effect.seq,
                effect.blob[:8],
                index,
                last + 1 if place == last else 0,
            )
            message = Message(topic, codec.encode_frame(frame, chunk), 0, False, None, "dat")
            self._ledger.opened(UP, "dat")
            self._ledger.delivered(UP, "dat")
            self.broker.core.publish(now, CLIENT_ID, message)

    def _keep_blob(self, effect: ask.KeepBlob, now: int) -> None:  # noqa: ARG002 - all effects are called alike
        self.blobs.add(effect.data)

    def _infer(self, effect: ask.Infer, now: int) -> None:
        """Run frames; how long that takes is this machine's, the outputs are a real model's."""
        outputs, took_ns = self.models(effect) if self.models is not None else (b"", MS)
        answer = hear.Inferred(effect.job, outputs)
        self._kernel.at(now + took_ns, self._inferred, (self.crashes, answer))

    def _inferred(self, now: int, argument: tuple[int, hear.Inferred]) -> None:
        if argument[0] == self.crashes:
            self.stimulate(argument[1], now)

    def _note(self, effect: ask.Note, now: int) -> None:
        code = self._effect_codes.get(effect.kind)
        if code is None:
            code = self._effect_codes[effect.kind] = self._trace.vocabulary.number(effect.kind)
        self._trace.extend((now, GATEWAY, code, effect.a, effect.b))
        for seen in self._watch.gateway_noted:
            seen(effect, now)

    def tamper(self, change: Callable[[str, bytes], bytes] | None) -> None:
        """Let a fault change chunks on their way: called with (device, chunk); None ends it."""
        self._tampering = change

    def silence(self, is_silent: Callable[[str], bool] | None) -> None:
        """Let a fault leave requests for chunks without an answer; None ends it."""
        self._silent = is_silent


GatewayHost.table = {
    ask.Publish: GatewayHost._publish,  # noqa: SLF001 - the table of this very class
    ask.SendRound: GatewayHost._send_round,  # noqa: SLF001
    ask.KeepBlob: GatewayHost._keep_blob,  # noqa: SLF001
    ask.Infer: GatewayHost._infer,  # noqa: SLF001
    ask.Note: GatewayHost._note,  # noqa: SLF001
}
