"""Who takes part: clock, regions with their weather, groups of devices.

Decides the parts of a scenario that population.py turns into devices. Leaves out what a profile or
a link class is: those are data files, known here by name only.

Rules: counts are before `scale`; shares of regions and of each mix sum to 1.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from devicesdk.wire.timebase import DAY, MINUTE
from devicesim.scenario.backoffs import WORDS, ABackoff
from devicesim.scenario.choosing import Choosing
from devicesim.scenario.errors import Refusal, choices, nearest_word, show
from devicesim.scenario.fields import (
    Dist,
    Mix,
    Model,
    Name,
    PositiveDuration,
    PositiveShare,
    UnixInstant,
    must_be_one_of,
)
from devicesim.scenario.recorded import APresence, Links
from devicesim.scenario.values import SHIFTS

DEVICES_MAX: Final = 1_000_000
DEFAULT_START_UNIX_NS: Final = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z, a Monday

# Round figures of a typical day, not the normals of a station: mean and half the daily swing in
# degrees Celsius, sunlight absorbed by an exposed case at noon in watts.
WEATHERS: Final[dict[str, tuple[float, float, float]]] = {
    "indoors": (22.0, 1.0, 0.0),
    "temperate-feb": (4.0, 5.0, 0.4),
    "temperate-jul": (24.0, 6.0, 1.0),
    "coastal": (14.0, 3.0, 0.6),
    "continental-jan": (-8.0, 6.0, 0.3),
    "desert-jul": (34.0, 8.0, 1.5),
    "tropical": (28.0, 4.0, 1.0),
    "hot-factory": (42.0, 4.0, 0.0),
}

# Knob: meaning and unit, lowest and highest value; draws outside are moved to the nearer end. Those of
# `SHIFTS` hold from the start, as if a data.drift had begun there.
KNOBS: Final[dict[str, tuple[str, float, float]]] = {
    "ambient_c": ("mean ambient temperature at the device, replaces the region's, C", -40.0, 85.0),
    "soc0": ("battery charge at the start, share", 0.0, 1.0),
    "battery_health": ("usable share of the battery's nominal capacity", 0.05, 1.0),
    "clock_skew_ppm": ("error of the device's clock, parts per million", -500.0, 500.0),
    **SHIFTS,
    "flash_wear": ("share of the flash's erase cycles used", 0.0, 1.0),
}


class Clock(Model):
    """When the run starts, how long it lasts, and whether time is virtual."""

    mode: Literal["virtual", "real"] = Field(
        default="virtual", description="virtual: as fast as it goes; real: against a real broker."
    )
    start_unix_ns: UnixInstant = Field(
        default=DEFAULT_START_UNIX_NS,
        alias="start",
        description="Wall-clock time at which the run starts: an ISO instant with its zone.",
    )
    duration_ns: PositiveDuration = Field(
        default=DAY, alias="duration", description="How long the run lasts, in scenario time."
    )
    speed: float = Field(
        default=1.0,
        gt=0,
        le=1_000,
        description="With mode: real, scenario seconds per second of wall clock: physics, timeline"
        " and protocol timers all run so much faster.",
    )

    @model_validator(mode="after")
    def _speed_is_for_real(self) -> Clock:
        if self.mode == "virtual" and self.speed != 1.0:
            advice = "virtual time always runs as fast as it can: remove speed, or set mode: real"
            raise Refusal(
                "no speed in virtual time", found=show(self.speed), at=("speed",), advice=advice
            )
        return self


class Weather(Model):
    """A day's temperature: mean + swing * sin(2 pi (t - 9 h) / 24 h) in local time."""

    mean_c: float = Field(ge=-60, le=60, description="Mean over the day, degrees Celsius.")
    swing_c: float = Field(
        default=0.0, ge=0, le=30, description="Half of warmest minus coldest, K."
    )
    sun_w: float = Field(
        default=0.0, ge=0, le=20, description="Sunlight absorbed by an exposed case at noon, watts."
    )


