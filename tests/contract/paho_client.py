"""A client of the mosquitto stage on paho-mqtt."""

from __future__ import annotations

import socket
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.contract.socket_client import SocketClient, Wish


class PahoClient(SocketClient):
    """Driven through paho's own `loop_read` and `loop_write`; no thread."""

    def __init__(
        self, client_id: str, bare: Callable[[str], str], log: list[str], auto_ack: bool
    ) -> None:
        super().__init__(client_id, bare, log, auto_ack)
        self.awaits_puback = False
        mqtt = self.mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        mqtt.on_connect = lambda *a: self.told_connack(a[3].value, a[2].session_present)
        mqtt.on_disconnect = lambda *a: self.told_closed(
            a[3].value if a[2].is_disconnect_packet_from_server else None
        )
        mqtt.on_message = self.on_message
        mqtt.on_subscribe = lambda *a: self.answered("suback " + _codes(a[3]))
        mqtt.on_unsubscribe = lambda *a: self.on_unsubscribe(a[3])
        mqtt.on_publish = lambda *a: self.on_puback(a[3])

    def start(self, port: int, wish: Wish) -> None:
        wishes = Properties(PacketTypes.CONNECT)
        wishes.SessionExpiryInterval = wish.expiry_s
        wishes.ReceiveMaximum = wish.receive_max
        if wish.packet_max is not None:
            wishes.MaximumPacketSize = wish.packet_max
        if wish.will is not None:
            after = Properties(PacketTypes.WILLMESSAGE)
            after.WillDelayInterval = wish.will[4]
            self.mqtt.will_set(*wish.will[:4], properties=after)
        self.mqtt.connect("127.0.0.1", port, clean_start=wish.clean, properties=wishes)

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        self.mqtt.subscribe([(name, paho.SubscribeOptions(qos=qos)) for name, qos in filters])

    def unsubscribe(self, filters: list[str]) -> None:
        self.mqtt.unsubscribe(filters)

    def publish(self, topic: str, text: str, qos: int, retain: bool, expiry_s: int | None) -> None:
        after = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            after.MessageExpiryInterval = expiry_s
        self.awaits_puback = bool(qos)
        self.mqtt.publish(topic, text, qos, retain, properties=after)

    def send_puback(self, packet_id: int) -> None:
        self.mqtt.ack(packet_id, 1)

    def send_disconnect(self, code: int, expiry_s: int | None) -> None:
        wishes = Properties(PacketTypes.DISCONNECT)
        if expiry_s is not None:
            wishes.SessionExpiryInterval = expiry_s
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code)
        self.mqtt.disconnect(reasoncode=reason, properties=wishes)

    def send_fence(self) -> None:
        self.mqtt.unsubscribe(self.client_id + "/fence")

    def line(self) -> socket.socket | None:
        return self.mqtt.socket()

    def wants_write(self) -> bool:
        return self.mqtt.want_write()

    def write(self) -> None:
        self.mqtt.loop_write()

    def read(self) -> None:
        self.mqtt.loop_read()

    def on_unsubscribe(self, codes) -> None:
        if self.fences:
            self.fences -= 1
        else:
            self.answered("unsuback " + _codes(codes))

    def on_puback(self, code) -> None:
        if self.awaits_puback:  # paho calls this also when a QoS 0 message has left
            self.answered(f"puback {code.value:#x}")

    def on_message(self, _client, _user, message) -> None:
        expires = getattr(message.properties, "MessageExpiryInterval", None) is not None
        packet_id = message.mid if message.qos else 0
        self.told_message(
            message.topic, message.payload, packet_id, message.retain, message.dup, expires
        )


def _codes(codes) -> str:
    return ",".join(hex(code.value) for code in codes)
