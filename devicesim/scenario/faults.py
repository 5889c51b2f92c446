"""The faults that a timeline can bring, one class for each verb.

Decides their names, parameters and units; each class is its verb's whole entry: it registers
itself, appears in the published schema with its docstring, and is what the world matches on.
Leaves out how the world does it (`devicesim.world.faults`).

Rules: defaults are the plainest form of the fault; a parameter carries its unit in its name or
its text. Link faults end by their `for`, or by `heal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Union

from pydantic import Field

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario import network_faults, service_faults
from devicesim.scenario.action import REGISTRY, Action, Hits, Span
from devicesim.scenario.costs import UPTIME_NS
from devicesim.scenario.fields import (
    BitRate,
    DataShift,
    Duration,
    PositiveDuration,
    PositiveShare,
    Rate,
    ReturnOrder,
    Share,
)
from devicesim.scenario.values import Order

MORE: Final = (network_faults, service_faults)
"""Where the other verbs are written down."""

# --- links ---------------------------------------------------------------------------------------


class Partition(Action):
    """Cut the path between devices and broker."""

    do: Literal["partition"]
    how: Literal["blackhole", "reset", "detach"] = Field(
        default="blackhole",
        description="blackhole: packets vanish, both ends believe the connection lives; reset:"
        " connections break at once; detach: the radio loses its network and the device knows.",
    )


class Heal(Action, span=Span.INSTANT):
    """End every link fault of the target: partition, latency, bandwidth, loss, hold, captive_portal,
    nat.timeout, dns.gone."""

    do: Literal["heal"]
    order: ReturnOrder = Field(
        default=Order("together", 0),
        description="together, or swizzle(30m): each device at a random moment within 30m.",
    )


class Latency(Action):
    """Make the path slower to answer."""

    do: Literal["latency"]
    add_ns: PositiveDuration = Field(alias="add", description="Added to each round trip.")
    jitter_ns: Duration = Field(
        default=0,
        alias="jitter",
        description="Largest further delay, drawn uniformly per transfer.",
    )


class Bandwidth(Action):
    """Cap what the path carries, both ways."""

    do: Literal["bandwidth"]
    rate_bit_s: BitRate = Field(alias="rate", description="Cap per device.")


class Loss(Action):
    """Lose packets on the path."""

    do: Literal["loss"]
    share: PositiveShare = Field(description="Share of packets lost, on top of the link's own.")


# --- broker and gateway --------------------------------------------------------------------------


class BrokerRestart(Action, hits=Hits.BROKER):
    """Restart the broker: every connection breaks. Without for it is back at once."""

    do: Literal["broker.restart"]
    lose_sessions: bool = Field(
        default=False, description="true: sessions, queues and retained messages are gone too."
    )


class BrokerSlowAccept(Action, hits=Hits.BROKER, span=Span.REQUIRED):
    """Let the broker accept new connections more slowly."""

    do: Literal["broker.slow_accept"]
    rate_per_s: Rate = Field(alias="rate", description="New connections accepted.")


class GatewayCrash(Action, hits=Hits.GATEWAY, span=Span.REQUIRED):
    """Kill the gateway: what was not durable is forgotten; it starts again after for."""

    do: Literal["gateway.crash"]
    effect: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="It crashes at this effect (row, commit, message) that it performs from now on;"
        " 0: at once.",
    )


class GatewaySlowStore(Action, hits=Hits.GATEWAY, span=Span.REQUIRED):
    """Let the gateway's store take longer to make a batch durable."""

    do: Literal["gateway.slow_store"]
    commit_ns: PositiveDuration = Field(alias="commit", description="Time of one commit.")


class KeysRotate(Action, hits=Hits.GATEWAY, span=Span.INSTANT):
    """Replace signing keys: the owner of the fleet signs the next root, and targets where theirs went."""

    do: Literal["keys.rotate"]
    roles: tuple[Literal["root", "targets", "snapshot", "timestamp", "director", "flags"], ...] = (
        Field(default=(), description="Whose keys; none: the root is only signed anew.")
    )


class KeysTidy(Action, hits=Hits.GATEWAY, span=Span.INSTANT):
    """Let the gateway start again without its old roots, which somebody has tidied away or not taken along
    to a new machine: who trusts an older one finds no way to the newest."""

    do: Literal["keys.tidy"]
    keep: int = Field(
        default=1, ge=1, le=256, description="So many roots are kept, the newest ones."
    )


# --- power and storage ---------------------------------------------------------------------------


class PowerCut(Action, span=Span.REQUIRED):
    """Take all power away, battery too: writes under way are torn, RAM is lost."""

    do: Literal["power.cut"]


