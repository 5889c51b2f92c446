"""What is shipped: bundles, staged rollouts with waves and gates, flags and kills.

Decides their options. Leaves out the statistics of a gate and the order of devices in a wave
(`gateway.core.control`), and what is in a bundle (`devicesdk.bundle`).

Rules: waves are cumulative shares that grow and end at 100 %; a flag step does one thing.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from devicesdk.wire import limits
from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.choosing import PolicyChange
from devicesim.scenario.costs import Costs
from devicesim.scenario.errors import Refusal, show
from devicesim.scenario.fields import (
    At,
    Duration,
    Increase,
    Model,
    Name,
    PositiveDuration,
    PositiveShare,
    Share,
    Size,
    Target,
)
from devicesim.scenario.pace import Paced
from devicesim.scenario.plans import PLANS, fill_in
from devicesim.scenario.selector import EVERYBODY

WAVES_MAX: Final = 32
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")


def read_version(value: object) -> str:
    """Read a semantic version; YAML takes 1.0 for a number, so the complaint says how to write."""
    if isinstance(value, str) and _VERSION.fullmatch(value):
        return value
    nearest = ""
    if isinstance(value, float | int) and not isinstance(value, bool):
        nearest = f"{value}.0" if isinstance(value, float) else f"{value}.0.0"
    raise Refusal("a version of three numbers, such as 1.4.0", found=show(value), nearest=nearest)


Version = Annotated[
    str,
    BeforeValidator(read_version),
    WithJsonSchema({"type": "string", "pattern": rf"^{_VERSION.pattern}$", "examples": ["1.1.0"]}),
]


def rising_waves(waves: tuple[float, ...]) -> tuple[float, ...]:
    """Insist that waves grow, so that none overlaps the one before, and reach everybody."""
    for index in range(1, len(waves)):
        if waves[index] <= waves[index - 1]:
            raise Refusal(
                f"a wave larger than the one before ({100 * waves[index - 1]:.4g}%)",
                found=f"{100 * waves[index]:.4g}%",
                at=(index,),
                advice="waves are cumulative, such as [1%, 10%, 25%, 100%]",
            )
    if waves[-1] != 1.0:
        raise Refusal(
            "a last wave of 100%",
            found=f"{100 * waves[-1]:.4g}%",
            at=(len(waves) - 1,),
            advice="add 100% at the end; to stay below use `target: sample(all, 25%)`",
        )
    return waves


class KitRule(Model):
    """How far a device may be from what the builder of a bundle saw, and its kit still passes."""

    tolerance_permille: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        alias="tolerance",
        description="Largest distance of one output from its golden, permille; 1000: any. By default"
        " what the bundle says.",
    )
    changed_labels_max: int | None = Field(
        default=None,
        ge=0,
        le=256,
        alias="changed_labels",
        description="Samples of the kit that may change their label; by default what the bundle says.",
    )


class Bundle(Model):
    """A model bundle that the run may ship."""

    id: Name = Field(description="Id of the bundle, the same for all its versions.")
    version: Version = Field(description="Semantic version.", examples=["1.0.0"])
    path: str = Field(
        min_length=1,
        description="Directory of the bundle, from the working directory.",
        examples=["models/gauge/1.0.0"],
    )
    chunk_bytes: Size = Field(
        default=limits.CHUNK_BYTES_DEFAULT,
        alias="chunk",
        description="What devices fetch at a time: a power of two from 256B to 128KiB.",
        examples=["4KiB"],
    )

    delta: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: from older versions of the same id; off: devices fetch the whole image.",
    )
    carry: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Lighter variants inside a variant's image, best first, for a policy to switch to;"
        " rule needs no file. By default what the bundle says.",
        examples=[{"int8-rr": ["rule"]}],
    )
    hardware: tuple[str, ...] = Field(
        default=(),
        description="Hardware classes it is built for and no others; by default what the bundle says.",
        examples=[["arm64-cuda"]],
    )
    signed: Literal["owner", "revoked", "expired"] = Field(
        default="owner",
        description="Who vouches for it: the fleet's owner; somebody whose key was revoked; or the owner, with"
        " signatures that have expired.",
    )
    costs: Costs = Field(
        default_factory=Costs, description="What it costs devices beyond what its files say."
    )
    budget_ns: PositiveDuration | None = Field(
        default=None,
        alias="budget",
        description="Longest an inference may take on a device whose kit is to pass; by default what the"
        " bundle says. `fleetdrill bundle build` writes a second unless it is told better.",
        examples=["80ms"],
    )
    kit: KitRule | None = Field(
        default=None,
        description="What its kit lets pass; by default what the bundle says.",
    )

    @field_validator("chunk_bytes")
    @classmethod
    def _is_a_chunk(cls, value: int) -> int:
        fits = limits.CHUNK_BYTES_MIN <= value <= limits.CHUNK_BYTES_MAX
        if not fits or value & (value - 1):
            advice = "write `chunk: 4KiB` for a microcontroller, 16KiB otherwise"
            raise Refusal(
                "a power of two from 256B to 128KiB", found=f"{value} bytes", advice=advice
            )
        return value

    @property
    def reference(self) -> str:
        """How rollouts and groups call it: ``id@version``."""
        return f"{self.id}@{self.version}"


class Gate(Model):
    """What must hold at the end of a wave's soak before the next one starts."""

    failures_max: Share = Field(
        default=0.02,
        alias="failures",
        description="Largest credible share of failed devices; 100%: failures stop no wave early.",
    )
    latency_p95_increase_max: Increase | None = Field(
        default=None, alias="latency_p95", description="Largest increase of the 95th percentile."
    )
    drain_increase_max: Increase | None = Field(
        default=None,
        alias="drain",
        description="Largest increase of the rate at which batteries empty, by hardware class.",
    )
    drift: Literal["none", "any", "raw"] = Field(
        default="any",
        description="none: halt when the wave's outputs drift from the fleet's; raw: halt at any verdict of"
        " drift where the new bundle runs, the weather's too.",
    )


