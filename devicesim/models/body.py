"""The body of a device: its power, heat, battery, processor, radio and flash behind one door.

Decides how the models of this package act on each other and what the host of a device needs to know:
what a burst costs, what the sensors read, what happens next by physics alone. Leaves out links,
clocks and contents of flash, and what an agent does about any of it. How power flows is told in
`power_flow.py`, how the future is looked at in `outlook.py`.

    advance(now)                        then ask, or act:
    run_burst / message / flash_write / set_connected / apply / power_off / power_on
    next_crossing(now) -> (instant, what)          at that instant: on_crossing(now, what) -> bool

Rules: instants in ns, never going back; every call advances first. A crossing may be announced
early, never more than a second late: `on_crossing` says whether it happened, and the host asks again either way. On
SHUTDOWN, BROWN_OUT and EMPTY the host must call `power_off`, on COOLED and REVIVED it may boot.
Keep-alive pings are a mean power while connected, not events.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import HOUR
from devicesim.entropy import Stream
from devicesim.models import outlook
from devicesim.models.battery import Battery
from devicesim.models.crossing import BodyReading, BurstCost, Crossing, Modifier
from devicesim.models.flash_wear import FlashWear
from devicesim.models.outlook import EPSILON_K, Outlook
from devicesim.models.power_flow import PowerFlow
from devicesim.models.processor import HYSTERESIS_K, STEP_DOWN_NS
from devicesim.models.profile import Profile
from devicesim.models.radio import Radio
from devicesim.models.thermal import Ambient

FAR_NS: Final = 2 * HOUR
"""An end of the charge so far away is a bound that holds for a while: it is not sought at each burst."""
_FAR_LOAD: Final = 1.25
_NS: Final = 1e-9


class Body(PowerFlow):
    """The physics of one device.

    Args:
        profile: what kind of device it is.
        stream: the device's own stream for unit-to-unit spread (three draws, now).
        ambient: the air around it; by default what the profile says, midnight at instant 0.
        soc: state of charge at the start.
        plugged: on its charger or grid; by default unless the profile lives on its battery.
        now: start, ns.
    """

    __slots__ = (
        "_far", "_far_until", "_far_w", "_full_told", "_off_for", "_radio", "_sensor_is_chip",
        "_slow_since", "_trip_c", "flash", "lowest_soc", "throttled_ns",
    )  # fmt: skip

    def __init__(
        self,
        profile: Profile,
        stream: Stream,
        *,
        ambient: Ambient | None = None,
        soc: float = 1.0,
        plugged: bool | None = None,
        now: int = 0,
    ) -> None:
        usual = profile.power.supply != "battery"
        super().__init__(
            profile,
            stream,
            ambient or profile.ambient(),
            soc,
            usual if plugged is None else plugged,
            now,
        )
        self._off_for: Crossing | None = None
        self._slow_since = -1
        self.throttled_ns = 0
        """Time below full speed, as of the last time it ended; `settle_accounts` brings it up to date."""
        self.lowest_soc = soc
        """Lowest usable charge when power came or went, and at `settle_accounts`; charge falls in between."""
        self._full_told = self.battery is None or self.battery.is_full()
        self._far: Outlook | None = None
        self._far_until, self._far_w = now, 0.0
        """Until when `_far` holds, and at up to which power."""
        self._radio = Radio(profile.radio())
        self.flash = FlashWear(profile.flash)
        self._trip_c = profile.heat.trip_c
        self._sensor_is_chip = profile.heat.sensor == "chip"

    # -- what the host does -----------------------------------------------------------------------

    def run_burst(
        self, now: int, frames: int, period_ns: int, macs: float, precision: str = "int8"
    ) -> BurstCost:
        """Run `frames` inferences of `macs` operations, one every `period_ns` or as fast as it goes.

        Raises:
            ValueError: the device is off, the burst is empty, or the precision has no measured speed.
        """
        if not self.on or frames <= 0:
            raise ValueError(f"expected a device that is on and some frames, found {frames} frames")
        if now != self._now:
            self.advance(now)
        processor = self.processor
        latency = processor.latency_ns(macs, precision) or 1
        joules = frames * latency * _NS * processor.busy_w
        end = now + frames * (period_ns if period_ns > latency else latency)
        self._burst(now, end, joules)
        return BurstCost(latency, processor.p_state > 0, joules, end)

    def cut_burst(self, now: int) -> None:
        """End a burst at `now`; what it had not yet computed is not paid for."""
        self.advance(now)
        self._cut_burst(now)
        self._settle(now)

    def message(self, now: int, nbytes: int, uplink: bool, bytes_per_s: float = 0.0) -> float:  # noqa: FBT001 - hot
        """Account a message on the radio; returns its energy in J (0 on a wire).

        `bytes_per_s` is the rate of the link; the radio's nominal rate if 0.
        """
        radio = self._radio
        if radio.silent or not self.on:
            return 0.0
        if now != self._now:
            self.advance(now)
        joules = radio.message(now, nbytes, uplink=uplink, bytes_per_s=bytes_per_s)
        self.radio_j += joules
        self._lump(now, radio.up_until, joules)
        return joules

    def flash_write(self, now: int, nbytes: int) -> int:
        """Write to flash; returns how long it takes, ns."""
        if now != self._now:
            self.advance(now)
        duration = self.flash.write(nbytes)
        joules = self.profile.flash.write_w * duration * _NS
        self.flash_j += joules
        self._lump(now, now + duration, joules)
        return duration

    def set_connected(self, now: int, connected: bool, keepalive_s: float = 60.0) -> None:  # noqa: FBT001
        """Begin or end a connection, whose pings cost a mean power from now on."""
        self.advance(now)
        live = connected and self.on
        self._connected_w = self._radio.keep_alive_w(keepalive_s) if live else 0.0
        self._rebase(now)

    def use_radio(self, now: int, name: str) -> None:
        """Switch to another radio of the profile, not connected yet; the old one sleeps at once.

        Raises:
            ValueError: there is no radio of that name.
        """
        self.advance(now)
        self._radio = Radio(self.profile.radio(name))
        self._connected_w = 0.0
        self._rebase(now)

    def power_off(self, now: int) -> None:
        """Cut the power of everything at `now`; what activities had not yet drawn is not drawn."""
        self.settle_accounts(now)
        self._slow_since = -1
        self._cut_activities(now)
        self.on = False
        self._connected_w = 0.0
        self._radio.cut()
        self._rebase(now)

    def power_on(self, now: int) -> None:
        """Boot at full speed, disconnected."""
        self.advance(now)
        self.on = True
        self._off_for = None
        self.processor.reset()
        self._rebase(now)

    # -- hardships --------------------------------------------------------------------------------

    def apply(self, now: int, modifier: Modifier) -> None:
        """Lay a hardship on the device from `now` on; `undo` takes the same one back."""
        self.advance(now)
        self._modifiers.append(modifier)
        self._modify(now, modifier)

    def undo(self, now: int, modifier: Modifier) -> None:
        """Take back a hardship; the others stay.

        Raises:
            ValueError: it was not applied, or taken back before.
        """
        if modifier not in self._modifiers:
            raise ValueError(f"expected a modifier that was applied, found {modifier}")
        self.advance(now)
        self._modifiers.remove(modifier)
        self._modify(now, modifier)

    def _modify(self, now: int, changed: Modifier) -> None:
        self._far_until = now
        ages = changed.capacity != 1.0 or changed.resistance != 1.0
        if ages and self.battery is not None:
            capacity = resistance = 1.0
            for modifier in self._modifiers:
                capacity *= modifier.capacity
                resistance *= modifier.resistance
            self.battery.set_age(capacity, resistance)
        if changed.plugged is not None:
            choices = [m.plugged for m in self._modifiers if m.plugged is not None]
            usual = self.profile.power.supply != "battery"
            self.set_plugged(now, choices[-1] if choices else usual)
        self._surround()
        self._rebase(now)

    def set_plugged(self, now: int, plugged: bool) -> None:  # noqa: FBT001 - a switch
        """Put on, or take off, the charger or grid."""
        self.settle_accounts(now)
        self._plugged, self._far_until = plugged, now
        if self.battery is not None:
            self._full_told = plugged and self.battery.is_full()
        if not plugged and self._charge_heat:
            self._charge_heat = 0.0
            self._surround()

    # -- crossings --------------------------------------------------------------------------------

    def next_crossing(self, now: int) -> Outlook | None:
        """Say what physics will do next and when (early at worst); None if nothing."""
        if now != self._now:
            self.advance(now)
        thermal, processor = self.thermal, self.processor
        if self._power != thermal.power_w:
            thermal.set_power(self._power)
        if not self.on:
            return self._revival(now)
        best: Outlook | None = None
        if processor.p_state or thermal.ceiling_c(chip=self._sensor_is_chip) >= self._trip_c:
            change = self._next_end, self._power_after_next_end()
            best = outlook.heat_outlook(thermal, processor, self.profile.heat, now, change)
        battery = self.battery
        if battery is not None:
            if now < self._far_until and self._power <= self._far_w:
                return outlook.sooner(best, self._far)
            return outlook.sooner(best, self._look(battery, now))
        return best if self._plugged else (now, Crossing.BROWN_OUT)

    def _look(self, battery: Battery, now: int) -> Outlook | None:
        """Look at the supply; what is far away is remembered, as a bound for a little more load."""
        found = self._supply(battery, now)
        if found is not None and found[1] is Crossing.EMPTY and not self._plugged:
            left = found[0] - now
            if left >= FAR_NS:
                self._far = now + left * 3 // 4, Crossing.EMPTY
                self._far_until, self._far_w = now + left // 4, self._power * _FAR_LOAD
        return found

    def _supply(self, battery: Battery, now: int) -> Outlook | None:
        temp = self.thermal.body_c
        spare = self._charger_w - self._power if self._plugged else -self._power
        if spare >= 0.0:
            if battery.is_full():
                return None if self._full_told else (now, Crossing.CHARGED)
            return outlook.charge_outlook(battery, temp, now, spare)
        peak = -spare
        if self._burst_w:  # the mean of a burst hides that a core is either busy or not
            more_w = self.processor.busy_w - self._burst_w
            if more_w > 0.0:
                peak += more_w
        return outlook.supply_outlook(battery, temp, now, -spare, peak)

    def _revival(self, now: int) -> Outlook | None:
        reason = self._off_for
        if reason is Crossing.SHUTDOWN:
            cool_c = self._trip_c - HYSTERESIS_K
            if self._sensor_c() <= cool_c + EPSILON_K:
                return now, Crossing.COOLED
            at = self.thermal.time_to_reach(cool_c, chip=self._sensor_is_chip)
            return None if at is None else (at, Crossing.COOLED)
        if reason is None or not self._plugged:
            return None
        if self.battery is None:
            return now, Crossing.REVIVED
        temp = self.thermal.body_c
        return outlook.revival_outlook(self.battery, temp, now, self._charger_w)

    def on_crossing(self, now: int, crossing: Crossing) -> bool:
        """Tell whether an announced crossing really happens at `now`, and do its part of it."""
        self.advance(now)
        self.thermal.set_power(self._power)
        if crossing in {Crossing.COOLED, Crossing.REVIVED}:
            return not self.on and self._revival(now) == (now, crossing)
        if not self.on:
            return False
        if crossing in {Crossing.THROTTLE_DOWN, Crossing.THROTTLE_UP}:
            return self._throttle(now, up=crossing is Crossing.THROTTLE_UP)
        battery = self.battery
        if crossing is Crossing.CHARGED:
            happens = battery is not None and self._plugged and battery.is_full()
            told, self._full_told = self._full_told, happens or self._full_told
            return happens and not told
        if crossing is Crossing.SHUTDOWN:
            happens = self._sensor_c() >= self.profile.heat.shutdown_c - EPSILON_K
        elif battery is None:
            happens = not self._plugged
        else:
            happens = self._supply(battery, now) == (now, crossing)
        if happens:
            self._off_for = crossing
        return happens

    def _sensor_c(self) -> float:
        return self.thermal.chip_c if self._sensor_is_chip else self.thermal.body_c

    def _throttle(self, now: int, *, up: bool) -> bool:
        """Step the governor if the sensor is (still) past the threshold and 2 s have passed."""
        processor, temp = self.processor, self._sensor_c()
        if now < processor.stepped_at + STEP_DOWN_NS:
            return False
        speed, busy_w = processor.speed, processor.busy_w
        if up and processor.throttled and temp <= self._trip_c - HYSTERESIS_K + EPSILON_K:
            processor.step_up(now)
        elif not up and not processor.slowest and temp >= self._trip_c - EPSILON_K:
            processor.step_down(now)
        else:
            return False
        if self._burst_w:
            self._rescale_burst(now, busy_w, speed / processor.speed)
        self._rebase(now)
        self._note_speed(now)
        return True

    def _note_speed(self, now: int) -> None:
        since = self._slow_since
        if since >= 0:
            self.throttled_ns += now - since
        self._slow_since = now if self.processor.throttled else -1

    def settle_accounts(self, now: int) -> None:
        """Bring the energy drawn, the time below full speed and the lowest charge up to `now`."""
        self.advance(now)
        if self._slow_since >= 0:
            self._note_speed(now)
        if self.battery is not None:
            soc = self.battery.usable_soc(self.thermal.body_c)
            self.lowest_soc = min(self.lowest_soc, soc)

    # -- sensors ----------------------------------------------------------------------------------

    def sense(self) -> tuple[float, float, bool, bool]:
        """What a device itself looks at: (chip C, usable charge 0 to 1, throttled, plugged); no solve."""
        thermal, battery = self.thermal, self.battery
        soc = 1.0 if battery is None else battery.usable_soc(thermal.body_c)
        return thermal.chip_c, soc, self.processor.p_state > 0, self._plugged

    def read(self) -> BodyReading:
        """Read the sensors as of the last instant."""
        chip_c, body_c, battery = self.thermal.chip_c, self.thermal.body_c, self.battery
        throttled = self.processor.p_state > 0
        if battery is None:
            volts = self.profile.power.supply_v if self._plugged else 0.0
            return BodyReading(chip_c, body_c, 1.0, volts, False, throttled, self._plugged)
        soc = battery.usable_soc(body_c)
        if not self._plugged:
            volts = battery.terminal_voltage(self._power)
            return BodyReading(chip_c, body_c, soc, volts, False, throttled, False)
        charging = battery.charging_current(self._charger_w - self._power, body_c) > 0.0
        volts = battery.open_circuit_v()
        return BodyReading(chip_c, body_c, soc, volts, charging, throttled, True)
