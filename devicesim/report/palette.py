"""Colours that colour-blind readers can tell apart, and what they stand for.
Decides the colour of curves, of outcomes and of families of faults. The hues are those of Okabe and
Ito (2008, "Color universal design"), without the black and the yellow, which vanish on one of the
two backgrounds. Leaves out greys and backgrounds: those belong to the style sheet.
"""

from __future__ import annotations

import re
from typing import Final

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
GREY: Final = "#8A929C"

CURVES: Final = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)

_FAMILY_OF: Final = {
    "network": "network", "partition": "network", "heal": "network", "latency": "network",
    "bandwidth": "network", "loss": "network", "link": "network", "dns": "network",
    "hold": "network", "captive": "network", "nat": "network",
    "broker": "broker", "session": "broker",
    "gateway": "gateway", "store": "gateway", "keys": "gateway", "source": "gateway",
    "device": "device", "boot": "device", "brown": "device", "power": "device", "unplug": "device", "plug": "device",
    "battery": "device", "flash": "device", "clock": "device", "heat": "device", "sun": "device",
    "content": "content", "tamper": "content", "bundle": "content", "poison": "content",
    "data": "data", "sensor": "data", "kernel": "data",
}  # fmt: skip
FAMILY_COLOURS: Final = {
    "network": BLUE, "broker": PURPLE, "gateway": GREEN, "device": ORANGE, "content": VERMILLION,
    "data": SKY, "other": GREY,
}  # fmt: skip


def family(kind: str) -> str:
    """Return the family of a fault, given its verb (``broker.restart``) or the family itself."""
    return _FAMILY_OF.get(re.split(r"[._]", kind, maxsplit=1)[0], "other")