class Policy(Model):
    """When a device may act on an update; the defaults ask for nothing."""

    battery_min: Share = Field(default=0.0, description="Least battery charge.")
    chip_c_max: int = Field(
        default=150, ge=-50, le=150, description="Hottest chip, degrees Celsius."
    )
    plugged: bool = Field(default=False, description="Only while on external power.")
    trial_ns: PositiveDuration = Field(
        default=MINUTE,
        alias="trial",
        description="How long a new bundle is on trial before commit.",
    )


class Rollout(Paced):
    """One staged rollout of one bundle."""

    id: Name = Field(description="Id, for triggers and reports.", examples=["r1"])
    bundle: str = Field(description="What to ship: id@version.", examples=["gauge@1.1.0"])
    at_ns: At = Field(alias="at", description="When it starts.", examples=["1h"])
    target: Target = Field(default=EVERYBODY, description="Which devices it is for.")
    waves: Annotated[
        tuple[PositiveShare, ...],
        Field(min_length=1, max_length=WAVES_MAX),
        AfterValidator(rising_waves),
    ] = Field(default=(1.0,), description="Cumulative shares of the target, ending at 100%.")
    soak_ns: Duration = Field(
        default=20 * MINUTE, alias="soak", description="How long a finished wave is watched."
    )
    gate: Gate = Field(default_factory=Gate, description="What must hold between waves.")
    on_halt: Literal["revert", "keep"] = Field(
        default="revert", description="Devices already updated: back to their old bundle, or left."
    )
    jitter_ns: Duration = Field(
        default=0,
        alias="jitter",
        description="Each device begins at a moment of its own within this.",
    )
    policy: Policy = Field(default_factory=Policy, description="When a device may act.")
    delta: Literal["auto", "off"] = Field(
        default="auto", description="off: its devices fetch the whole image, to compare."
    )
    expires_ns: PositiveDuration | None = Field(
        default=None,
        alias="expires",
        description="A device of which the gateway has not heard within this of its wave's opening that it has begun"
        " is out. By default nobody"
        " is, and a wave that is not through goes on after 7d.",
        examples=["2d"],
    )
    plan: str | None = Field(
        default=None,
        description="Waves, soak, gate and jitter by name; what the rollout says itself wins.",
        json_schema_extra={"enum": [*PLANS, None]},
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return fill_in(value)


class FlagSetting(Model):
    """Who gets a feature."""

    percent: float = Field(
        default=100.0, ge=0, le=100, description="Percent of the target that gets it."
    )
    sticky: bool = Field(
        default=True,
        description="true: a device keeps its side as percent grows; false: drawn anew.",
    )
    target: Target = Field(default=EVERYBODY, description="Devices among which percent is taken.")


class FlagStep(Model):
    """One change of flags: set some, kill one, or put another policy into force."""

    at_ns: At = Field(alias="at", description="When.", examples=["2h"])
    settings: dict[Name, FlagSetting] = Field(
        default_factory=dict, alias="set", description="Flags to set, by name."
    )
    kill: Name | None = Field(
        default=None,
        description="A flag to kill: off everywhere at once, offline devices fail safe.",
    )
    policy: PolicyChange | None = Field(
        default=None,
        description="Run-time policy in force from now on: inline, a JSON file, off, or first: what"
        " the group began with.",
    )
    target: Target | None = Field(
        default=None, description="With policy: the groups of these devices; by default all."
    )

    @model_validator(mode="after")
    def _does_one_thing(self) -> FlagStep:
        named = {"set": self.settings, "kill": self.kill, "policy": self.policy}
        given = [name for name, value in named.items() if value]
        if len(given) != 1:
            advice = "write a step for each" if given else "add one of the three"
            found = " and ".join(given) or "none of them"
            raise Refusal("one of set, kill and policy", found=found, advice=advice)
        if self.target is not None and self.policy is None:
            advice = "write it beside percent, inside set" if self.settings else "remove it"
            raise Refusal(
                "target only beside policy", found="target", at=("target",), advice=advice
            )
        return self
