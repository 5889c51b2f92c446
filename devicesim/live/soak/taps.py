"""Listens in on connections and on the gateway's core, without changing what passes.

Decides where a message counts as said, answered and heard: said when it is handed to a connection,
answered (taken or refused) with its PUBACK, heard by the gateway when its core has handled it (what sat in an inbox
when a connection broke was not heard). Leaves out devices' ends, which the world's own moments show
(witness.py), except their PUBACKs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound, Listener, MqttPort
from devicesim.live.path import LivePath
from gateway.core import stimuli as hear

if TYPE_CHECKING:
    from devicesim.live.stage import LiveStage, MakePort
    from devicesim.world.device_host import DeviceHost
    from gateway.core import effects as ask
    from gateway.core.gateway import Gateway


class Witnesses(Protocol):
    """Who is told."""

    def gateway_said(self, topic: str, payload: bytes, qos: int, expiry_s: int) -> object | None:
        """The gateway hands a message to a connection; returns what `gateway_answered` is told."""
        ...

    def gateway_answered(self, said: object, code: int) -> None:
        """The broker's answer to a publish of the gateway's, with its reason code."""
        ...

    def gateway_heard(self, kind: str, device: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        """The gateway's core has handled a message."""
        ...

    def device_answered(self, device: str, token: int, code: int) -> None:
        """The broker's answer to a device's publish, with its reason code."""
        ...


class Ears:
    """A listener that passes everything on and tells of PUBACKs first."""

    __slots__ = ("_answered", "_ears")

    def __init__(self, ears: Listener, answered: Callable[[int, int], None]) -> None:
        self._ears, self._answered = ears, answered

    def on_connected(self, granted: Granted) -> None:
        """Pass it on."""
        self._ears.on_connected(granted)

    def on_connect_failed(self, reason: str) -> None:
        """Pass it on."""
        self._ears.on_connect_failed(reason)

    def on_disconnected(self, reason: str) -> None:
        """Pass it on."""
        self._ears.on_disconnected(reason)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Pass it on."""
        self._ears.on_suback(codes)

    def on_puback(self, token: int, code: int) -> None:
        """Tell, and pass it on."""
        self._answered(token, code)
        self._ears.on_puback(token, code)

    def on_message(self, message: Inbound) -> None:
        """Pass it on."""
        self._ears.on_message(message)


class GatewayPort:
    """A connection of the gateway's that tells what is said on it.

    Args:
        make: makes the real one.
        ears: the plane's.
        told: who is told.
    """

    def __init__(
        self, make: Callable[[Listener], MqttPort], ears: Listener, told: Witnesses
    ) -> None:
        self._told = told
        self._waiting: dict[int, object] = {}
        self._port = make(Ears(ears, self._answered))

    @property
    def connected(self) -> bool:
        """As the real one."""
        return self._port.connected

    @property
    def unsent_bytes(self) -> int:
        """As the real one."""
        return self._port.unsent_bytes

    def connect(self, dial: Dial) -> None:
        """Connect; what was not acknowledged on an earlier connection will be said again."""
        self._waiting.clear()
        self._port.connect(dial)

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        """Pass it on."""
        self._port.subscribe(filters, qos)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        token: int = 0,
        expiry_s: int = 0,
    ) -> None:
        """Pass it on, and tell when it was taken."""
        self._port.publish(topic, payload, qos=qos, retain=retain, token=token, expiry_s=expiry_s)
        said = self._told.gateway_said(topic, payload, qos, expiry_s)
        if token and said is not None:
            self._waiting[token] = said

    def acknowledge(self, packet_id: int) -> None:
        """Pass it on."""
        self._port.acknowledge(packet_id)

    def disconnect(self, reason: int = 0) -> None:
        """Pass it on."""
        self._port.disconnect(reason)

    def abort(self) -> None:
        """Pass it on."""
        self._port.abort()

    def _answered(self, token: int, code: int) -> None:
        said = self._waiting.pop(token, None)
        if said is not None:
            self._told.gateway_answered(said, code)


class HeardCore:
    """A gateway core that tells what it has handled; otherwise the core itself."""

    def __init__(self, core: Gateway, told: Witnesses) -> None:
        self._core, self._told = core, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def handle(self, stimulus: hear.AnyStimulus, now: int) -> list[ask.AnyEffect]:
        """Let the core handle it; then it counts as heard."""
        effects = self._core.handle(stimulus, now)
        if type(stimulus) is hear.Arrived:
            self._told.gateway_heard(
                stimulus.kind, stimulus.device, stimulus.payload, stimulus.retained
            )
        return effects


def listen_in(stage: LiveStage, told: Witnesses) -> None:
    """Tap a stage that has made neither gateway nor devices yet."""
    stage.make_lean = _tapped(stage.make_lean, told)
    stage.make_aio = _tapped(stage.make_aio, told)
    stage.wrap_core = lambda core: cast("Gateway", HeardCore(core, told))


def _tapped(make: MakePort, told: Witnesses) -> MakePort:
    def made(endpoint: Endpoint, listener: Listener, loop: asyncio.AbstractEventLoop) -> MqttPort:
        if isinstance(listener, LivePath):
            device = cast("DeviceHost", listener.station).device
            ears = Ears(listener, lambda token, code: told.device_answered(device, token, code))
            return make(endpoint, ears, loop)
        return GatewayPort(lambda ears: make(endpoint, ears, loop), listener, told)

    return made
