"""Client ids become groups of devices.

Decides which clients belong together (what stands before the number at the end of their ids), and which
are no devices: clients whose name a library made up for one connection. Leaves out what a group is in a
scenario.

Rules: names of groups are names of scenarios; at most `GROUPS_MAX`, those of a handful together are
``others``; the same ids, the same groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from devicesim.scenario.fields import NAME_CHARS_MAX

GROUPS_MAX: Final = 20
HANDFUL_SHARE: Final = 0.02
TAIL_CHARS_MAX: Final = 64
OTHERS: Final = "others"
_HEX: Final = "[0-9a-fA-F]"
_TAIL: Final = re.compile(
    rf"[-_.:/ ]?(?:{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}|(?=[0-9a-fA-F]*\d){_HEX}{{6,}}"
    rf"|(?<=[-_.:/ ])(?=[0-9a-fA-F]*\d){_HEX}{{2,5}}|\d+|(?:{_HEX}{{2}}:){{5}}{_HEX}{{2}})$",
    re.ASCII,
)
MADE_UP: Final = re.compile(
    r"(?:auto-[0-9A-F]{8}-.*|mosq[-_/][A-Za-z0-9]{16,}|mosq(?:sub|pub)[|/].*|mqttjs_[0-9a-f]{6,}"
    r"|paho[-_/]?[0-9a-f]{6,}|mqtt-explorer-[0-9a-f]+|fleetdrill-capture-.*)",
    re.ASCII,
)
"""Names that mosquitto, its tools, MQTT.js, Paho and MQTT Explorer draw for a connection."""


def made_up(client: str) -> bool:
    """Whether a library drew this name: nobody will ever come back under it."""
    return MADE_UP.fullmatch(client) is not None


def pattern_of(client: str) -> str:
    """What stands before the number at the end, as a name; ``device`` when nothing does."""
    # only the end is searched: an id of 65,535 digits takes no longer than another
    stem = client[:-TAIL_CHARS_MAX] + _TAIL.sub("", client[-TAIL_CHARS_MAX:], count=1)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[: NAME_CHARS_MAX - 8].strip("-_")
    return name or "device"


def grouped(clients: Iterable[str]) -> dict[str, str]:
    """The group of each client."""
    patterns = {client: pattern_of(client) for client in clients}
    sizes: dict[str, int] = {}
    for name in patterns.values():
        sizes[name] = sizes.get(name, 0) + 1
    handful = max(2, int(HANDFUL_SHARE * len(patterns)))
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    kept = [name for name in ranked[: GROUPS_MAX - 1] if sizes[name] > handful]
    if len(ranked) <= GROUPS_MAX and all(sizes[name] > handful for name in ranked):
        kept = ranked
    if len(ranked) == 1:
        kept = ranked
    return {client: name if name in kept else OTHERS for client, name in patterns.items()}


def natural(client: str) -> tuple[tuple[str, int], ...]:
    """A key that sorts dev-2 before dev-10."""
    parts = re.findall(r"(\D*)(\d{0,18})", client)
    return tuple((text, int(digits or -1)) for text, digits in parts)
