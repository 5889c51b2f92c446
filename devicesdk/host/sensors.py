"""What a Linux device can feel of itself: heat, throttling, battery, carrier.

Decides which files of sysfs are believed. Leaves out what follows from the values: the agent's. A
sensor that is not there says what a healthy device on the mains would (`Conditions` defaults).

Sources: ``class/thermal/thermal_zone*/temp`` in millidegrees (the hottest sane zone counts);
``class/power_supply/*`` with ``type`` Battery, Mains or USB; ``thermal_throttle/*_throttle_count``
of x86 cores (a count that rose since it was last read); the firmware's ``get_throttled`` bits of
Raspberry Pi boards; ``class/net/*/carrier``.

Rules: reading never raises and never blocks for long; a change is told when it matters to somebody:
plug, throttle, five percent of battery, five degrees.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from devicesdk.agent.stimuli import Conditions

SYS: Final = Path("/sys")
MEMINFO: Final = Path("/proc/meminfo")
MEMORY_STEP_PERCENT: Final = 10
BATTERY_STEP_PERCENT: Final = 5
CHIP_STEP_C: Final = 5
_CHIP_C_SANE: Final = range(-50, 151)
_PI_THROTTLED_BITS: Final = 0b1110
"""Frequency capped, throttled, soft temperature limit; bit 0 is under-voltage, 16 and up are history."""


def matters(old: Conditions, new: Conditions) -> bool:
    """Whether the agent should hear of the difference."""
    return (
        old.plugged is not new.plugged
        or old.throttled is not new.throttled
        or abs(old.battery_percent - new.battery_percent) >= BATTERY_STEP_PERCENT
        or abs(old.chip_c - new.chip_c) >= CHIP_STEP_C
        or abs(old.memory_percent - new.memory_percent) >= MEMORY_STEP_PERCENT
    )


class Sensors:
    """The sensors of this machine.

    Args:
        interface: network interface whose carrier is watched; empty: the carrier is always up.
        sys: where sysfs is.
        metered: whether the link is paid by the byte; nobody but the owner knows.
        meminfo: where the kernel tells of memory.
    """

    __slots__ = (
        "_cores",
        "_interface",
        "_meminfo",
        "_metered",
        "_pi",
        "_supplies",
        "_throttle_count",
        "_zones",
    )

    def __init__(
        self,
        interface: str = "",
        sys: Path = SYS,
        *,
        metered: bool = False,
        meminfo: Path = MEMINFO,
    ) -> None:
        self._metered, self._meminfo = metered, meminfo
        self._zones = sorted(sys.glob("class/thermal/thermal_zone*/temp"))
        self._supplies = sorted(sys.glob("class/power_supply/*"))
        self._cores = sorted(
            sys.glob("devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
        )
        self._pi = sys / "devices/platform/soc/soc:firmware/get_throttled"
        self._interface = sys / "class/net" / interface if interface else None
        self._throttle_count = self._throttles()

    def carrier(self) -> bool:
        """Whether the watched interface has a carrier."""
        return self._interface is None or _text(self._interface / "carrier") == "1"

    def conditions(self) -> Conditions:
        """All sensors, now."""
        battery, plugged = self._power()
        memory = memory_percent(self._meminfo)
        return Conditions(
            battery, plugged, self._chip_c(), self._throttled(), self._metered, memory
        )

    @staticmethod
    def memory_peak_mib() -> int:
        """The most memory that this process ever had, rounded up (`getrusage`; Linux counts in KiB)."""
        return -(-resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

    def _chip_c(self) -> int:
        found = [round(_number(zone, -(10**9)) / 1000) for zone in self._zones]
        return max((c for c in found if c in _CHIP_C_SANE), default=Conditions().chip_c)

    def _power(self) -> tuple[int, bool]:
        percent: list[int] = []
        discharging = online = mains = False
        for supply in self._supplies:
            kind = _text(supply / "type")
            if kind == "Battery":
                percent.append(min(100, max(0, _number(supply / "capacity", 100))))
                discharging |= _text(supply / "status") == "Discharging"
            elif kind in ("Mains", "USB"):
                mains = True
                online |= _text(supply / "online") == "1"
        if not percent:
            return 100, True
        return min(percent), online if mains else not discharging

    def _throttled(self) -> bool:
        count, before = self._throttles(), self._throttle_count
        self._throttle_count = count
        if count > before:
            return True
        try:
            return bool(int(_text(self._pi) or "0", 16) & _PI_THROTTLED_BITS)
        except ValueError:
            return False

    def _throttles(self) -> int:
        return sum(_number(core, 0) for core in self._cores)


def memory_percent(meminfo: Path) -> int:
    """Memory in use: what is not available of the total; 0 where the kernel does not say."""
    found = dict(line.split()[:2] for line in _text(meminfo).splitlines() if len(line.split()) > 1)
    try:
        total, free = int(found["MemTotal:"]), int(found["MemAvailable:"])
    except (KeyError, ValueError):
        return 0
    return max(0, min(100, 100 - 100 * free // max(1, total)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(_text(path))
    except ValueError:
        return otherwise
