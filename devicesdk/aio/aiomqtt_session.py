"""One connection through aiomqtt: its coroutines on one side, the listener's callbacks on the other.

Decides what makes aiomqtt keep the promises of port.py: the broker's receive maximum, PUBACK after
`on_message`, death after 1.5 keep-alives of silence. Leaves out packets and how paho is heard
(aiomqtt_hooks.py).

Theory of operation. One task per connection: dial, then a task group of a receiver, a sender and a
watch, then the end of the socket. The first to notice an end calls `fail`; all others are cancelled.

Rules: a session is used once, and dials when the socket of the one before is closed, or the broker
would see one client id twice. Dialling is never cancelled, because a thread of aiomqtt does it: a
session given up meanwhile closes what it gets, after the dial's timeout at the latest.
`max_queued_incoming_messages` is never set: aiomqtt would drop what it is too full for, after the
PUBACK. The receive maximum bounds that queue for QoS 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from typing import Final, Protocol

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from devicesdk.aio.aiomqtt_hooks import MALFORMED, Hooks
from devicesdk.aio.lean_packets import PACKET_TOO_LARGE
from devicesdk.aio.lean_vigil import Due, Vigil
from devicesdk.aio.lean_window import IN_FLIGHT_MAX
from devicesdk.aio.port import (
    QUEUE_MESSAGES_MAX,
    UNSENT_BYTES_MAX,
    Dial,
    Endpoint,
    Granted,
    Inbound,
    Listener,
    PortFullError,
)
from devicesdk.aio.proof import Proof

LINGER_S: Final = 5.0
"""How long a closing socket may take to get rid of its last bytes."""
SHUT_S: Final = 0.5
"""How long paho may take to see that its socket was shut."""
LOOK_S: Final = 0.01
"""How often a closing socket is looked at."""
OVERHEAD_BYTES_MAX: Final = 16
"""Of a PUBLISH beside topic and payload: 5 header, 2 topic length, 2 id, 1 + 5 properties."""


class Owner(Protocol):
    """Who must know that a session ended by itself, before the listener does."""

    def release(self) -> None:
        """Forget the session; a new one may begin."""


class Outgoing(msgspec.Struct, frozen=True):
    """A publish that waits, or is on its way."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    token: int
    expiry_s: int


