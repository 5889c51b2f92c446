"""Who is offered first: a stratified order that is drawn anew for each rollout.

Decides the order in which the members of a rollout are offered. Leaves out how many (waves) and who
is a member at all. A stratum is what devices have in common that may matter: region, hardware class,
power.

Rules: membership never follows the order of creation or of names (hawkBit 1086: the same machines
were canaries for ever): a device's place inside its stratum comes from a hash of the rollout's id and
its own. Every beginning of the order is proportional, each stratum within two devices of its share,
except that each stratum gives its first device before any gives a second: a canary spans the strata
as far as its size allows. Beginnings are nested, so a later wave contains the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

Stratum = tuple[str, ...]


def draw(rollout: str, device: str) -> int:
    """A device's luck in one rollout: 64 bits that depend on the two names alone."""
    name = f"{rollout}\0{device}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")


def stratified(rollout: str, members: Iterable[tuple[str, Stratum]]) -> list[str]:
    """Order devices for a rollout.

    The j-th of n devices of a stratum is placed at j/n, so that the strata interleave in proportion;
    the first ones (j = 0) come before all others, those of large strata first.

    Args:
        rollout: id of the rollout, which seeds the draw.
        members: device ids with their stratum, in any order.
    """
    strata: dict[Stratum, list[tuple[int, str]]] = {}
    for device, stratum in members:
        strata.setdefault(stratum, []).append((draw(rollout, device), device))
    placed: list[tuple[float, int, int, str]] = []
    for drawn in strata.values():
        drawn.sort()
        count = len(drawn)
        for j, (luck, device) in enumerate(drawn):
            placed.append((j / count, 0 if j else -count, luck, device))
    placed.sort()
    return [device for _, _, _, device in placed]


def cap(share: float, population: int) -> int:
    """How many devices a cumulative share allows: rounded down, but at least one of any."""
    return min(population, max(1, int(share * population + 1e-9)))
