"""What the device's MQTT packets tell, where they pass through the relay.

Decides the rules of a session: CONNECT, will, SUBSCRIBE, and how things are published. Leaves out the
relay (relay.py) and payloads (watch.py).
"""

from __future__ import annotations

import mqtt5

from devicesdk.wire import codec, limits, topics
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import Link
from gateway.conform.ledger import Ledger


class Packets:
    """Judges the packets of one device.

    Args:
        ledger: where verdicts go.
        names: topics of the tenant.
        device: its id.
    """

    def __init__(self, ledger: Ledger, names: topics.Topics, device: str) -> None:
        self._ledger, self._names, self._device = ledger, names, device
        self._subscribed = False
        self.connects = 0

    def take(self, packet: mqtt5.Packet) -> None:
        """One packet."""
        match packet:
            case mqtt5.ConnectPacket():
                self.connects += 1
                self._subscribed = False
                self._connect(packet)
            case mqtt5.SubscribePacket():
                self._subscribe(packet)
            case mqtt5.PublishPacket():
                self.published(packet.topic, packet.qos.value, retain=packet.retain)
            case _:
                pass

    def _connect(self, packet: mqtt5.ConnectPacket) -> None:
        story = (
            f"connected with clean start {packet.clean_start} and a session expiry of "
            f"{packet.session_expiry_interval} s"
        )
        ok = not packet.clean_start and packet.session_expiry_interval > 0
        self._ledger.settle("S1", story, packet.write(), ok=ok)
        self._will(packet.will)

    def _will(self, will: mqtt5.Will | None) -> None:
        topic = self._names.device(self._device, topics.LINK)
        if will is None or will.topic != topic or not will.retain or will.qos.value != 1:
            said = "no will" if will is None else f"a will on {will.topic}, QoS {will.qos.value}"
            self._ledger.broken(
                "S2", f"expected a retained will with QoS 1 on {topic}, found {said}"
            )
            return
        payload = will.payload or b""
        try:
            link = codec.decode(Link, payload)
        except ProtocolError as error:
            self._ledger.broken("S2", f"the will does not decode: {error}", payload)
            return
        self._ledger.settle("S2", "the will says online", payload, ok=not link.online)

    def _subscribe(self, packet: mqtt5.SubscribePacket) -> None:
        wishes = packet.topic_filters
        few = len(wishes) <= limits.FILTERS_PER_SUBSCRIBE_MAX
        sure = all(wish.max_qos.value >= 1 for wish in wishes)
        told = ", ".join(f"{wish.pattern} (QoS {wish.max_qos.value})" for wish in wishes)
        self._ledger.settle("S4", f"subscribed to {told}", packet.write(), ok=few and sure)
        if not self._subscribed:
            self._subscribed = True
            first = wishes[0].pattern if wishes else ""
            story = f"the first filter was {first}"
            self._ledger.settle("S3", story, packet.write(), ok=first == self._names.kill)

    def published(self, topic: str, qos: int, *, retain: bool) -> None:
        """A publish of the device, as it left."""
        try:
            kind, device = self._names.parse(topic)
        except ProtocolError:
            self._ledger.broken("R1", f"published on {topic[:128]}, which is no topic of ours")
            return
        if device != self._device or kind not in topics.UPLINK_KINDS:
            self._ledger.broken("R1", f"published on {topic}, which is not its own to speak on")
            return
        wanted = kind in topics.RETAINED_KINDS
        ok = (qos == 1 or kind in (topics.TEL, *topics.PASSING_KINDS)) and retain is wanted
        told = "retained" if retain else "not retained"
        self._ledger.settle("S5", f"{kind} was published with QoS {qos}, {told}", ok=ok)