class Session:
    """From the dial to the end of the socket.

    Args:
        before: the task of the session before, waited for.
        epoch: in the upper bits of the packet ids that the listener gets.

    Raises:
        ValueError: the dial or the endpoint cannot be put into a CONNECT.
    """

    def __init__(
        self,
        owner: Owner,
        listener: Listener,
        endpoint: Endpoint,
        dial: Dial,
        epoch: int,
        before: asyncio.Task[None] | None,
    ) -> None:
        self._owner, self._listener, self._dial, self._epoch = owner, listener, dial, epoch << 16
        self._loop = asyncio.get_running_loop()
        self._hooks = Hooks(endpoint, dial, self)
        self._granted: Granted | None = None
        self._vigil: Vigil | None = None
        self._window = asyncio.Semaphore(0)
        self._waiting: deque[Outgoing | tuple[tuple[str, ...], int]] = deque()
        self._wake = asyncio.Event()
        self._unacked: set[int] = set()
        self._proof = Proof() if dial.proven_acks else None
        self._goodbye: int | None = None
        self._over = self._cancellable = False
        self.unsent_bytes = 0
        """Handed over; of QoS 1 until acknowledged, since aiomqtt does not tell what was written."""
        self.up = False
        self._timer = self._loop.call_later(dial.timeout_s, self.fail, "timeout")
        self.task: asyncio.Task[None] = self._loop.create_task(self._live(before))

    # ---- what the port asks ----

    def publish(self, outgoing: Outgoing) -> None:
        """Put a publish into the queue."""
        if not self.up or self._granted is None:
            return
        aiomqtt.Topic(outgoing.topic)  # raises ValueError for what is none
        size = len(outgoing.payload)
        whole = size + len(outgoing.topic.encode()) + OVERHEAD_BYTES_MAX
        if whole > self._granted.packet_bytes_max:
            raise ValueError(
                f"expected a publish of at most {self._granted.packet_bytes_max} bytes, which is "
                f"this broker's limit, found {whole} for {outgoing.topic}: send less at once"
            )
        if len(self._waiting) >= QUEUE_MESSAGES_MAX:
            raise PortFullError(
                f"expected at most {QUEUE_MESSAGES_MAX} publishes to wait, found one more: "
                "wait for on_puback"
            )
        if self.unsent_bytes + size > UNSENT_BYTES_MAX:
            raise PortFullError(
                f"expected at most {UNSENT_BYTES_MAX} unsent bytes, found {self.unsent_bytes} and "
                f"{size} more: wait until unsent_bytes falls"
            )
        self.unsent_bytes += size
        self._put(outgoing)

    def subscribe(self, filters: tuple[str, ...], qos: int) -> None:
        """Put a SUBSCRIBE into the queue."""
        if self.up:
            for each in filters:
                aiomqtt.Wildcard(each)  # raises ValueError for what is none
            self._put((filters, qos))

    def acknowledge(self, packet_id: int) -> None:
        """Send a PUBACK, once for each message of this session."""
        wire_id = packet_id - self._epoch
        if self.up and wire_id in self._unacked:
            self._unacked.remove(wire_id)
            self._hooks.acknowledge(wire_id)

    def end(self, goodbye: int | None) -> None:
        """Say DISCONNECT with this code, or nothing, and close."""
        self._goodbye = goodbye if self.up else None
        self._over, self.up = True, False
        self._timer.cancel()
        if self._cancellable:
            self.task.cancel()

    def fail(self, reason: str, code: int | None = None) -> None:
        """End by a cause that is not the host's: tell the broker (`code`) and the listener."""
        if self._over:
            return
        was_up = self.up
        self.end(code)
        self._owner.release()
        if was_up:
            self._listener.on_disconnected(reason)
        else:
            self._listener.on_connect_failed(reason)

    # ---- what paho tells ----

    def on_heard(self) -> None:
        """Something was read: the thread that dialled is done."""
        self._cancellable = True
        if self._vigil is not None:
            self._vigil.read_at = self._loop.time()

    def on_granted(self, granted: Granted) -> None:
        """CONNACK with success."""
        self._granted = granted

    def on_acked(self, token: int, code: int) -> None:
        """PUBACK."""
        if self._proof is None:
            self._tell_acked(token, code)
            return
        self._proof.acked(token, code)
        if self._proof.wants_ping:
            self._loop.call_soon(self._prove)  # together with what the same read brings

    def on_pinged(self) -> None:
        """A PINGREQ leaves."""
        if self._proof is not None:
            self._proof.pinged()

    def on_ponged(self) -> None:
        """PINGRESP: what was acknowledged before its ping is proven."""
        if self._proof is None:
            return
        for token, code in self._proof.answered():
            self._tell_acked(token, code)
        self._prove()

    def _prove(self) -> None:
        if self.up and self._proof is not None and self._proof.wants_ping:
            self._hooks.ping()

    def _tell_acked(self, token: int, code: int) -> None:
        if self.up:
            self._listener.on_puback(token, code)

    def on_lost(self, reason: str, code: int | None = None) -> None:
        """The connection is gone, was refused, or must end with a DISCONNECT of this code."""
        self.fail(reason, code)

    # ---- the task ----

    async def _live(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        if self._over:
            return
        try:
            async with self._hooks.client:
                self._cancellable = True
                try:
                    await self._converse()
                finally:
                    await self._close()
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            self.fail(f"cannot connect: {str(error).lower()}")
        finally:
            await self._close()
            await self._drain()

    @property
    def _given_up(self) -> bool:
        return self._over

    async def _converse(self) -> None:
        """Everything between CONNACK and the end."""
        if self._granted is None or self._given_up:
            return
        self._timer.cancel()
        window = min(self._granted.receive_maximum, IN_FLIGHT_MAX)
        self._window = asyncio.Semaphore(window)
        self.up = True
        self._listener.on_connected(self._granted)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive())
            group.create_task(self._send(group))
            if self._granted.keepalive_s:
                group.create_task(self._watch(self._granted.keepalive_s))

    async def _receive(self) -> None:
        try:
            async for message in self._hooks.client.messages:
                self._take(message)
        except aiomqtt.MqttError as error:  # mostly known from a hook, earlier and better
            self.fail(f"lost: {error}")

    def _take(self, message: aiomqtt.Message) -> None:
        size, wire_id = len(message.payload), message.mid if message.qos else 0
        if size > self._dial.packet_bytes_max:
            reason = f"expected at most {self._dial.packet_bytes_max} bytes, found {size}"
            self.fail(f"packet too large: {reason}", PACKET_TOO_LARGE)
            return
        if wire_id:
            self._unacked.add(wire_id)
        handle = self._epoch + wire_id if wire_id else 0
        topic, payload = message.topic.value, bytes(message.payload)
        if self.up:
            self._listener.on_message(Inbound(topic, payload, message.qos, message.retain, handle))
        if wire_id and not self._dial.manual_ack:
            self.acknowledge(handle)

    def _put(self, item: Outgoing | tuple[tuple[str, ...], int]) -> None:
        self._waiting.append(item)
        self._wake.set()

    async def _send(self, group: asyncio.TaskGroup) -> None:
        """Start what waits in its order, QoS 1 within the window."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                item = self._waiting[0]
                if isinstance(item, Outgoing):
                    if item.qos:
                        await self._window.acquire()
                    group.create_task(self._deliver(item))
                else:
                    group.create_task(self._ask(*item))
                self._waiting.popleft()

    async def _deliver(self, item: Outgoing) -> None:
        props = None
        if item.expiry_s:
            props = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
            props.MessageExpiryInterval = item.expiry_s
        self._hooks.token = item.token if item.qos else None
        try:
            await self._hooks.client.publish(
                item.topic, item.payload, item.qos, item.retain, props, timeout=math.inf
            )
        except aiomqtt.MqttError as error:
            self.fail(f"lost: {error}")
        self.unsent_bytes -= len(item.payload)
        if item.qos:
            self._window.release()

    async def _ask(self, filters: tuple[str, ...], qos: int) -> None:
        wishes = [(each, SubscribeOptions(qos=qos)) for each in filters]
        try:
            codes = await self._hooks.client.subscribe(wishes, timeout=math.inf)
        except aiomqtt.MqttError as error:
            self.fail(f"lost: {error}")
            return
        if self.up:
            self._listener.on_suback(tuple([c if isinstance(c, int) else c.value for c in codes]))

    async def _watch(self, keepalive_s: int) -> None:
        """Find silence; paho by itself needs two keep-alives and two seconds."""
        vigil = self._vigil = Vigil(keepalive_s, self._loop.time())
        look_s = min(1.0, keepalive_s / 4)
        while True:
            due, next_at = vigil.look(self._loop.time())
            if due is Due.DEATH:
                self.fail("silent")
                return
            self._hooks.ping_if_due()
            await asyncio.sleep(min(look_s, max(LOOK_S, next_at - self._loop.time())))

    async def _close(self) -> None:
        """Get the socket closed, with the goodbye if there is one; paho cleans up after itself."""
        if self._goodbye is not None:
            self._hooks.say_goodbye(self._goodbye)
            self._goodbye = None
            await self._wait_closed(LINGER_S)
        self._hooks.shut()
        await self._wait_closed(SHUT_S)
        if not self._hooks.closed:  # paho chokes on what it read: a write that fails frees it
            self._hooks.say_goodbye(MALFORMED)
            await self._wait_closed(SHUT_S)

    async def _wait_closed(self, patience_s: float) -> None:
        until = self._loop.time() + patience_s
        while not self._hooks.closed and self._loop.time() < until:  # noqa: ASYNC110 - paho has no event for it
            await asyncio.sleep(LOOK_S)

    async def _drain(self) -> None:
        """Take note of aiomqtt's reason: it keeps it in a future that complains if nobody looks."""
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                async for _ in self._hooks.client.messages:
                    pass