def read_weather(value: object) -> object:
    """Look a weather up by its name; a mapping passes through."""
    if isinstance(value, dict | Weather):
        return value
    expected = f"a weather: {choices(WEATHERS)}; or {{mean_c: 12, swing_c: 5}}"
    if not isinstance(value, str) or value not in WEATHERS:
        nearest = nearest_word(value, WEATHERS) if isinstance(value, str) else ""
        raise Refusal(expected, found=show(value), nearest=nearest)
    mean_c, swing_c, sun_w = WEATHERS[value]
    return Weather(mean_c=mean_c, swing_c=swing_c, sun_w=sun_w)


class Region(Model):
    """A place: the share of devices that live there, its weather and its clock."""

    share: PositiveShare = Field(description="Share of all devices that live here.")
    weather: Annotated[Weather, BeforeValidator(read_weather)] = Field(
        default=Weather(mean_c=22.0, swing_c=1.0, sun_w=0.0),
        description="A weather by name, or its mean, swing and sun.",
        json_schema_extra={"x-words": list(WEATHERS)},
    )
    utc_offset_h: float = Field(
        default=0.0, ge=-12, le=14, description="Local time minus UTC, hours: when it is noon here."
    )


class Telemetry(Model):
    """How often a device looks at its sensor and reports a window of what it saw."""

    window_ns: PositiveDuration = Field(
        default=15 * MINUTE, alias="window", description="Length of one telemetry window."
    )
    frames: int = Field(
        default=4,
        ge=0,
        le=100_000,
        description="Inferences that each device runs per window, spread evenly over it.",
    )
    probes_ns: PositiveDuration = Field(
        default=DAY, alias="probes", description="Time between two golden probes of a device."
    )
    stands_for: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Frames that the device runs for each one that is rehearsed: heat and charge are"
        " those of all of them.",
    )


def _known_knobs(value: dict[str, Dist]) -> dict[str, Dist]:
    for name in value:
        must_be_one_of(name, KNOBS, "something that can vary", (name,), key=True)
    return value


class Group(Model):
    """Devices of one kind: how many, what they are, how they are linked and where they differ."""

    group: Name = Field(
        description="Name of the group; its devices are called name-0000, name-0001, ...",
        examples=["kiosk"],
    )
    count: int = Field(
        ge=1, le=DEVICES_MAX, description="Number of devices, before scale.", examples=[1000]
    )
    profile: str = Field(
        description="Name of a file in scenarios/profiles: battery, heat, computing, flash.",
        examples=["rpi4-kiosk"],
    )
    links: Links = Field(
        alias="link",
        description="Link class, {mix: {class: share}} drawn for each device, or {trace: file}.",
        examples=["fcc-dsl"],
    )
    region: str | None = Field(
        default=None, description="Region in which all of them live; by default drawn by share."
    )
    bundle: str | None = Field(
        default=None, description="Factory bundle, id@version; by default the first under bundles."
    )
    labels: dict[Name, Mix] = Field(
        default_factory=dict,
        description="Labels of our own for selectors: a value, or {mix: {value: share}}.",
    )
    vary: Annotated[dict[str, Dist], AfterValidator(_known_knobs)] = Field(
        default_factory=dict,
        description="What differs from device to device: a distribution per knob.",
        json_schema_extra={"x-keys": {name: knob[0] for name, knob in KNOBS.items()}},
    )
    telemetry: Telemetry | None = Field(
        default=None, description="Replaces the scenario's telemetry for this group."
    )
    choosing: Choosing | None = Field(
        default=None, description="Replaces the scenario's choosing for this group."
    )
    registered_as: str | None = Field(
        default=None,
        description="Hardware class in the gateway's registry, where that is not what the devices are.",
        examples=["arm64-cuda"],
    )
    backoff: ABackoff | None = Field(
        default=None,
        description="Replaces agent.backoff for this group: a policy by name, or figures.",
        json_schema_extra=WORDS,
    )
    presence: APresence | None = Field(
        default=None,
        description="Recording of who was connected when, which these devices follow: a path, or"
        " {file: path, reconnect: agent}.",
    )


def _plain_shares(value: dict[str, Region]) -> dict[str, Region]:
    total = sum(region.share for region in value.values())
    if value and abs(total - 1) > 1e-6:
        raise Refusal(
            "shares of the regions that sum to 1 (100%)",
            found=f"a sum of {total:g}",
            advice="change one share so that all of them sum to 1",
        )
    return value


Regions = Annotated[dict[Name, Region], AfterValidator(_plain_shares)]
