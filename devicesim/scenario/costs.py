"""What a bundle costs the devices that run it, where that is not what its files say.

Decides the options. Leaves out how they are charged (devicesim/world/equip.py, devicesim/world/wakelock.py).

The shipped networks are small, so that a fleet of them can be rehearsed with real inference; a scenario
about heat or charge says what the network costs that it stands for.
"""

from __future__ import annotations

from pydantic import Field

from devicesim.scenario.fields import Duration, Model


class Costs(Model):
    """What running it takes out of a device."""

    work: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Factor on the operations of each inference: latency, heat and charge follow.",
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
