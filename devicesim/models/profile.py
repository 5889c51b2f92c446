"""A device profile: everything physical about a kind of device, as typed data.

Decides the shape of `scenarios/profiles/<name>.yaml` and refuses what does not fit it. Leaves out
reading files (the caller hands in a parsed mapping) and what the figures do (`body.py`).

Units are in the names: W, C, K/W, J/K, bytes; `_s` seconds. Every struct refuses unknown keys and
figures out of range; the error names the place, what was expected, what was found and, for a word,
the nearest one that would fit.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal, TypeVar

import msgspec

from devicesim.models.battery import BatterySpec
from devicesim.models.flash_wear import FlashSpec
from devicesim.models.link_class import LinkBook
from devicesim.models.processor import ProcessorSpec
from devicesim.models.radio import RADIOS, RadioSpec
from devicesim.models.thermal import Ambient, Network


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle's manifest is matched against.

    `kernel_class` says how int8 kernels accumulate: ``vnni`` exactly in 32 bits, ``saturating``
    through 16 bits, as x86 without VNNI does.
    """

    id: str
    hardware_class: str
    kernel_class: Literal["vnni", "saturating"] = "vnni"


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inference runtime on the device: its version and the opset it reads."""

    version: str
    opset: int = 21


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where power comes from, what the device draws at rest and at most, W."""

    idle_w: float
    peak_w: float
    supply: Literal["battery", "mains", "poe", "ups", "vehicle"]
    supply_v: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 < self.idle_w <= self.peak_w:
            raise ValueError(f"expected 0 < idle_w <= peak_w, found {self.idle_w}, {self.peak_w}")


class Heat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two thermal nodes, the sensor that throttles, and its trips in C."""

    chip_to_body_k_w: float
    body_to_air_k_w: float
    chip_j_k: float
    body_j_k: float
    trip_c: float
    shutdown_c: float
    sensor: Literal["chip", "body"] = "chip"

    def __post_init__(self) -> None:
        if self.trip_c >= self.shutdown_c:
            raise ValueError(f"expected trip_c below shutdown_c, found {self.trip_c}")
        self.network()

    def network(self) -> Network:
        """Give the constants of the thermal model."""
        return Network(self.chip_to_body_k_w, self.body_to_air_k_w, self.chip_j_k, self.body_j_k)


class Surroundings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Air that this kind of device usually stands in: daily mean and amplitude, housing, sun."""

    mean_c: float = 22.0
    amplitude_c: float = 3.0
    enclosure_c: float = 0.0
    sun_w: float = 0.0


class ClockSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Crystal of the device: sigma of its skew over units (ppm), and whether an RTC has a battery."""

    skew_ppm_sigma: float = 20.0
    rtc: bool = True


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of device. `default_link` names a link of `links.yaml`; the first radio is the usual one.

    `unit_sigma` is the relative spread of speed, thermal resistance and capacity over units.
    """

    name: str
    hardware: Hardware
    runtime: Runtime
    power: Power
    heat: Heat
    processor: ProcessorSpec
    flash: FlashSpec
    radios: tuple[str, ...]
    default_link: str
    battery: BatterySpec | None = None
    surroundings: Surroundings = Surroundings()
    clock: ClockSpec = ClockSpec()
    radio_specs: dict[str, RadioSpec] = {}
    unit_sigma: float = 0.02

    def __post_init__(self) -> None:
        if self.power.supply in {"battery", "ups", "vehicle"} and self.battery is None:
            raise ValueError(f"expected a battery, since power.supply is {self.power.supply}")
        if not self.radios:
            raise ValueError("expected at least one radio (`ethernet` for a wire)")
        for name in self.radios:
            if name not in self.radio_specs and name not in RADIOS:
                raise ValueError(_unknown("radio", name, [*RADIOS, *self.radio_specs]))
        if not 0.0 <= self.unit_sigma <= 0.2:
            raise ValueError(f"expected unit_sigma between 0 and 0.2, found {self.unit_sigma}")

    def ambient(self, midnight_ns: int = 0, mean_c: float | None = None) -> Ambient:
        """Give the air around such a device; `midnight_ns` is the instant of a local midnight."""
        usual = self.surroundings
        return Ambient(
            usual.mean_c if mean_c is None else mean_c,
            usual.amplitude_c,
            usual.enclosure_c,
            usual.sun_w,
            midnight_ns,
        )

    def radio(self, name: str = "") -> RadioSpec:
        """Give the radio of that name; the usual one if none is named.

        Raises:
            ValueError: neither the profile nor the shipped figures have it.
        """
        name = name or self.radios[0]
        found = self.radio_specs.get(name) or RADIOS.get(name)
        if found is None:
            raise ValueError(_unknown("radio", name, [*RADIOS, *self.radio_specs]))
        return found


T = TypeVar("T")


def decode_profile(mapping: Mapping[str, object], where: str) -> Profile:
    """Turn a parsed profile file into a `Profile`.

    Args:
        mapping: the file's content.
        where: its name, for the error.

    Raises:
        ValueError: a key is unknown or missing, or a value is of the wrong kind or out of range.
    """
    return _decode(mapping, Profile, where)


def decode_links(mapping: Mapping[str, object], where: str) -> LinkBook:
    """Turn a parsed links file into a `LinkBook`; errors as for `decode_profile`."""
    return _decode(mapping, LinkBook, where)


def _decode(mapping: Mapping[str, object], shape: type[T], where: str) -> T:
    _check_keys(mapping, shape, where)
    try:
        return msgspec.convert(mapping, shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        place = path.strip("`").removeprefix("$").removeprefix(".")
        text = message.replace("`", "").replace(", got ", ", found ")
        text = text[0].lower() + text[1:]
        raise ValueError(f"{where}: {place}: {text}" if place else f"{where}: {text}") from None


def _check_keys(value: object, shape: object, where: str) -> None:
    """Refuse unknown keys anywhere below, naming the nearest known one."""
    if value is None and isinstance(shape, types.UnionType):
        return
    shape = _inner(shape)
    if typing.get_origin(shape) is dict and isinstance(value, Mapping):
        element = typing.get_args(shape)[1]
        for key, below in value.items():
            _check_keys(below, element, f"{where}: {key}")
        return
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        return
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 - a user's file is at fault, not a caller's type
            f"{where}: expected a mapping with {', '.join(shape.__struct_fields__)}, found {value!r}"
        )
    kinds = typing.get_type_hints(shape)
    for key, below in value.items():
        if key not in kinds:
            raise ValueError(f"{where}: {_unknown('key', str(key), list(kinds))}")
        _check_keys(below, kinds[key], f"{where}: {key}")


def _inner(shape: object) -> object:
    """Unwrap ``X | None``."""
    if isinstance(shape, types.UnionType):
        return next(part for part in typing.get_args(shape) if part is not type(None))
    return shape


def _unknown(kind: str, found: str, known: list[str]) -> str:
    near = get_close_matches(found, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected a {kind} out of {', '.join(known)}, found {found!r}{hint}"
