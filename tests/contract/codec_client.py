"""A client of the mosquitto stage on a bare socket and the `mqtt5` packet codec (Rust).

It has no state of its own beyond packet identifiers: what the broker says is what the log says.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import mqtt5

from tests.contract.socket_client import SocketClient, Wish

RECEIVE_BYTES = 65_536


class CodecClient(SocketClient):
    """Writes whole packets at once: scripts are small and loopback takes them."""

    def __init__(
        self, client_id: str, bare: Callable[[str], str], log: list[str], auto_ack: bool
    ) -> None:
        super().__init__(client_id, bare, log, auto_ack)
        self.received = bytearray()
        self.next_packet_id = 1

    def start(self, port: int, wish: Wish) -> None:
        self.socket: socket.socket | None = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        will = None
        if wish.will is not None:
            topic, text, qos, retain, delay_s = wish.will
            will = mqtt5.Will(
                topic,
                payload=text.encode(),
                qos=mqtt5.QoS(qos),
                retain=retain,
                will_delay_interval=delay_s,
            )
        self.send(
            mqtt5.ConnectPacket(
                self.client_id,
                clean_start=wish.clean,
                will=will,
                session_expiry_interval=wish.expiry_s,
                receive_max=wish.receive_max,
                max_packet_size=wish.packet_max,
            )
        )

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        wishes = [
            mqtt5.TopicFilter(name, max_qos=mqtt5.QoS(qos), retain_as_published=False)
            for name, qos in filters
        ]
        self.send(mqtt5.SubscribePacket(self.packet_id(), wishes))

    def unsubscribe(self, filters: list[str]) -> None:
        self.send(mqtt5.UnsubscribePacket(self.packet_id(), filters))

    def publish(self, topic: str, text: str, qos: int, retain: bool, expiry_s: int | None) -> None:
        self.send(
            mqtt5.PublishPacket(
                topic,
                text.encode(),
                qos=mqtt5.QoS(qos),
                retain=retain,
                packet_id=self.packet_id() if qos else None,
                message_expiry_interval=expiry_s,
            )
        )

    def send_puback(self, packet_id: int) -> None:
        self.send(mqtt5.PubAckPacket(packet_id))

    def send_disconnect(self, code: int, expiry_s: int | None) -> None:
        self.send(
            mqtt5.DisconnectPacket(
                reason_code=mqtt5.DisconnectReasonCode(code), session_expiry_interval=expiry_s
            )
        )

    def send_fence(self) -> None:
        self.send(mqtt5.PingReqPacket())

    def line(self) -> socket.socket | None:
        return self.socket

    def wants_write(self) -> bool:
        return False

    def read(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self.socket.close()
            self.socket = None
            self.told_closed(None)
        self.received += data
        while self.whole():
            with memoryview(self.received) as view:
                packet, used = mqtt5.read(view)
            del self.received[:used]
            self.told(packet)

    def whole(self) -> bool:
        """Whether a packet is complete: a type byte, a length of up to four bytes, the rest (2.1)."""
        length = 0
        for place, byte in enumerate(self.received[1:5]):
            length |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return len(self.received) >= 2 + place + length
        return False

    def told(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PublishPacket():
                self.told_message(
                    packet.topic,
                    packet.payload,
                    packet.packet_id or 0,
                    packet.retain,
                    packet.duplicate,
                    packet.message_expiry_interval is not None,
                )
            case mqtt5.PingRespPacket():
                self.fences -= 1
            case mqtt5.ConnAckPacket():
                self.told_connack(int(packet.reason_code), packet.session_present)
            case mqtt5.SubAckPacket():
                self.answered("suback " + ",".join(hex(int(code)) for code in packet.reason_codes))
            case mqtt5.UnsubAckPacket():
                self.answered(
                    "unsuback " + ",".join(hex(int(code)) for code in packet.reason_codes)
                )
            case mqtt5.PubAckPacket():
                self.answered(f"puback {int(packet.reason_code):#x}")
            case mqtt5.DisconnectPacket():
                self.told_closed(int(packet.reason_code))
            case _:
                raise AssertionError(f"expected a packet a broker may send here, found {packet}")

    def packet_id(self) -> int:
        self.next_packet_id += 1
        return self.next_packet_id

    def send(self, packet) -> None:
        if self.socket is not None:
            try:
                self.socket.sendall(packet.write())
            except (BrokenPipeError, ConnectionResetError):
                return  # the broker hung up first: `read` will find out and say so
