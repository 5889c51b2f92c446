"""Names that nobody could ask for afterwards.

Decides which words no flag, kill, rollout or bundle is called by. Leaves out how long a name may be and which signs a
kind of thing allows besides (each says so itself; devices and segments, being levels of a topic: devicesdk/wire/topics.py).

Rules: refused when something is made, never when it is steered, changed or taken away: what bears such a name stays
manageable.
"""

from __future__ import annotations

from typing import Final

UNASKABLE: Final = ("", ".", "..")
"""Browsers and proxies read such a part of an address as another address, however it is escaped (RFC 3986, 5.2.4)."""


def refusal(name: str) -> str:
    """Why nothing is called so; empty when it may be."""
    if name in UNASKABLE:
        return f"expected a name that can be a part of an address, found {name!r}: choose another"
    return ""
