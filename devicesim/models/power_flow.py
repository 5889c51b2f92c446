"""Power over time: what a device draws, and where it flows.

Decides how much power there is between two instants and lets it flow into heat and out of the
battery. Leaves out who asks for it and what happens at the edges (`body.py`, which builds on this).

Power is constant between *instants at which something changes*: the host acts, or an activity ends.
Two activities end by themselves: a burst of inference (its mean power over its span) and the *lump*
of radio and flash work (energy in closed form, spread until the radio sleeps). `advance` walks over
those ends, at most two; nothing ticks. All power ends as heat in the chip, the battery stands at the
temperature of the body, and a charger warms it by a tenth of what it pushes.

Energy is booked twice, by who asked for it and by what flowed, and `energy_residual` compares.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import NEVER, SECOND
from devicesim.entropy import Stream
from devicesim.models.battery import Battery
from devicesim.models.crossing import Modifier
from devicesim.models.processor import Processor
from devicesim.models.profile import Profile
from devicesim.models.thermal import Ambient, Network, Thermal

LUMP_NS_MIN: Final = SECOND
CHARGER_LOSS: Final = 0.1
SPREAD_SIGMAS_MAX: Final = 3.0
_CHARGE_HEAT_STEP_W: Final = 0.1
_NS: Final = 1e-9


class PowerFlow:
    """Activities, heat, battery and accounts of one device.

    Args:
        profile: what kind of device it is.
        stream: the device's own stream for unit-to-unit spread (three draws, now).
        ambient: the air around it.
        soc: state of charge at the start.
        plugged: on its charger or grid.
        now: start, ns.
    """

    __slots__ = (
        "_base_at", "_base_w", "_burst_end", "_burst_w", "_charge_heat", "_charger_w", "_connected_w",
        "_lump_end", "_lump_w", "_mean_c", "_modifiers", "_next_end", "_now", "_plugged", "_power",
        "_sun_w", "base_j", "battery", "compute_j", "drawn_j", "flash_j", "on", "processor", "profile",
        "radio_j", "thermal",
    )  # fmt: skip

    def __init__(
        self,
        profile: Profile,
        stream: Stream,
        ambient: Ambient,
        soc: float,
        plugged: bool,  # noqa: FBT001 - `Body` is the door
        now: int,
    ) -> None:
        self.profile = profile
        self.on = True
        self._now = self._base_at = now
        self._modifiers: list[Modifier] = []
        self._plugged = plugged
        self._base_w = self._power = profile.power.idle_w
        self._connected_w = self._charge_heat = self._charger_w = 0.0
        self.base_j = self.compute_j = self.radio_j = self.flash_j = self.drawn_j = 0.0
        self._drop_activities(now)
        self._build(stream, ambient, soc)

    def _build(self, stream: Stream, ambient: Ambient, soc: float) -> None:
        """Make this unit: no two of a kind are quite alike."""
        profile, limit = self.profile, SPREAD_SIGMAS_MAX
        quick, warm, worn = (
            max(-limit, min(limit, stream.normal())) * profile.unit_sigma for _ in range(3)
        )
        heat = profile.heat
        network = Network(
            heat.chip_to_body_k_w,
            heat.body_to_air_k_w * (1.0 + warm),
            heat.chip_j_k,
            heat.body_j_k,
        )
        self.thermal = Thermal(network, ambient, self._power, self._now)
        self._mean_c, self._sun_w = self.thermal.mean_c, ambient.sun_w
        self.processor = Processor(profile.processor, 1.0 + quick)
        self.battery: Battery | None = None
        if profile.battery is not None and profile.power.supply not in {"mains", "poe"}:
            self.battery = Battery(profile.battery, soc, unit=1.0 - abs(worn))
            self._charger_w = profile.battery.charger_w

    @property
    def power_w(self) -> float:
        """What the device draws at the last instant, W."""
        return self._power

    # -- time -------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Let everything flow until `now`, over the ends of activities.

        Raises:
            ValueError: `now` lies before the last instant.
        """
        at = self._now
        if now <= at:
            if now < at:
                raise ValueError(f"expected an instant from {at} ns on, found {now} ns")
            return
        while self._next_end <= now:
            end = self._next_end
            self._flow(at, end)
            at = end
            self._expire(end)
        if now > at:
            self._flow(at, now)
        self._now = now

    def _flow(self, at: int, to: int) -> None:
        """Constant power from `at` to `to`."""
        power = self._power
        thermal = self.thermal
        if power != thermal.power_w:
            thermal.set_power(power)
        battery = self.battery
        if battery is not None:
            if self._plugged:
                self._flow_plugged(battery, to - at, self._charger_w - power)
            else:
                battery.advance(to - at, power, thermal.body_c)
        thermal.advance(to)
        self.drawn_j += power * (to - at) * _NS

    def _flow_plugged(self, battery: Battery, dt: int, spare_w: float) -> None:
        """The charger feeds the device; what it can spare charges, what it lacks is drawn."""
        temp = self.thermal.body_c
        lost = 0.0
        if spare_w < 0.0:
            battery.advance(dt, -spare_w, temp)
        else:
            battery.charge(dt, spare_w, temp)
            lost = -battery.current_a * battery.open_circuit_v() * CHARGER_LOSS
        if abs(lost - self._charge_heat) > _CHARGE_HEAT_STEP_W:
            self._charge_heat = lost
            self._surround()

    def _surround(self) -> None:
        """Take the air and the heat on the body anew."""
        air = sum(modifier.air_k for modifier in self._modifiers)
        sun = sum(modifier.sun_w for modifier in self._modifiers)
        self.thermal.set_surroundings(self._mean_c + air, self._sun_w + sun + self._charge_heat)

    # -- activities -------------------------------------------------------------------------------

    def _drop_activities(self, now: int) -> None:
        self._burst_w = self._lump_w = 0.0
        self._burst_end = self._lump_end = now
        self._next_end = NEVER

    def _expire(self, end: int) -> None:
        """End the activities that end at `end`."""
        if self._burst_end <= end:
            self._burst_w = 0.0
        if self._lump_end <= end:
            self._lump_w = 0.0
        self._settle(end)

    def _settle(self, now: int) -> None:
        """Take the power anew after an activity began, changed or ended at `now`.

        Temperatures do not jump, so the heat is told to `thermal` only when time goes on, or when
        somebody looks ahead: several changes at one instant are one.
        """
        burst, lump = self._burst_w, self._lump_w
        self._power = self._base_w + burst + lump
        end = NEVER
        if burst:
            end = self._burst_end
        if lump and self._lump_end < end:
            end = self._lump_end
        self._next_end = end if end > now else NEVER

    def _rebase(self, now: int) -> None:
        """Take the power at rest anew: on or off, connected, loaded, throttled."""
        self.base_j += self._base_w * (now - self._base_at) * _NS
        self._base_at = now
        base = 0.0
        if self.on:
            cores = sum(modifier.load_cores for modifier in self._modifiers)
            base = self.profile.power.idle_w + self._connected_w
            base += min(cores, self.profile.processor.cores) * self.processor.busy_w
        self._base_w = base
        self._settle(now)

    def _burst(self, now: int, end: int, joules: float) -> None:
        """Begin a burst; beside an earlier one their energies share the longer span."""
        self.compute_j += joules
        if self._burst_w:
            joules += self._burst_w * (self._burst_end - now) * _NS
            end = max(end, self._burst_end)
        self._burst_end = end
        self._burst_w = joules / ((end - now) * _NS)
        self._settle(now)

    def _rescale_burst(self, now: int, busy_before_w: float, slower: float) -> None:
        """Keep the demand of a burst in another P-state: busy for longer, at another power."""
        duty = min(1.0, self._burst_w / busy_before_w * slower)
        watts = duty * self.processor.busy_w
        self.compute_j += (watts - self._burst_w) * (self._burst_end - now) * _NS
        self._burst_w = watts

    def _lump(self, now: int, until: int, joules: float) -> None:
        """Spread `joules`, and what is left of earlier ones, until `until` or the end of those."""
        end = now + LUMP_NS_MIN
        if self._lump_w:
            end = self._lump_end
            joules += self._lump_w * (end - now) * _NS
        end = end if end > until else until
        self._lump_end = end
        self._lump_w = joules / ((end - now) * _NS)
        self._settle(now)

    def _cut_burst(self, now: int) -> None:
        self.compute_j -= self._burst_w * (self._burst_end - now) * _NS
        self._burst_w = 0.0
        self._burst_end = now

    def _cut_activities(self, now: int) -> None:
        """Forget activities at `now`; what they had not yet drawn is not drawn."""
        self._cut_burst(now)
        self.radio_j -= self._lump_w * (self._lump_end - now) * _NS
        self._drop_activities(now)

    def _power_after_next_end(self) -> float:
        """What the device will draw once the first of its activities has ended, W."""
        power = self._base_w
        if self._burst_w and self._burst_end > self._next_end:
            power += self._burst_w
        if self._lump_w and self._lump_end > self._next_end:
            power += self._lump_w
        return power

    # -- audit ------------------------------------------------------------------------------------

    def energy_residual(self) -> float:
        """Share of the energy that the accounts cannot explain; must stay under 0.01.

        Compares what was asked for (at rest, computing, radio, flash) with what flowed, and inside a
        battery chemical energy with what came out and what was lost.
        """
        now = self._now
        booked = self.base_j + self._base_w * (now - self._base_at) * _NS
        booked += self.compute_j + self.radio_j + self.flash_j
        booked -= self._burst_w * (self._burst_end - now) * _NS
        booked -= self._lump_w * (self._lump_end - now) * _NS
        residual = abs(booked - self.drawn_j) / max(self.drawn_j, 1.0)
        return max(residual, self.battery.energy_residual()) if self.battery else residual
