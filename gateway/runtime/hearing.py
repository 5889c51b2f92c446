"""From what connections say to stimuli in the inbox.

Decides when the broker counts as up (both connections are), which messages are ours, and what becomes
of those that had arrived when their connection ended (the broker delivers them again). Leaves out what
the core makes of a stimulus, and publishing.

Rule: what cannot be a message (a topic that is not ours, a payload that is larger than any message may
be) is told, counted as kind ``?`` and acknowledged here; it takes no room in the inbox.
"""

from __future__ import annotations

import logging

from devicesdk.aio.clock import Clock
from devicesdk.aio.log_brake import LogBrake
from devicesdk.aio.port import REFUSED_FROM, Inbound
from devicesdk.wire import limits as wire
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.topics import Topics
from gateway.config import RuntimeLimits
from gateway.core import stimuli as hear
from gateway.ports import Counters
from gateway.runtime.life import Life
from gateway.runtime.logs import say
from gateway.runtime.plane import Plane


class Hearing:
    """The ears of one life.

    Args:
        life: whose inbox is filled.
        topics: the tenant's.
        counters: where messages are counted.
        limits: bounds.
        clock: for telling a flood of nonsense by a few lines.
    """

    __slots__ = ("_brake", "_clock", "_counters", "_life", "_limits", "_topics")

    def __init__(
        self, life: Life, topics: Topics, counters: Counters, limits: RuntimeLimits, clock: Clock
    ) -> None:
        self._life, self._topics = life, topics
        self._counters, self._limits = counters, limits
        self._clock, self._brake = clock, LogBrake()

    def plane_up(self, plane: Plane) -> None:  # noqa: ARG002 - what counts is that both are
        """A connection is up; the core hears it when both are."""
        life = self._life
        if not (life.control.up and life.data.up):
            return
        data = life.data
        kept = data.session_present if data.epoch != life.told_epoch else True
        life.told_up, life.told_epoch = True, data.epoch
        self._counters.connected_now = 1
        life.hear(hear.BrokerUp(kept))

    def plane_down(self, plane: Plane, reason: str) -> None:
        """A connection is gone; the core hears it of the first."""
        life = self._life
        if plane is life.data:
            self._forget_messages()
        for token in [token for token, by in life.unacked_out.items() if by is plane]:
            del life.unacked_out[token]
        self._counters.unacked_out_now = len(life.unacked_out)
        if life.told_up:
            life.told_up = False
            self._counters.connected_now = 0
            life.hear(hear.BrokerDown(f"{plane.name}: {reason}"))

    def plane_message(self, message: Inbound) -> None:
        """A message: into the inbox, with its kind and device."""
        life, counters = self._life, self._counters
        counters.bytes_in += len(message.payload)
        try:
            kind, device = self._topics.parse(message.topic)
        except BadTopic:
            self._refuse("topic refused", message)
            return
        if len(message.payload) > wire.MESSAGE_BYTES_MAX:
            self._refuse("payload too large", message)
            return
        self._count(kind)
        if message.packet_id:
            life.acks.arrived(message.packet_id, life.data.epoch)
            counters.unacked_in_now = len(life.acks)
        elif len(life.inbox) >= self._limits.inbox_messages_max:
            counters.inbox_dropped += 1
            return
        stimulus = hear.Arrived(kind, device, message.payload, message.retain)
        life.hear(stimulus, message.packet_id)

    def plane_puback(self, plane: Plane, token: int, code: int) -> None:
        """The broker took a publish, or refused it: then everything is said again after a while."""
        life = self._life
        life.unacked_out.pop(token, None)
        self._counters.unacked_out_now = len(life.unacked_out)
        if code >= REFUSED_FROM:
            self._counters.publishes_refused += 1
            say(logging.ERROR, "publish refused", plane=plane.name, token=token,
                code=f"{code:#04x}", hint="the broker's ACL must let the gateway write it")  # fmt: skip
            if plane is life.control:
                plane.give_up("a publish was refused")
                return
        life.hear(hear.PubAcked(token))  # a verb on the data connection may be lost

    def _refuse(self, event: str, message: Inbound) -> None:
        """Tell who sent it (the topic says so) and acknowledge it: nothing follows from it."""
        self._count("?")
        count = self._brake.tells(event, message.topic, self._clock.now())
        if count:
            say(logging.WARNING, event, topic=message.topic, bytes=len(message.payload),
                bytes_max=wire.MESSAGE_BYTES_MAX, count=count)  # fmt: skip
        if message.packet_id:
            acks, data = self._life.acks, self._life.data
            acks.arrived(message.packet_id, data.epoch)
            acks.settle((message.packet_id,), data.port.acknowledge)
            self._counters.unacked_in_now = len(acks)

    def _count(self, kind: str) -> None:
        counts = self._counters.messages_in
        counts[kind] = counts.get(kind, 0) + 1

    def _forget_messages(self) -> None:
        """The broker delivers again what was not acknowledged on the connection that ended."""
        life = self._life
        life.rounds.clear()
        life.acks.clear()
        kept = [item for item in life.inbox if not item[1]]
        life.inbox.clear()
        life.inbox.extend(kept)
        life.group = [0] if life.group else []  # what was counted is still to be made durable
        self._counters.unacked_in_now = 0
