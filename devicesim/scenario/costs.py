"""What a bundle costs the devices that run it, where that is not what its files say.

Decides the options. Leaves out how they are charged (devicesim/world/equip.py, devicesim/world/wakelock.py,
devicesim/world/crashes.py).

The shipped networks are small, so that a fleet of them can be rehearsed with real inference; a scenario
about heat or charge says what the network costs that it stands for.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from devicesdk.wire.timebase import SECOND
from devicesim.scenario.fields import Duration, Model, Name

UPTIME_NS: Final = 5 * SECOND


class Crashes(Model):
    """When running it takes the whole device down, past every check of its content: it boots, and again."""

    uptime_ns: Duration = Field(
        default=UPTIME_NS,
        alias="uptime",
        description="How long the device stays up from each start of the bundle, or from flag going"
        " on. Shorter than connecting takes, and nobody reaches it any more.",
    )
    after_ns: Duration = Field(
        default=0,
        alias="after",
        description="The first crash comes no sooner than this after a device first ran it: later than"
        " its trial, and no going back to the other slot helps.",
    )
    gives_up_after: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="After so many crashes a device stays down until somebody comes: `device.repair`.",
    )
    flag: Name | None = Field(
        default=None,
        description="Only while this flag is on at the device: a valid value that meets a latent bug."
        " A kill of the flag ends it where a device stays up long enough to hear of it.",
        examples=["new-dial"],
    )


class Costs(Model):
    """What running it takes out of a device."""

    work: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Factor on the operations of each inference: latency, heat and charge follow.",
    )
    memory: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Factor on the memory that it takes while it runs, beyond what its manifest says.",
    )
    keeps_busy: float = Field(
        default=0.0,
        ge=0,
        le=64,
        description="Cores that it keeps busy all the time that it is active: a wake lock, a spin.",
    )
    after_ns: Duration = Field(
        default=0,
        alias="after",
        description="keeps_busy begins so long after a device first ran it: a leak, a table that fills.",
    )
    crashes: Crashes | None = Field(
        default=None, description="It crashes the device that runs it; {} crashes it at activation."
    )
