"""One connection to an MQTT 5 broker, as an asyncio protocol.

Decides when bytes are written, what each packet means to the listener, what ends a connection and
with which word. Leaves out how the socket is opened (lean.py), packet ids and the window
(lean_window.py), when silence is death (lean_vigil.py) and bytes (lean_packets.py).

Theory of operation. Packets of one turn of the loop are collected, and written at once before the loop
reads again. So a process of many connections (a simulated fleet) reads from all that have something
before it writes to any, and what they ask for reaches a gateway together. One timer per connection
waits first for the CONNACK, then for the keep-alive, last for the closing socket.

Rules: a connection is used once. Whoever ends it sets `_over` first, and nothing is told after that
but the end itself. What is read is bounded by `Dial.packet_bytes_max`, what is published by
`UNSENT_BYTES_MAX`, that and what answers reads by `BACKLOG_BYTES_MAX`. Nothing that a broker sends
raises into the loop.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from mqtt5 import (
    ConnAckPacket,
    DisconnectPacket,
    Packet,
    PingRespPacket,
    PubAckPacket,
    PublishPacket,
    SubAckPacket,
)

from devicesdk.aio.lean_packets import (
    PING,
    PROTOCOL_ERROR,
    QOS,
    QOS_NOT_SUPPORTED,
    TOPIC_ALIAS_INVALID,
    Reader,
    disconnect_packet,
    in_words,
    problem_of,
    scratch_of,
    subscribe_packet,
)
from devicesdk.aio.lean_vigil import Due, Vigil
from devicesdk.aio.lean_window import Window
from devicesdk.aio.port import (
    UNSENT_BYTES_MAX,
    Dial,
    Granted,
    Inbound,
    Listener,
    PortFullError,
)
from devicesdk.aio.proof import Proof

PACKET_BYTES_STANDARD: Final = 268_435_460
"""Longest packet that MQTT 5 can express: what a broker takes when it names no maximum."""
LINGER_S: Final = 5.0
"""How long a closing socket may take to get rid of its last bytes."""
FLUSH_BYTES: Final = 64 * 1024
"""So much is not held back until the end of the turn: it would leave the processor's caches."""
BACKLOG_BYTES_MAX: Final = 2 * UNSENT_BYTES_MAX
"""Unsent, answers included. More: a broker that sends for ever and reads nothing is hung up on."""
PROOF_WAIT_S: Final = 0.05
"""So long an acknowledgement may wait for a write that takes its ping along, before one is made for it."""
GATHER_BYTES: Final = 2_048
"""Packets that are larger on average go out one by one (uvloop: writev), smaller ones are joined."""


def trouble_in_words(error: Exception) -> str:
    """What went wrong with a socket, for people: the system's or OpenSSL's own words."""
    if isinstance(error, ssl.SSLError):  # an OSError whose errno is OpenSSL's
        return (error.reason or str(error)).lower().replace("_", " ")
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error.strerror or error)


class Owner(Protocol):
    """Who must know that a connection ended by itself, before the listener does."""

    def release(self) -> None:
        """Forget the connection; a new one may begin."""


