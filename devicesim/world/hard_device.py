"""A virtual device whose host is awkward wherever its contract lets it be: made only under `buggify`.

Decides what the places ``device.*`` do when they act. Leaves out when they act (buggify.py) and everything that
a device is (device_host.py).

Rules: messages of one topic keep their order, and none is lost as long as the device has power; what is late belongs
to the boot in which it began; a write is the same write, in pieces.
"""

from __future__ import annotations

from typing import Any, ClassVar

from devicesdk.agent import effects as ask
from devicesdk.wire.timebase import MS, SECOND
from devicesim.world import device_kits, device_messages, device_storage, host_sites
from devicesim.world.broker.packets import Message
from devicesim.world.device_host import DeviceHost
from devicesim.world.device_parts import Parts, Workshop

LATE_NS_MAX = 2 * SECOND
HELD_NS_MAX = SECOND
AGAIN_NS_MAX = 10 * SECOND


class HardDevice(DeviceHost):
    """One device of a world under `buggify`."""

    __slots__ = ("_held",)

    table: ClassVar[dict[type[Any], Any]] = {}

    def __init__(self, shop: Workshop, parts: Parts) -> None:
        super().__init__(shop, parts)
        self._held: dict[str, list[Message]] = {}
        """Messages that wait, by kind: within a kind the order is kept."""

    def power_off(self, now: int, *, tear: bool = True) -> None:
        """What was held in memory goes, too."""
        self._held.clear()
        super().power_off(now, tear=tear)

    # -- timers -----------------------------------------------------------------------------------

    def _deadline_comes(self, now: int) -> None:
        hardship = self.parts.hardship
        if self.agent is not None and hardship.fires(host_sites.TIMER_LATE):
            late_ns = 1 + hardship.below(host_sites.TIMER_LATE, LATE_NS_MAX)
            self.shop.kernel.at(now + late_ns, self._late_deadline, self.boot_id)
        else:
            super()._deadline_comes(now)

    def _late_deadline(self, now: int, boot_id: int) -> None:
        if boot_id == self.boot_id:
            super()._deadline_comes(now)

    # -- messages ---------------------------------------------------------------------------------

    def on_message(self, now: int, message: Message) -> None:
        """Hand it on now, later, or twice."""
        hardship, kind = self.parts.hardship, message.kind
        if kind in self._held:
            self._held[kind].append(message)
        elif hardship.fires(host_sites.REORDERED):
            self._held[kind] = [message]
            at = now + 1 + hardship.below(host_sites.REORDERED, HELD_NS_MAX)
            self.shop.kernel.at(at, self._let_go, (self.boot_id, kind))
        else:
            self._hand_on(now, message)

    def on_disconnected(self, now: int, reason: str) -> None:
        """What had arrived before comes first."""
        for kind in list(self._held):
            self._let_go(now, (self.boot_id, kind))
        super().on_disconnected(now, reason)

    def _let_go(self, now: int, argument: tuple[int, str]) -> None:
        boot_id, kind = argument
        if boot_id != self.boot_id:
            return
        for message in self._held.pop(kind, ()):
            self._hand_on(now, message)

    def _hand_on(self, now: int, message: Message) -> None:
        super().on_message(now, message)
        if message.qos and self.on and self.parts.hardship.fires(host_sites.HEARD_TWICE):
            super().on_message(now, message)

    # -- effects ----------------------------------------------------------------------------------

    def _publish(self, effect: ask.Publish, now: int) -> None:
        device_messages.publish(self, effect, now)
        hardship = self.parts.hardship
        if effect.token and hardship.fires(host_sites.SENT_TWICE):
            at = now + 1 + hardship.below(host_sites.SENT_TWICE, AGAIN_NS_MAX)
            self.shop.kernel.at(at, self._send_again, (self.path.connection, effect))

    def _send_again(self, now: int, argument: tuple[object, ask.Publish]) -> None:
        sent_on, effect = argument
        connection = self.path.connection
        if connection is not None and connection is sent_on and connection.device_open:
            topic = self.parts.topic_of[effect.kind]
            message = Message(topic, effect.payload, 1, effect.retain, None, effect.kind)
            connection.publish(now, message, 0)

    def _later(self, now: int, argument: tuple[int, Any, Any]) -> None:
        boot_id, perform, effect = argument
        if self.on and boot_id == self.boot_id:
            perform(self, effect, now)


def _slow(site: Any, most_ns: int, perform: Any) -> Any:
    """Perform an effect that is answered, later."""

    def performed(host: HardDevice, effect: Any, now: int) -> None:
        hardship = host.parts.hardship
        if hardship.fires(site):
            at = now + 1 + hardship.below(site, most_ns)
            host.shop.kernel.at(at, host._later, (host.boot_id, perform, effect))  # noqa: SLF001 - the table of this very class
        else:
            perform(host, effect, now)

    return performed


def _write(host: HardDevice, effect: ask.Write, now: int) -> None:
    hardship, size = host.parts.hardship, len(effect.data)
    if size > 1 and hardship.fires(host_sites.WRITE_SPLIT):
        begun = effect.data[: 1 + hardship.below(host_sites.WRITE_SPLIT, size - 1)]
        device_storage.write(host, ask.Write(effect.file, effect.offset, begun), now)
        if host.refused or not host.on:
            return
    device_storage.write(host, effect, now)


HardDevice.table = {
    **DeviceHost.table,
    ask.Publish: HardDevice._publish,  # noqa: SLF001 - the table of this very class
    ask.Write: _write,
    ask.ReadFile: _slow(host_sites.READ_SLOW, SECOND, device_storage.read_file),
    ask.HashFile: _slow(host_sites.FSYNC_SLOW, 30 * SECOND, device_storage.hash_file),
    ask.RunKit: _slow(host_sites.KIT_SLOW, 20_000 * MS, device_kits.run_kit),
}
