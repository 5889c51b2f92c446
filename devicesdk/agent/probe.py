"""Golden probes: pinned inputs run on the device itself, now and then, to see that it still computes.

Decides when the kit of the *active* image is run again and what of the answer travels in the next
telemetry window. Leaves out the kit (devicesdk/inference/kit.py), who runs it (a host) and what a failed
probe means for a fleet (gateway/core/collect).

Rules: a probe runs while the device is on external power, cool and not throttled, no update is in hand and
no trial runs; the first one of an image comes with the first window that finds it so, those after it
once a period, and the first of a boot at a phase of its own, so that a fleet's probes spread; a flag or a
kill of `probe_feature` stops them all. A result is told once and in one window only: a window without a
residual says that no probe ran, and nothing stands in for it. It is asked for at the end of a
window, which costs a device that need not probe one comparison a window.
"""

from __future__ import annotations

from devicesdk.agent.effects import Effect, RunProbe
from devicesdk.agent.flags import Flags
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.stimuli import Conditions, ProbeRan
from devicesdk.agent.telemetry import Probed
from devicesdk.sketches.histogram import latency_bin
from devicesdk.wire.timebase import NEVER


class Probe:
    """The probes of one boot."""

    __slots__ = ("_asked", "_flags", "_found", "_image", "_shared", "_slots", "due", "result")

    def __init__(self, shared: Shared, slots: Slots, flags: Flags) -> None:
        self._shared, self._slots, self._flags = shared, slots, flags
        self.due = NEVER
        """From when on a window's end may ask for a probe."""
        self._image = b""
        self._asked = ""
        """The slot whose answer is awaited."""
        self._found = (0, 0)
        """Chip temperature and latency bin when it was asked for."""
        self.result: Probed | None = None
        """What the next window shall tell, if it is still of what runs; see `take`."""

    def booted(self, now: int) -> None:
        """Draw the phase of this boot's probes."""
        config = self._shared.config
        if config.probe_period_ns:
            self.due = now + self._shared.dice.below(config.probe_period_ns)
            self._image = self._slots.running.manifest
            if self._slots.trial is not None:
                self.due = now

    def switched(self, now: int) -> None:
        """Another image runs from now on: probe it as soon as it suits."""
        if self._shared.config.probe_period_ns and self._slots.running.manifest != self._image:
            self.due = now

    def window_ended(
        self, now: int, conditions: Conditions, *, busy: bool, latency_us: int = 0
    ) -> None:
        """A window ended and `due` has come: ask for a probe if this is a good moment.

        Args:
            now: the instant.
            conditions: what the sensors say.
            busy: an update is in hand or on trial.
            latency_us: of the window's inferences: a chip that is slow because it is hot is told by it.
        """
        config, slots = self._shared.config, self._slots
        if self._asked or busy or not slots.active:
            return
        running = slots.running.manifest
        cool = conditions.chip_c <= config.probe_chip_c_max and not conditions.throttled
        if not (conditions.plugged and cool and self._flags.enabled(config.probe_feature)):
            return
        self._image, self._asked = running, slots.active
        self._found = conditions.chip_c, latency_bin(latency_us)
        self.due = now + config.probe_period_ns
        self._shared.out.append(RunProbe(slots.active, running, slots.running.variant))

    def never_asked(self, effect: Effect) -> None:
        """A probe that was asked for after a refused write, and so never."""
        if isinstance(effect, RunProbe) and effect.slot == self._asked:
            self._asked = ""

    def ran(self, ran: ProbeRan) -> bool:
        """Take the answer; False when none was awaited."""
        if self._asked != ran.slot:
            return False
        self._asked = ""
        if self._slots.active == ran.slot and self._slots.running.manifest == self._image:
            self.result = Probed(
                ran.passed,
                ran.residual_permille,
                ran.worst_permille,
                ran.argmax_mismatches,
                ran.resembles,
                *self._found,
            )
        return True

    def take(self) -> Probed | None:
        """The result for the window that ends now, once; None: no probe ran of what is active."""
        result, self.result = self.result, None
        return result if self._slots.running.manifest == self._image else None
