"""How many connections there are, in all and of each peer.

Decides who may connect, who is told to come later, and what counts as one peer. Leaves out sockets and answers.

Rules: past a bound whoever connects is told so by an answer, as long as there is room for telling; past that room the
connection is closed at once. One peer is an IPv4 address or the /64 of an IPv6 address, because whoever has one
address of a /64 has all of them (RFC 6177); a proxy that we trust brings many, and is bound by the whole alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

SPARE: Final = 8
"""Connections past a bound that are kept to be told so; a quarter of the bound is added."""
PEER_BITS: Final = 64
NOBODY: Final = "?"


@lru_cache(maxsize=1_024)
def peer_of(address: str) -> str:
    """What counts as one peer with this address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address or NOBODY
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return f"{IPv6Address(int(found) >> (128 - PEER_BITS) << (128 - PEER_BITS))}/{PEER_BITS}"
    return str(found)


class Crowd:
    """The connections of one listener.

    Args:
        all_max: of all peers.
        peer_max: of one peer.
        proxies: addresses of proxies, which are bound by `all_max` alone.
    """

    __slots__ = ("_all_max", "_by_peer", "_count", "_peer_max", "_proxies")

    def __init__(self, all_max: int, peer_max: int, proxies: Iterable[str] = ()) -> None:
        self._all_max, self._peer_max = all_max, peer_max
        self._proxies = frozenset(peer_of(proxy) for proxy in proxies)
        self._by_peer: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, peer: str) -> bool:
        """A peer connects; False: there is no room, not even for telling so."""
        of_peer = self._by_peer.get(peer, 0)
        if self._count >= _with_spare(self._all_max):
            return False
        if of_peer >= _with_spare(self._peer_max) and peer not in self._proxies:
            return False
        self._by_peer[peer] = of_peer + 1
        self._count += 1
        return True

    def leave(self, peer: str) -> None:
        """A peer that had entered is gone."""
        self._count -= 1
        left = self._by_peer[peer] - 1
        if left:
            self._by_peer[peer] = left
        else:
            del self._by_peer[peer]

    def over(self, peer: str) -> str:
        """Why whoever is here should come later; empty: they need not."""
        if self._count > self._all_max:
            return f"expected at most {self._all_max} connections, found more: come later"
        if self._by_peer.get(peer, 0) > self._peer_max and peer not in self._proxies:
            return (
                f"expected at most {self._peer_max} connections of {peer}, found more: close some"
            )
        return ""


def _with_spare(most: int) -> int:
    return most + most // 4 + SPARE