class DeviceReboot(Action, span=Span.INSTANT):
    """Restart the device in good order: files are synced first, RAM is lost."""

    do: Literal["device.reboot"]


class BrownOut(Action):
    """Let the supply dip: a device that works resets in the middle of it, one that idles rides through."""

    do: Literal["brown_out"]
    every_ns: PositiveDuration = Field(
        default=MINUTE,
        alias="every",
        description="Mean time between the dips of a device; each comes at a random moment.",
    )


class BootLoop(Action):
    """Let devices crash a while after each boot, until it is undone or `device.repair` comes to them."""

    do: Literal["boot.loop"]
    uptime_ns: PositiveDuration = Field(
        default=UPTIME_NS,
        alias="uptime",
        description="How long a device stays up from each boot, or from activating bundle.",
    )
    gives_up_after: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="After so many crashes a device stays down until the end, or until `device.repair`.",
    )
    bundle: str | None = Field(
        default=None,
        description="Only while a device runs this id@version, those too that come to it later: who"
        " goes back to another bundle is out of the loop.",
        examples=["gauge@1.1.0"],
    )


class DeviceRepair(Action, span=Span.INSTANT):
    """Send somebody to each device of the target: what makes it crash, fault or bundle, is taken out."""

    do: Literal["device.repair"]
    order: ReturnOrder = Field(
        default=Order("together", 0),
        description="together, or swizzle(240h): each device at a random moment within 240h.",
    )


class Unplug(Action):
    """Take external power away; devices with a battery go on."""

    do: Literal["unplug"]


class Plug(Action):
    """Give external power, also to devices that had none."""

    do: Literal["plug"]


class BatteryAge(Action):
    """Age the battery: less of its capacity left, more resistance."""

    do: Literal["battery.age"]
    health: PositiveShare = Field(description="Share of the nominal capacity that is left.")
    resistance: float = Field(
        default=1.0, ge=1, le=20, description="Factor on the inner resistance."
    )


class FlashFull(Action):
    """Fill the flash: no new data can be written but what an erase gives back."""

    do: Literal["flash.full"]
    free_share: Share = Field(
        default=0.0, alias="free", description="Share of the flash left free."
    )


class FlashWorn(Action):
    """Wear the flash out: writes fail by chance, and some blocks take nothing any more."""

    do: Literal["flash.worn"]
    share: Share = Field(default=0.01, description="Share of the writes that fail.")
    bad_share: Share = Field(
        default=0.0,
        alias="bad",
        description="Share of the erase blocks (128 KiB) of images that are bad for good.",
    )


class TamperChunks(Action):
    """Change bytes of chunks on their way to the target."""

    do: Literal["tamper.chunks"]
    share: PositiveShare = Field(default=0.01, description="Share of the chunks changed.")


# --- clock, heat, sensing, computing -------------------------------------------------------------


class ClockLoseRtc(Action, span=Span.INSTANT):
    """Lose the real-time clock: the device believes it is 1970 until told the time."""

    do: Literal["clock.lose_rtc"]


class ClockSkew(Action):
    """Let the device's clock run fast (above 0) or slow (below 0)."""

    do: Literal["clock.skew"]
    ppm: float = Field(
        ge=-1_000, le=1_000, description="Error, parts per million; a bad crystal is off by 100."
    )
    step_ns: Duration = Field(default=0, alias="step", description="Jump ahead at the beginning.")


class HeatWave(Action, span=Span.REQUIRED):
    """Raise the ambient temperature."""

    do: Literal["heat.wave"]
    by_c: float = Field(gt=0, le=60, description="How much warmer, K.")


class Sun(Action, span=Span.REQUIRED):
    """Let the sun shine on the case."""

    do: Literal["sun"]
    by_w: float = Field(gt=0, le=100, description="Absorbed by the case, watts.")


class DataDrift(Action):
    """Change what the sensors see."""

    do: Literal["data.drift"]
    what: DataShift = Field(
        description="dim(share of light lost), haze(share), blur(pixels), prior_shift(share of scale)."
    )
    ramp_ns: Duration = Field(
        default=0, alias="ramp", description="Time over which it grows to full; 0s is at once."
    )


class SensorStuck(Action):
    """Freeze the sensor: each frame is the one before."""

    do: Literal["sensor.stuck"]


class KernelFault(Action):
    """Let the device's arithmetic go wrong: real hardware drift."""

    do: Literal["kernel.fault"]
    kind: Literal["int8_saturation"] = Field(
        default="int8_saturation",
        description="int8_saturation: 16-bit sums of int8 products saturate.",
    )


if TYPE_CHECKING:
    AnyAction = Action
else:
    AnyAction = Annotated[Union[tuple(REGISTRY.values())], Field(discriminator="do")]  # noqa: UP007 - built from the registry
