"""What the mosquitto stage asks of an MQTT library, and the log every client of it keeps.

Two libraries implement it, `paho_client` and `codec_client`; they share no line of code, so that
a mistake of one does not pass for a habit of the broker. Both are read by hand: nothing runs behind
a script's back.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

from tests.contract.memory_stage import spell


class Wish(NamedTuple):
    """A CONNECT as a script wishes it; `will` is (topic, text, QoS, retain, delay in seconds)."""

    clean: bool
    expiry_s: int
    receive_max: int
    packet_max: int | None
    will: tuple[str, str, int, bool, int] | None


class SocketClient:
    """One client of a real broker: the log of what it was told, without the wire.

    `bare` turns a topic on the wire into what the script calls it.
    """

    def __init__(
        self, client_id: str, bare: Callable[[str], str], log: list[str], auto_ack: bool
    ) -> None:
        self.client_id, self.bare, self.log, self.auto_ack = client_id, bare, log, auto_ack
        self.unacked: list[int] = []
        self.answers = 0
        self.fences = 0
        self.open = True

    def start(self, port: int, wish: Wish) -> None:
        """Connect the socket and send CONNECT."""
        raise NotImplementedError

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        raise NotImplementedError

    def unsubscribe(self, filters: list[str]) -> None:
        raise NotImplementedError

    def publish(self, topic: str, text: str, qos: int, retain: bool, expiry_s: int | None) -> None:
        raise NotImplementedError

    def send_puback(self, packet_id: int) -> None:
        raise NotImplementedError

    def send_disconnect(self, code: int, expiry_s: int | None) -> None:
        raise NotImplementedError

    def send_fence(self) -> None:
        """Ask something trivial; the answer comes after all that the broker already wrote."""
        raise NotImplementedError

    def line(self) -> socket.socket | None:
        """The socket, or None once the library has given it up."""
        raise NotImplementedError

    def wants_write(self) -> bool:
        raise NotImplementedError

    def write(self) -> None:
        raise NotImplementedError

    def read(self) -> None:
        raise NotImplementedError

    def answered(self, line: str) -> None:
        self.log.append(line)
        self.answers += 1

    def told_connack(self, code: int, present: bool) -> None:
        state = "" if code else (" present" if present else " new")
        self.answered((f"connack {code:#x}" if code else "connack 0") + state)

    def told_message(
        self, topic: str, payload: bytes, packet_id: int, retain: bool, dup: bool, expires: bool
    ) -> None:
        topic = self.bare(topic)
        self.log.append(spell(topic, payload, 1 if packet_id else 0, retain, dup, expires))
        if packet_id and self.auto_ack:
            self.send_puback(packet_id)
        elif packet_id:
            self.unacked.append(packet_id)

    def told_closed(self, code: int | None) -> None:
        """The broker ended the connection, with a DISCONNECT or (None) without a word."""
        if self.open:
            self.log.append("closed eof" if code is None else f"closed {code:#x}")
            self.open = False
