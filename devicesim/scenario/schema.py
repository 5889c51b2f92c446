"""A scenario: one outage, one fleet, one plan, one verdict.

Decides the whole of the file's shape and re-exports what readers of a loaded scenario match on.
Leaves out the parts (fleet.py, services.py, release.py, faults.py, checks.py), names that must
exist elsewhere in the file (references.py), and the reading (load.py).

Rules: a loaded `Scenario` is frozen and in final units: ``_ns`` are integer nanoseconds (since the
start for instants), shares are from 0 to 1. The order of lists is the order of the file.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from devicesdk.agent.config import BackoffConfig
from devicesim.scenario.checks import Buggify, Checks, Soak
from devicesim.scenario.choosing import Choosing
from devicesim.scenario.experiments import Experiment
from devicesim.scenario.faults import AnyAction
from devicesim.scenario.fields import Model, Name
from devicesim.scenario.fleet import Clock, Group, Regions, Telemetry
from devicesim.scenario.release import Bundle, FlagStep, Rollout
from devicesim.scenario.services import Agent, Broker
from devicesim.scenario.verdicts import DriftWatch


class Scenario(Model):
    """Rehearse one outage: the fleet, what is shipped to it, what goes wrong, what must hold."""

    name: Name = Field(
        alias="scenario", description="Name of the scenario.", examples=["carrier-outage"]
    )
    version: Literal[1] = Field(default=1, description="Version of this file format.")
    title: str = Field(
        default="", max_length=120, description="One line for the head of the report."
    )
    description: str = Field(
        default="", max_length=4_000, description="What one learns from it, for the report."
    )
    seed: int = Field(
        default=1,
        ge=0,
        lt=2**63,
        description="Master seed: the same seed gives the same run, bit for bit.",
    )
    clock: Clock = Field(default_factory=Clock, description="Start, length, virtual or real.")
    scale: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Multiplies every count; each group keeps at least 1.",
    )
    regions: Regions = Field(
        default_factory=dict, description="Places by name; none means one place, indoors."
    )
    fleet: tuple[Group, ...] = Field(
        min_length=1,
        max_length=1_000,
        description="Groups of devices.",
        examples=[[{"group": "kiosk", "count": 1000, "profile": "rpi4-kiosk", "link": "fcc-dsl"}]],
    )
    telemetry: Telemetry = Field(
        default_factory=Telemetry, description="Windows and inferences; a group may replace it."
    )
    choosing: Choosing = Field(
        default_factory=Choosing,
        description="Policy, consent and regulatory mode of devices; a group may replace it.",
    )
    broker: Broker = Field(default_factory=Broker, description="The MQTT broker.")
    agent: Agent = Field(default_factory=Agent, description="The device agent's connection.")
    trust: Literal["roles", "keys"] = Field(
        default="roles",
        description="roles: devices go by TUF roles from their first root on; keys: by one key a role.",
    )
    bundles: tuple[Bundle, ...] = Field(
        default=(),
        max_length=100,
        description="Model bundles; the first is on the devices at the start.",
    )
    rollouts: tuple[Rollout, ...] = Field(
        default=(), max_length=100, description="Staged rollouts."
    )
    experiments: tuple[Experiment, ...] = Field(
        default=(), max_length=16, description="Candidates compared with production in the field."
    )
    flags: tuple[FlagStep, ...] = Field(
        default=(), max_length=1_000, description="Flags, kills and changes of policy."
    )
    timeline: tuple[AnyAction, ...] = Field(
        default=(), max_length=10_000, description="What goes wrong, and when it heals."
    )
    checks: Checks = Field(default_factory=Checks, description="What must hold.")
    drift: DriftWatch = Field(
        default_factory=DriftWatch, description="What the gateway takes for drift."
    )
    soak: Soak | None = Field(default=None, description="For long runs in real time.")
    buggify: Buggify = Field(
        default_factory=Buggify, description="Random hardship in our own code; none by default."
    )

    def group(self, name: str) -> Group:
        """Find a group by its name.

        Raises:
            KeyError: there is none of that name.
        """
        for group in self.fleet:
            if group.group == name:
                return group
        raise KeyError(name)

    def bundle(self, reference: str) -> Bundle:
        """Find a bundle by ``id@version``.

        Raises:
            KeyError: there is none of that name.
        """
        for bundle in self.bundles:
            if bundle.reference == reference:
                return bundle
        raise KeyError(reference)

    def telemetry_of(self, group: Group) -> Telemetry:
        """The cadence of a group: its own, else the scenario's."""
        return group.telemetry or self.telemetry

    def choosing_of(self, group: Group) -> Choosing:
        """How a group chooses: its own, else the scenario's."""
        return group.choosing or self.choosing

    def backoff_of(self, group: Group) -> BackoffConfig:
        """How a group comes back: its own way, else the agent's."""
        return (group.backoff or self.agent.backoff).config(self.agent.stable_ns)

    def factory_bundle(self, group: Group) -> Bundle | None:
        """What a group's devices run at the start: its own bundle, else the first one."""
        if group.bundle is not None:
            return self.bundle(group.bundle)
        return self.bundles[0] if self.bundles else None

    def occasion(self, index: int) -> str:
        """Name the draws of the action at `index` of the timeline.

        The id if it has one, else its verb and the how-manyeth of that verb it is, so that another
        action of another verb shifts nobody's luck.
        """
        action = self.timeline[index]
        if action.id is not None:
            return action.id
        before = sum(other.verb == action.verb for other in self.timeline[:index])
        return f"{action.verb}.{before}"
