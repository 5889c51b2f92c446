"""A scenario's groups become single devices.

Decides each device's id, labels and what differs from device to device. Leaves out what a profile
or a link does: `devicesim.models`.

Rules: every device draws from streams of its own, named by what is drawn and its id: adding a
group, a device, a label or a knob changes nobody else's draws, and `scale` keeps the first of each
group. Ids do not change with counts. Order: groups as in the file, numbers rising.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.scenario.fleet import DEVICES_MAX, KNOBS
from devicesim.scenario.references import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from devicesim.entropy import Entropy
    from devicesim.scenario.fleet import Group
    from devicesim.scenario.schema import Scenario

_ID_DIGITS: Final = 4


class DeviceSpec(msgspec.Struct, frozen=True, gc=False):
    """One device before it exists."""

    id: str
    """Group and number, such as ``kiosk-0007``."""
    index: int
    """Position in the fleet, from 0."""
    group: str
    profile: str
    link: str
    region: str
    labels: dict[str, str]
    """What selectors see: id, group, profile, link, region and the group's own labels."""
    vary: dict[str, float]
    """Knob to value, in the knob's unit (`KNOBS`)."""


def group_count(group: Group, scale: float) -> int:
    """Count the devices of a group at a scale: rounded, at least 1."""
    return max(1, int(group.count * scale + 0.5))


def expand(scenario: Scenario, profiles: Container[str], entropy: Entropy) -> list[DeviceSpec]:
    """Make the devices of a scenario.

    Args:
        scenario: the loaded scenario.
        profiles: the profiles there are, such as the mapping that `devicesim.models` decodes.
        entropy: master of the streams.

    Raises:
        ValueError: a profile is not there, or there are more than `DEVICES_MAX` devices.
    """
    total = sum(group_count(group, scenario.scale) for group in scenario.fleet)
    if total > DEVICES_MAX:
        raise ValueError(
            f"expected at most {DEVICES_MAX} devices after scale, found {total}: lower scale"
        )
    regions = {name: region.share for name, region in scenario.regions.items()} or {NOWHERE: 1.0}
    fleet: list[DeviceSpec] = []
    for group in scenario.fleet:
        if group.profile not in profiles:
            raise ValueError(
                f"expected a known profile for group {group.group!r}, found {group.profile!r}"
            )
        places = {group.region: 1.0} if group.region is not None else regions
        for number in range(group_count(group, scenario.scale)):
            device_id = f"{group.group}-{number:0{_ID_DIGITS}d}"
            fleet.append(_device(device_id, len(fleet), group, places, entropy))
    return fleet


def _device(
    device_id: str, index: int, group: Group, places: Mapping[str, float], entropy: Entropy
) -> DeviceSpec:
    region = _choose(places, entropy, "population.region", device_id)
    link = _choose(group.links, entropy, "population.link", device_id)
    labels = {
        "id": device_id,
        "group": group.group,
        "profile": group.profile,
        "link": link,
        "region": region,
    }
    for label, mix in group.labels.items():
        labels[label] = _choose(mix, entropy, f"population.label.{label}", device_id)
    vary = {}
    for knob, distribution in group.vary.items():
        _, low, high = KNOBS[knob]
        drawn = distribution.draw(entropy.stream(f"population.vary.{knob}", device_id))
        vary[knob] = min(max(drawn, low), high)
    return DeviceSpec(device_id, index, group.group, group.profile, link, region, labels, vary)


def _choose(mix: Mapping[str, float], entropy: Entropy, purpose: str, device_id: str) -> str:
    """Draw a name by its share; a single name costs no draw."""
    name = next(iter(mix))
    if len(mix) == 1:
        return name
    left = entropy.stream(purpose, device_id).uniform()
    for name, share in mix.items():  # noqa: B007 - the last name takes what rounding left
        left -= share
        if left < 0:
            break
    return name
