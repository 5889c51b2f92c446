"""Experiments: a candidate beside production, on a group of devices.

Decides their options. Leaves out what they mean to the gateway (gateway/core/experiment_plan.py) and to a
device (devicesdk/agent/arm.py).

Rules: an experiment is of one group, because a group is a segment of flags and the allocation is a flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.fields import (
    At,
    Duration,
    Model,
    Name,
    PositiveDuration,
    PositiveShare,
    Share,
)
from devicesim.scenario.release import Policy

if TYPE_CHECKING:
    from devicesim.scenario.schema import Scenario


class Experiment(Model):
    """A candidate that is compared with production, in the field."""

    id: Name = Field(description="Id, for reports.", examples=["e1"])
    group: Name = Field(description="The group of devices that takes part.", examples=["kiosk"])
    bundle: str = Field(description="The candidate: id@version.", examples=["gauge@1.1.0"])
    production: str = Field(
        description="What it is compared with: id@version.", examples=["gauge@1.0.0"]
    )
    mode: Literal["shadow", "interleaved", "bandit"] = Field(
        description="shadow: sees the same frames, decides nothing; interleaved: every other window; "
        "bandit: devices by Thompson sampling under an exposure cap.",
        examples=["shadow"],
    )
    at_ns: At = Field(alias="at", description="When it starts.", examples=["1h"])
    share: PositiveShare = Field(
        default=1.0, description="Share of devices that take part; a bandit's cap ends there."
    )
    tolerated: PositiveShare = Field(
        default=0.02, description="Share of the candidate's windows that may be bad."
    )
    brake: float = Field(default=20.0, gt=1, description="E-value that stops it.")
    freeze: float = Field(
        default=2.0, gt=1, description="E-value that keeps the allocation from growing."
    )
    promote: Literal["evidence", "manual"] = Field(
        default="evidence", description="evidence: promoted by itself when it has shown enough."
    )
    errors: Share = Field(
        default=0.05, description="More frames in error than this make a window bad."
    )
    apart: Share = Field(
        default=0.05, description="More disagreements than this make a shadow's window bad."
    )
    apart_permille: int = Field(
        default=50, ge=0, le=1000, description="Readings further apart disagree, permille."
    )
    look_ns: PositiveDuration = Field(
        default=15 * MINUTE, alias="look", description="Between two looks at the arms."
    )
    jitter_ns: Duration = Field(
        default=MINUTE,
        alias="jitter",
        description="Each device begins to stage at a moment of its own within this.",
    )
    policy: Policy = Field(default_factory=Policy, description="When a device may act.")


def misnamed(scenario: Scenario) -> list[tuple[int, str, str, list[str]]]:
    """What experiments name and nobody knows: (index, key, name, known names)."""
    bundles = [bundle.reference for bundle in scenario.bundles]
    groups = [group.group for group in scenario.fleet]
    found = []
    for index, one in enumerate(scenario.experiments):
        asked = (("bundle", one.bundle, bundles), ("production", one.production, bundles))
        for key, name, known in (*asked, ("group", one.group, groups)):
            if name not in known:
                found.append((index, key, name, known))
    return found