class Connection(asyncio.BufferedProtocol):
    """From the first SYN to the end of the socket.

    Args:
        owner: told with `release` before the listener hears that the connection ended.
        hello: the CONNECT packet.
        epoch: in the upper bits of the packet ids that the listener gets, so that an acknowledgement
            which comes a connection late is not taken for one of this connection.
    """

    __slots__ = (
        "_backlog",
        "_bytes_max",
        "_dial",
        "_epoch",
        "_gathers",
        "_hear_all",
        "_heard",
        "_hello",
        "_listener",
        "_loop",
        "_out",
        "_out_bytes",
        "_over",
        "_owner",
        "_proof",
        "_reader",
        "_timer",
        "_transport",
        "_unacked",
        "_vigil",
        "_window",
        "opening",
        "up",
    )

    def __init__(
        self,
        owner: Owner,
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
        dial: Dial,
        hello: bytes,
        epoch: int,
    ) -> None:
        self._owner, self._listener, self._loop = owner, listener, loop
        self._dial, self._hello, self._epoch = dial, hello, epoch << 16
        self._hear_all: Callable[[list[Inbound]], None] | None = getattr(
            listener, "on_messages", None
        )
        self._gathers = False
        """Connected, and the listener takes the QoS 0 messages of a read together."""
        self._heard: list[Inbound] = []
        """QoS 0 messages of the read in hand that the listener has not been told of."""
        self._transport: asyncio.Transport | None = None
        self._reader = Reader(dial.packet_bytes_max, scratch_of(loop))
        self._window: Window | None = None
        self._vigil: Vigil | None = None
        self._unacked: set[int] | None = None
        self._proof: Proof | None = None
        self._out: list[bytes] = []
        self._out_bytes = self._backlog = self._bytes_max = 0
        self._over = False
        self._timer: asyncio.TimerHandle | None = loop.call_later(
            dial.timeout_s, self.fail, "timeout"
        )
        self.opening: asyncio.Task[None] | None = None
        """The opening of the socket, kept here so that it lives, and can be cancelled."""
        self.up = False
        """Between CONNACK and the end."""

    # ---- what the port asks ----

    @property
    def unsent_bytes(self) -> int:
        """Bytes collected here, waiting for acknowledgements, or with the transport."""
        held = self._window.held_bytes if self._window else 0
        transport = self._transport
        stuck = transport.get_write_buffer_size() if transport else 0
        return self._out_bytes + held + stuck

    def publish(
        self, topic: str, payload: bytes, qos: int, token: int, expiry_s: int, *, retain: bool
    ) -> None:
        """Send a PUBLISH, or put it aside until the window has room."""
        window = self._window
        if window is None or not self.up:
            return
        packet_id = window.allot() if qos else None
        packet = PublishPacket(
            topic,
            payload,
            qos=QOS[qos],
            retain=retain,
            packet_id=packet_id,
            message_expiry_interval=expiry_s or None,
        ).write()
        self._check_size(len(packet), topic)
        if packet_id is None or window.admit(packet_id, token, packet):
            self._send(packet)

    def subscribe(self, filters: tuple[str, ...], qos: int) -> None:
        """Send a SUBSCRIBE."""
        if self._window is not None and self.up:
            self._send(subscribe_packet(self._window.ask(len(filters)), filters, qos))

    def acknowledge(self, packet_id: int) -> None:
        """Send a PUBACK, once for each message of this connection."""
        wire_id = packet_id - self._epoch
        if self.up and self._unacked and wire_id in self._unacked:
            self._unacked.remove(wire_id)
            self._send(PubAckPacket(wire_id).write())

    def disconnect(self, code: int) -> None:
        """Say DISCONNECT if there is someone to hear it, and close."""
        if self.up:
            self._finish()
            self._say_goodbye(code)
        else:
            self.abort()

    def abort(self) -> None:
        """Close without a word; what was collected in this turn is lost, as in a crash."""
        self._finish()
        if self._transport is not None:
            self._transport.abort()

    def fail(self, reason: str, code: int | None = None) -> None:
        """End by a cause that is not the host's: tell the broker (`code`) and the listener."""
        if self._over:
            return
        was_up = self.up
        if code is not None and was_up:
            self.disconnect(code)
        else:
            self.abort()
        self._owner.release()
        if was_up:
            self._listener.on_disconnected(reason)
        else:
            self._listener.on_connect_failed(reason)

    def _finish(self) -> None:
        self._over, self.up = True, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None

    def _say_goodbye(self, code: int) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(b"".join((*self._out, disconnect_packet(code))))
        self._out.clear()
        transport.close()
        self._timer = self._loop.call_later(LINGER_S, transport.abort)

    # ---- what the transport says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: send the CONNECT."""
        # uvloop's transports behave as `asyncio.Transport` and do not inherit from it.
        self._transport = socket = cast("asyncio.Transport", transport)
        if self._over:
            socket.abort()
            return
        socket.write(self._hello)
        self._hello = b""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the socket is to be read into."""
        del sizehint
        return self._reader.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Handle every whole packet; what comes of it is sent before the loop reads again."""
        if self._vigil is not None:
            self._vigil.read_at = self._loop.time()
        reader = self._reader
        for packet in reader.filled(nbytes):
            if self._over:
                return
            if (self._gathers and type(packet) is PublishPacket
                    and packet.packet_id is None and packet.topic_alias is None):  # fmt: skip
                self._heard.append(Inbound(packet.topic, packet.payload, 0, packet.retain, 0))
            else:
                self._handle(packet)
        if self._heard:
            self._tell_heard()
        proof = self._proof
        if proof is not None and not (self._out or self._over) and proof.begin_wait():
            self._loop.call_later(PROOF_WAIT_S, self._prove)
        if reader.fault is not None:
            self.fail(reader.fault.reason, reader.fault.code)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._transport = None
        if self._over:
            self._finish()
        else:
            reason = "closed by the broker" if exc is None else f"lost: {trouble_in_words(exc)}"
            self.fail(reason)

    # ---- reading ----

    def _tell_heard(self) -> None:
        heard, self._heard = self._heard, []
        if self._hear_all is not None and not self._over:
            self._hear_all(heard)

    def _handle(self, packet: Packet) -> None:
        if self._heard:
            self._tell_heard()  # in order
            if self._over:
                return
        if not self.up:
            if isinstance(packet, ConnAckPacket):
                self._on_connack(packet)
            else:
                self.fail(f"protocol error: expected CONNACK, found {type(packet).__name__}")
        elif type(packet) is PublishPacket:  # exact classes, the frequent ones first: faster
            self._on_publish(packet)
        elif type(packet) is PubAckPacket:
            self._on_puback(packet)
        elif isinstance(packet, SubAckPacket):
            self._on_suback(packet)
        elif isinstance(packet, DisconnectPacket):
            self.fail(f"broker says: {in_words(packet.reason_code)}")
        elif isinstance(packet, PingRespPacket):
            self._on_pingresp()
        else:
            name = type(packet).__name__
            self.fail(f"protocol error: unexpected {name}", PROTOCOL_ERROR)

    def _on_connack(self, packet: ConnAckPacket) -> None:
        problem = problem_of(packet)
        if problem is not None:
            self.fail(problem)
            return
        keepalive_s = packet.server_keep_alive
        if keepalive_s is None:
            keepalive_s = self._dial.keepalive_s
        self._bytes_max = packet.max_packet_size or PACKET_BYTES_STANDARD
        self._window = Window(packet.receive_max)
        if self._dial.proven_acks:
            self._proof = Proof()
        self.up = True
        self._gathers = self._hear_all is not None
        self._begin_vigil(keepalive_s)
        self._listener.on_connected(
            Granted(
                session_present=packet.session_present,
                receive_maximum=packet.receive_max,
                packet_bytes_max=self._bytes_max,
                keepalive_s=keepalive_s,
            )
        )

    def _on_publish(self, packet: PublishPacket) -> None:
        wire_id = packet.packet_id
        if packet.topic_alias is not None:
            self.fail("protocol error: a topic alias, none was allowed", TOPIC_ALIAS_INVALID)
            return
        if wire_id is None:
            self._listener.on_message(Inbound(packet.topic, packet.payload, 0, packet.retain, 0))
            return
        code = self._note(wire_id, int(packet.qos))
        if code:
            self.fail(f"protocol error {code:#x}: publish {wire_id}, QoS {packet.qos}", code)
            return
        handle = self._epoch + wire_id
        self._listener.on_message(
            Inbound(packet.topic, packet.payload, 1, packet.retain, handle, packet.duplicate)
        )
        if not self._dial.manual_ack and self.up:
            self._send(PubAckPacket(wire_id).write())

    def _note(self, wire_id: int, qos: int) -> int:
        """Remember what is to be acknowledged by hand; 0, or the code of the broker's mistake."""
        if qos > 1:
            return QOS_NOT_SUPPORTED
        if wire_id == 0:
            return PROTOCOL_ERROR
        if not self._dial.manual_ack:
            return 0
        if self._unacked is None:
            self._unacked = set()
        self._unacked.add(wire_id)
        # No quarrel over the receive maximum: mosquitto 2.0 answers one PUBACK with as many messages as
        # the whole window, and cutting it off has it send all of them once more. Packet identifiers
        # bound what is unacknowledged at 65,535 messages.
        return 0

    def _on_puback(self, packet: PubAckPacket) -> None:
        assert self._window is not None, "a connection that is up has a window"
        token = self._window.settle(packet.packet_id)
        if token is None:
            return
        following = self._window.release()
        if following is not None:
            self._send(following)
        if self._proof is not None:
            self._proof.acked(token, int(packet.reason_code))
        else:
            self._listener.on_puback(token, int(packet.reason_code))

    def _on_pingresp(self) -> None:
        for token, code in self._proof.answered() if self._proof is not None else ():
            if self._over:
                return
            self._listener.on_puback(token, code)

    def _on_suback(self, packet: SubAckPacket) -> None:
        assert self._window is not None, "a connection that is up has a window"
        asked = self._window.answer(packet.packet_id)
        codes = tuple([int(code) for code in packet.reason_codes])
        if asked is None:
            return
        if asked != len(codes):
            reason = f"protocol error: expected {asked} codes in a SUBACK, found {len(codes)}"
            self.fail(reason, PROTOCOL_ERROR)
            return
        self._listener.on_suback(codes)

    # ---- writing ----

    def _check_size(self, size: int, topic: str) -> None:
        if size > self._bytes_max:
            raise ValueError(
                f"expected a publish of at most {self._bytes_max} bytes, which is this broker's "
                f"limit, found {size} for {topic}: send less at once"
            )
        # `_backlog` was true at the last write, and can only have shrunk since.
        here = self._out_bytes + (self._window.held_bytes if self._window else 0)
        if here + self._backlog + size > UNSENT_BYTES_MAX:
            unsent = self.unsent_bytes
            self._backlog = unsent - here
            if unsent + size > UNSENT_BYTES_MAX:
                raise PortFullError(
                    f"expected at most {UNSENT_BYTES_MAX} unsent bytes, found {unsent} and {size} "
                    "more: the broker takes less than it is sent; wait until unsent_bytes falls"
                )

    def _send(self, packet: bytes) -> None:
        out = self._out
        out.append(packet)
        self._out_bytes += len(packet)
        if self._out_bytes >= FLUSH_BYTES:
            self._flush()
        elif len(out) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        out, transport = self._out, self._transport
        if not out or transport is None or self._over:
            return
        if self._proof is not None and self._proof.wants_ping:  # in the same write
            self._proof.pinged()
            out.append(PING)
        if self._out_bytes > GATHER_BYTES * len(out):
            transport.writelines(out)
        else:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        self._out_bytes = 0
        if self._vigil is not None:
            self._vigil.written_at = self._loop.time()
        self._backlog = transport.get_write_buffer_size()
        if self._backlog > BACKLOG_BYTES_MAX:  # publishes are refused before: these are answers
            self.fail(f"it takes nothing: {self._backlog} bytes wait, mostly acknowledgements")

    # ---- keep-alive ----

    def _begin_vigil(self, keepalive_s: int) -> None:
        if self._timer is not None:  # the one that waited for the CONNACK
            self._timer.cancel()
            self._timer = None
        if keepalive_s:
            self._vigil = Vigil(keepalive_s, self._loop.time())
            self._timer = self._loop.call_later(keepalive_s, self._watch)

    def _ping(self) -> None:
        if self._proof is not None:
            self._proof.pinged()
        self._send(PING)

    def _prove(self) -> None:
        assert self._proof is not None, "a wait for a proof that nobody wants"
        self._proof.waits = False
        if self._proof.wants_ping and not self._over:
            self._ping()

    def _watch(self) -> None:
        self._timer = None
        assert self._vigil is not None, "the timer of a connection without keep-alive"
        due, next_at = self._vigil.look(self._loop.time())
        if due is Due.DEATH:
            self.fail("silent")
            return
        if due is Due.PING:
            self._ping()
        self._timer = self._loop.call_at(next_at, self._watch)
