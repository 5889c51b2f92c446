"""From bytes to packets and back, by the codec package `mqtt5`; not a byte of the format is ours.

Decides what our CONNECT and PUBLISH carry, where a stream of bytes is cut into packets, and which
streams are refused. Leaves out sockets, time and what a packet means (lean_connection.py).

Theory of operation. What a socket brings is read straight into one buffer that all connections of a
loop share (`room`), and packets are cut out of it there (`filled`): between the two nothing else runs.
Only the unfinished packet at its end is kept, and put before what comes next. A long one is not carried
to and fro but added to (`feed`).

Rules: whatever bytes come in, nothing raises; a stream that was refused once stays refused. At most
one unfinished packet is kept, of at most `packet_bytes_max` bytes and what one read brought.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Final
from weakref import WeakKeyDictionary

import mqtt5
import msgspec

from devicesdk.aio.port import Dial, Endpoint

MALFORMED: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
QOS_NOT_SUPPORTED: Final = 0x9B

SCRATCH_BYTES: Final = 256 * 1024
"""Most that one read brings."""
CARRIED_BYTES_MAX: Final = 64 * 1024
"""An unfinished packet that is longer is not put into the shared buffer again."""

QOS: Final = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
PING: Final = mqtt5.PingReqPacket().write()


class Fault(msgspec.Struct, frozen=True):
    """Why a stream is refused."""

    code: int
    """For our DISCONNECT."""
    reason: str


_SCRATCH: Final[WeakKeyDictionary[AbstractEventLoop, memoryview]] = WeakKeyDictionary()


def scratch_of(loop: AbstractEventLoop) -> memoryview:
    """The buffer that all connections of a loop are read into, one after the other."""
    scratch = _SCRATCH.get(loop)
    if scratch is None:
        scratch = _SCRATCH[loop] = memoryview(bytearray(SCRATCH_BYTES + CARRIED_BYTES_MAX))
    return scratch


class Reader:
    """Cuts what a socket brings into packets.

    Args:
        packet_bytes_max: longest packet that is taken.
        scratch: for `room`; longer than `CARRIED_BYTES_MAX`.
    """

    __slots__ = ("_carried", "_packet_bytes_max", "_partial", "_scratch", "fault")

    def __init__(self, packet_bytes_max: int, scratch: memoryview | None = None) -> None:
        self._packet_bytes_max = packet_bytes_max
        self._scratch = memoryview(b"") if scratch is None else scratch
        self._carried = 0
        self._partial: bytearray | None = None
        self.fault: Fault | None = None
        """Set when the stream was refused; what was whole before it is still good."""

    def room(self) -> memoryview:
        """Where the next bytes are to be put; `filled` follows before anybody else's `room`."""
        partial, scratch = self._partial, self._scratch
        if partial is None or len(partial) > CARRIED_BYTES_MAX:
            self._carried = 0
            return scratch
        self._carried = carried = len(partial)
        scratch[:carried] = partial
        return scratch[carried:]

    def filled(self, count: int) -> list[mqtt5.Packet]:
        """`count` bytes were put into `room`: the packets that are whole now."""
        scratch, carried = self._scratch, self._carried
        if self._partial is not None and not carried:
            return self.feed(scratch[:count])
        self._partial = None
        return self.feed(scratch[: carried + count])

    def feed(self, data: bytes | memoryview) -> list[mqtt5.Packet]:
        """The packets that are whole now; what is kept of `data` is a copy."""
        packets: list[mqtt5.Packet] = []
        if self._partial is None:
            used = self._cut(data, packets)
            if used < len(data):
                self._partial = bytearray(memoryview(data)[used:])
        else:
            self._partial += data
            used = self._cut(self._partial, packets)
            if used == len(self._partial):
                self._partial = None
            else:
                del self._partial[:used]
        if self._partial is not None and len(self._partial) > self._packet_bytes_max:
            self._refuse_size(len(self._partial))
        if self.fault is not None:
            self._partial = None
        return packets

    def _cut(self, data: bytes | bytearray | memoryview, packets: list[mqtt5.Packet]) -> int:
        """Append whole packets; how many bytes they had."""
        read, size, used = mqtt5.read, len(data), 0
        with memoryview(data) as view:
            while used < size and self.fault is None:
                try:
                    packet, length = read(view[used:])
                except IndexError:  # the codec's word for "not all of it is here yet"
                    break
                except ValueError as error:
                    self.fault = Fault(MALFORMED, f"malformed packet: {error}")
                    break
                except BaseException as error:
                    # On text that is not UTF-8 the codec panics; that class cannot be imported.
                    if type(error).__name__ != "PanicException":
                        raise
                    self.fault = Fault(MALFORMED, "malformed packet: text that is not UTF-8")
                    break
                if length > self._packet_bytes_max:
                    self._refuse_size(length)
                    break
                used += length
                packets.append(packet)
        return used

    def _refuse_size(self, size: int) -> None:
        if self.fault is None:
            self.fault = Fault(
                PACKET_TOO_LARGE,
                f"packet too large: expected at most {self._packet_bytes_max} bytes, found {size}",
            )


def connect_packet(endpoint: Endpoint, dial: Dial) -> bytes:
    """The CONNECT.

    Raises:
        ValueError: something in it cannot be expressed, such as a will topic with wildcards.
    """
    will = None
    if dial.will is not None:
        will = mqtt5.Will(
            dial.will.topic, payload=dial.will.payload, qos=QOS[1], retain=dial.will.retain
        )
    return mqtt5.ConnectPacket(
        dial.client_id,
        username=endpoint.username,
        password=None if endpoint.password is None else endpoint.password.encode(),
        clean_start=dial.clean_start,
        will=will,
        keep_alive=dial.keepalive_s,
        session_expiry_interval=dial.session_expiry_s,
        receive_max=dial.receive_maximum,
        max_packet_size=dial.packet_bytes_max,
    ).write()


def subscribe_packet(packet_id: int, filters: tuple[str, ...], qos: int) -> bytes:
    """A SUBSCRIBE with the same QoS for each filter; retained messages come, marked as such.

    Raises:
        ValueError: not a topic filter.
    """
    wishes = [mqtt5.TopicFilter(f, max_qos=QOS[qos], retain_as_published=False) for f in filters]
    return mqtt5.SubscribePacket(packet_id, wishes).write()


def disconnect_packet(code: int) -> bytes:
    """A DISCONNECT with this reason code."""
    return mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode(code)).write()


def problem_of(packet: mqtt5.ConnAckPacket) -> str | None:
    """Why this CONNACK is no use to us; None when it is a welcome."""
    if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        return f"refused: {in_words(packet.reason_code)}"
    if packet.max_qos == QOS[0] or not packet.retain_available:
        return "refused by us: a broker without QoS 1 or retained messages"
    return None


def in_words(code: mqtt5.ConnAckReasonCode | mqtt5.DisconnectReasonCode) -> str:
    """A reason code's name, for people."""
    return code.name.lower().replace("_", " ")
