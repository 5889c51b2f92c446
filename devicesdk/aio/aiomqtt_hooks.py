"""What aiomqtt 2.5 does not pass on, taken from the paho-mqtt client under it.

Decides where we listen in: aiomqtt tells neither session present, the CONNACK's properties, the
reason codes of PUBACK and DISCONNECT, why a socket broke, nor when something was last read. paho does; its
callbacks are chained behind aiomqtt's own. Leaves out what follows from it (aiomqtt_session.py).

Rules: four private names are touched, here alone: aiomqtt's `Client._client`, and paho's `_send_pingreq`,
`_handle_pingresp` and `_ping_t`, because pings prove acknowledgements (proof.py) and paho has no public word for them. Messages are always
acknowledged by us, after they were handled: paho by itself does so before aiomqtt even queued them.
paho's log goes nowhere: what it says of a broken socket is in the reason that the listener hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final, Protocol

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devicesdk.aio.port import Dial, Endpoint, Granted

PACKET_BYTES_STANDARD: Final = 268_435_460
MALFORMED: Final = 0x81
PENDING_CALLS_WARNED: Final = 1_000_000
"""aiomqtt warns in the log from so many on; our own bounds are what counts."""
_MUTE: Final = logging.getLogger("fleetdrill.paho")
_MUTE.addHandler(logging.NullHandler())
_MUTE.propagate = False


class Told(Protocol):
    """Who is told."""

    def on_heard(self) -> None:
        """Something was read."""

    def on_granted(self, granted: Granted) -> None:
        """CONNACK with success."""

    def on_acked(self, token: int, code: int) -> None:
        """PUBACK."""

    def on_pinged(self) -> None:
        """A PINGREQ leaves."""

    def on_ponged(self) -> None:
        """PINGRESP."""

    def on_lost(self, reason: str, code: int | None = None) -> None:
        """The connection is gone, was refused, or must end with a DISCONNECT of this code."""


class Hooks:
    """Between an aiomqtt client, its paho client, and a session.

    Raises:
        ValueError: the dial or the endpoint cannot be put into a CONNECT.
    """

    def __init__(self, endpoint: Endpoint, dial: Dial, told: Told) -> None:
        self._told, self._dial = told, dial
        self._tokens: dict[int, int] = {}
        self._trouble = ""
        self.token: int | None = None
        """Set just before a QoS 1 message is handed to aiomqtt: paho's id for it becomes known here."""
        self.client = _make_client(endpoint, dial)
        paho = self._paho = self.client._client  # noqa: SLF001 - see the rules above
        paho.connect_timeout = dial.timeout_s
        paho.manual_ack_set(True)
        self._chain(paho)

    def _chain(self, paho: Paho) -> None:
        """Put our ears behind aiomqtt's."""
        connected: Any = paho.on_connect
        lost: Any = paho.on_disconnect
        published: Any = paho.on_publish
        read, publish = paho.loop_read, paho.publish

        def on_connect(
            c: Paho, u: Any, flags: ConnectFlags, code: ReasonCode, props: Properties | None
        ) -> None:
            connected(c, u, flags, code, props)
            if code.value:
                self._told.on_lost(f"refused: {str(code).lower()}")
            else:
                self._told.on_granted(_granted(flags.session_present, props, self._dial))

        def on_disconnect(
            c: Paho, u: Any, flags: DisconnectFlags, code: ReasonCode, props: Properties | None
        ) -> None:
            lost(c, u, flags, code, props)
            self._told.on_lost(self._why_lost(flags, code))

        def on_publish(c: Paho, u: Any, mid: int, code: ReasonCode, props: Properties) -> None:
            published(c, u, mid, code, props)
            token = self._tokens.pop(mid, None)
            if token is not None:
                self._told.on_acked(token, code.value)

        def loop_read(max_packets: int = 1) -> MQTTErrorCode:
            self._told.on_heard()
            try:
                return read(max_packets)
            except Exception as error:
                self._told.on_lost(f"malformed packet: {error}", MALFORMED)
                raise

        def publish_noting_id(*args: Any, **kwargs: Any) -> MQTTMessageInfo:
            info = publish(*args, **kwargs)
            if self.token is not None:
                self._tokens[info.mid] = self.token
                self.token = None
            return info

        self._chain_pings(paho)
        paho.on_connect, paho.on_disconnect, paho.on_publish = on_connect, on_disconnect, on_publish
        paho.on_log = self._note_trouble
        self._write_when_open(paho)
        paho.loop_read = loop_read  # type: ignore[method-assign] # on this one object
        paho.publish = publish_noting_id  # type: ignore[method-assign] # the same

    def _chain_pings(self, paho: Any) -> None:
        """Hear of each ping and its answer, also of those that paho sends to stay alive."""
        send, handle = paho._send_pingreq, paho._handle_pingresp  # noqa: SLF001 - see the rules above

        def send_pingreq() -> MQTTErrorCode:
            code: MQTTErrorCode = send()
            if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._told.on_pinged()
            return code

        def handle_pingresp() -> MQTTErrorCode:
            code: MQTTErrorCode = handle()
            self._told.on_ponged()
            return code

        paho._send_pingreq, paho._handle_pingresp = send_pingreq, handle_pingresp  # noqa: SLF001 - the same

    def _write_when_open(self, paho: Paho) -> None:
        """Watch a socket for writing only while it is open and wanted: aiomqtt asks the loop one turn later,
        when a broker that was killed has long closed it, and the loop complains in nobody's log."""
        loop, told = asyncio.get_running_loop(), self._told
        unwatch: Any = paho.on_socket_unregister_write
        wanted: set[object] = set()

        def write() -> None:
            try:
                paho.loop_write()
            except Exception as error:  # noqa: BLE001 - as aiomqtt does: the connection is over
                told.on_lost(f"lost: {error}")

        def watch(line: Any) -> None:
            if line in wanted and line.fileno() >= 0:
                loop.add_writer(line.fileno(), write)

        def on_register(c: Paho, u: Any, line: Any) -> None:
            del c, u
            wanted.add(line)
            loop.call_soon_threadsafe(watch, line)

        def on_unregister(c: Paho, u: Any, line: Any) -> None:
            wanted.discard(line)
            unwatch(c, u, line)

        paho.on_socket_register_write = on_register
        paho.on_socket_unregister_write = on_unregister

    def _note_trouble(self, c: Paho, u: Any, level: int, text: str) -> None:  # noqa: ARG002 - paho's
        """What paho logs of a broken socket is all that it tells."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._trouble = text

    def _why_lost(self, flags: DisconnectFlags, code: ReasonCode) -> str:
        if flags.is_disconnect_packet_from_server:
            return f"broker says: {str(code).lower()}"
        return f"lost: {self._trouble}" if self._trouble else "closed by the broker"

    @property
    def closed(self) -> bool:
        """Whether paho has let go of its socket."""
        return self._paho.socket() is None

    def acknowledge(self, wire_id: int) -> None:
        """Send a PUBACK."""
        self._paho.ack(wire_id, 1)

    def ping_if_due(self) -> None:
        """Let paho look at its own stamps: it pings when a side was quiet for a keep-alive."""
        self._paho.loop_misc()

    def ping(self) -> None:
        """Send a PINGREQ that paho does not wait for: it would close on a late answer while data flows."""
        paho: Any = self._paho
        waits_since = paho._ping_t  # noqa: SLF001 - see the rules above
        paho._send_pingreq()  # noqa: SLF001 - the same
        paho._ping_t = waits_since  # noqa: SLF001 - the same

    def say_goodbye(self, code: int) -> None:
        """Send DISCONNECT; paho closes when it is written."""
        self._paho.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=code))

    def shut(self) -> None:
        """Close without a word: paho reads the end of the stream next, and cleans up."""
        line: Any = self._paho.socket()
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _granted(session_present: bool, props: Properties | None, dial: Dial) -> Granted:  # noqa: FBT001 - paho's
    return Granted(
        session_present=session_present,
        receive_maximum=getattr(props, "ReceiveMaximum", 65_535),
        packet_bytes_max=getattr(props, "MaximumPacketSize", PACKET_BYTES_STANDARD),
        keepalive_s=getattr(props, "ServerKeepAlive", dial.keepalive_s),
    )


def _make_client(endpoint: Endpoint, dial: Dial) -> aiomqtt.Client:
    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
    wishes.SessionExpiryInterval = dial.session_expiry_s
    wishes.ReceiveMaximum = dial.receive_maximum
    wishes.MaximumPacketSize = dial.packet_bytes_max
    will = None
    if dial.will is not None:
        will = aiomqtt.Will(dial.will.topic, dial.will.payload, 1, dial.will.retain)
    source = endpoint.source or ("", 0)
    client = aiomqtt.Client(
        endpoint.unix or endpoint.host,
        endpoint.port,
        username=endpoint.username,
        password=endpoint.password,
        identifier=dial.client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        will=will,
        transport="unix" if endpoint.unix else "tcp",
        timeout=dial.timeout_s,
        keepalive=dial.keepalive_s,
        bind_address=source[0],
        bind_port=source[1],
        clean_start=dial.clean_start,
        max_inflight_messages=0,
        properties=wishes,
        # Without it every second PUBACK waits 40 ms for the other side's delayed TCP ACK.
        socket_options=() if endpoint.unix else ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        tls_context=endpoint.tls,
        logger=_MUTE,
    )
    client.pending_calls_threshold = PENDING_CALLS_WARNED
    return client
