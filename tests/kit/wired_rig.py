"""The little world of `agent_rig` on a real wire: the real agent, a real broker, real time.

The disk, the kit and the bursts stay the rig's; connections and messages go through a `LeanPort`.
Time is the clock's, so with a fast clock a trial of a minute passes in a second.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.aio.clock import RealClock
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import REASON_WITH_WILL, Dial, Endpoint, Granted, Inbound, Will
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Have
from tests_kit.agent_bundles import Bundle
from tests_kit.agent_rig import Rig

STEP_S = 0.002


class WiredRig(Rig):
    """A `Rig` whose broker and gateway are real ones."""

    def __init__(self, endpoint: Endpoint, clock: RealClock, *bundles: Bundle, **more: Any) -> None:
        super().__init__(*bundles, **more)
        self.clock = clock
        self.names = topics.Topics()
        self.port = LeanPort(endpoint, self)
        self.arrived: list[str] = []

    # -- the port's listener

    def on_connected(self, granted: Granted) -> None:
        self._connected = True
        self._tell(hear.Connected(granted.session_present))

    def on_connect_failed(self, reason: str) -> None:
        self._tell(hear.ConnectFailed(reason))

    def on_disconnected(self, reason: str) -> None:
        self._connected = False
        self._tell(hear.Disconnected(reason))

    def on_suback(self, codes: tuple[int, ...]) -> None:
        self._tell(hear.Subscribed(codes))

    def on_puback(self, token: int, code: int) -> None:
        self._tell(hear.PubAcked(token))

    def on_message(self, message: Inbound) -> None:
        kind, _ = self.names.parse(message.topic)
        self.arrived.append(kind)
        if kind == topics.DAT:
            frame, _ = codec.decode_frame(message.payload)
            self.chunks[frame.digest8, frame.chunk] += 1
        self._tell(hear.Arrived(kind, message.payload, message.retain))

    def _tell(self, stimulus: Any) -> None:
        if self.agent is not None:
            self.now = max(self.now, self.clock.now())
            self.hear(stimulus)

    # -- the agent's effects

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case ask.Connect(will=will):
                self.port.connect(
                    Dial(
                        client_id=self.identity.device,
                        session_expiry_s=3600,
                        will=Will(self._topic(topics.LINK), codec.encode(will)),
                    )
                )
            case ask.Disconnect():
                self._connected = False
                self.port.disconnect(REASON_WITH_WILL)
            case ask.Subscribe(filters=filters):
                self.port.subscribe(filters, 1)
            case ask.Publish():
                if effect.kind == topics.HAVE:
                    self.haves.append(codec.decode(Have, effect.payload))
                self.port.publish(
                    self._topic(effect.kind),
                    effect.payload,
                    qos=1 if effect.token else 0,
                    retain=effect.retain,
                    token=effect.token,
                )
            case _:
                return super()._perform(effect)
        return []

    def _topic(self, kind: str) -> str:
        return self.names.device(self.identity.device, kind)

    # -- pace

    async def until(self, reached: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
        """Live until something is so."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience_s
        while not reached():
            if loop.time() > give_up:
                last = self.haves[-1] if self.haves else None
                raise AssertionError(f"waited {patience_s} s in vain for {what}; last said {last}")
            self.tick()
            await asyncio.sleep(STEP_S)

    def tick(self) -> None:
        """Let happen what is due by the clock."""
        assert self.agent is not None, "no power"
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if self._current(entry):
                self.now = max(self.now, entry[0])
                self._deliver(entry[4])
        self.now = max(self.now, now)
        due = self.agent.deadline()
        if due is not None and due[0] <= self.now:
            self.hear(hear.DeadlineReached())
