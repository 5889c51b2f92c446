"""What devices and gateway say to each other, decoded once for all who want to know.

Decides which payloads are decoded, and into what. Leaves out what anybody makes of it. Decoding is
by its own decoders, not by the agent's or the gateway's code; a payload that nobody listens for is
not touched. Of a telemetry window only the three numbers that name and size it are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import field

from devicesdk.wire import codec, topics
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Event, FlagSnapshot, Get, Have, KillList, Signed, Want
from devicesim.world.watch import MOMENTS, Watcher

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.broker.packets import Message
    from devicesim.world.device_host import DeviceHost
    from gateway.core import effects as gw


class Window(msgspec.Struct, frozen=True, gc=False):
    """What names a telemetry window, and how many frames it claims."""

    boot_id: int = field(name="b")
    seq: int = field(name="q")
    frames: int = field(name="n")
    rules: dict[str, int] | None = field(name="ru", default=None)


class Listener(Watcher):
    """A watcher that also wants statements; all methods do nothing unless overridden."""

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """A device reports its state (sends it; whether it arrives is another matter)."""

    def said_event(self, host: DeviceHost, event: Event, now: int) -> None:
        """A device reports a transition or an alarm."""

    def said_window(self, host: DeviceHost, window: Window, now: int) -> None:
        """A device sends a telemetry window."""

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """A device asks for chunks."""

    def wanted(self, device: str, want: Want, now: int) -> None:
        """The gateway publishes a want, the first time or again."""

    def heard_want(self, host: DeviceHost, want: Want, now: int) -> None:
        """A want reached a device."""

    def heard_chunk(self, host: DeviceHost, frame: Frame, nbytes: int, now: int) -> None:
        """A data frame of so many payload bytes reached a device."""


STATEMENTS: Final = tuple(
    name for name, value in vars(Listener).items() if callable(value) and not name.startswith("_")
)
_HAVE: Final = msgspec.msgpack.Decoder(Have)
_EVENT: Final = msgspec.msgpack.Decoder(Event)
_GET: Final = msgspec.msgpack.Decoder(Get)
_WINDOW: Final = msgspec.msgpack.Decoder(Window)
_SIGNED: Final = msgspec.msgpack.Decoder(Signed)
_WANT: Final = msgspec.msgpack.Decoder(Want)
_FLAGS: Final = msgspec.msgpack.Decoder(FlagSnapshot)
_KILL: Final = msgspec.msgpack.Decoder(KillList)


class Hearing(Watcher):
    """Decodes, and tells those who listen.

    Raises (from its moments):
        msgspec.DecodeError: a payload is not what its kind says; nothing of ours may send such.
    """

    __slots__ = ("_wants", *STATEMENTS)

    def __init__(self) -> None:
        self._wants: dict[str, tuple[bytes, Want]] = {}
        for statement in STATEMENTS:
            setattr(self, statement, [])

    asked: list[Callable[[DeviceHost, Get, int], None]]
    heard_chunk: list[Callable[[DeviceHost, Frame, int, int], None]]
    heard_want: list[Callable[[DeviceHost, Want, int], None]]
    said_event: list[Callable[[DeviceHost, Event, int], None]]
    said_have: list[Callable[[DeviceHost, Have, int], None]]
    said_window: list[Callable[[DeviceHost, Window, int], None]]
    wanted: list[Callable[[str, Want, int], None]]

    def add(self, listener: Listener) -> None:
        """Let `listener` hear the statements that its class overrides."""
        for statement in STATEMENTS:
            method: Any = getattr(type(listener), statement)
            if method is not getattr(Listener, statement):
                getattr(self, statement).append(getattr(listener, statement))

    def published(self, host: DeviceHost, effect: ask.Publish, now: int) -> None:
        """Decode what a device sends."""
        kind = effect.kind
        if kind == topics.TEL:
            if self.said_window:
                window = _WINDOW.decode(effect.payload)
                for hear_window in self.said_window:
                    hear_window(host, window, now)
        elif kind == topics.HAVE:
            have = _HAVE.decode(effect.payload)
            for hear_have in self.said_have:
                hear_have(host, have, now)
        elif kind == topics.GET:
            get = _GET.decode(effect.payload)
            for hear_get in self.asked:
                hear_get(host, get, now)
        elif kind == topics.EV:
            event = _EVENT.decode(effect.payload)
            for hear_event in self.said_event:
                hear_event(host, event, now)

    def received(self, host: DeviceHost, message: Message, now: int) -> None:
        """Decode what reaches a device."""
        kind = message.kind
        if kind == topics.DAT:
            if self.heard_chunk:
                frame, chunk = codec.decode_frame(message.payload)
                for hear_chunk in self.heard_chunk:
                    hear_chunk(host, frame, len(chunk), now)
        elif kind == topics.WANT and self.heard_want:
            want = self._want(host.device, message.payload)
            for hear_want in self.heard_want:
                hear_want(host, want, now)

    def gateway_published(self, effect: gw.Publish, now: int) -> None:
        """Decode what the gateway wants of a device."""
        if effect.kind == topics.WANT and self.wanted:
            want = _decode_want(effect.payload)
            self._wants[want.device] = (effect.payload, want)
            for hear_wanted in self.wanted:
                hear_wanted(want.device, want, now)

    @staticmethod
    def version(effect: gw.Publish) -> tuple[str, int]:
        """The segment and revision of a published flag snapshot; ``""`` and the version of a kill list."""
        payload = _SIGNED.decode(effect.payload).payload
        if effect.kind == topics.KILL:
            return "", _KILL.decode(payload).version
        flags = _FLAGS.decode(payload)
        return flags.segment, flags.rev

    def _want(self, device: str, payload: bytes) -> Want:
        newest = self._wants.get(device)
        if newest is not None and newest[0] == payload:
            return newest[1]
        return _decode_want(payload)


def _decode_want(envelope: bytes) -> Want:
    return _WANT.decode(_SIGNED.decode(envelope).payload)


assert not set(STATEMENTS) & set(MOMENTS), "a statement shares its name with a moment"
