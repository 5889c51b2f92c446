"""Releases that are signed by a key that may not sign any more, or whose signatures have expired.

Decides what is wrong with them, and when the gateway is asked to take them. Leaves out who refuses: the
gateway (gateway/core/control/trust.py) and each device (devicesdk/agent/trust.py).

Rules: with roles the release is listed in targets of its own, which the gateway gets when the first rollout of it
begins: signed by keys that no root names, or by the right ones and expired long ago. With keys alone its manifest is
sealed by a key that devices do not know. Everything else of the release is in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer, Signer
from devicesdk.wire.timebase import SECOND
from gateway.core.stimuli import RegisterRole

if TYPE_CHECKING:
    from devicesim.scenario.release import Bundle
    from devicesim.world.bundles import InstalledBundle
    from devicesim.world.world import World


def signer_of(said: Bundle, owner: Signer, seed: int) -> Signer:
    """Who seals the manifest of a bundle."""
    if said.signed == "owner":
        return owner
    key = blake2b(f"{seed}\0key\0gone".encode(), digest_size=32).digest()
    return Ed25519Signer(ROLE_TARGETS, key)


def sound(world: World, bundles: Mapping[str, InstalledBundle]) -> list[InstalledBundle]:
    """The bundles that the owner of the fleet signs for."""
    said = world.scenario.bundle
    return [bundle for name, bundle in bundles.items() if said(name).signed == "owner"]


def arm(world: World, bundles: Mapping[str, InstalledBundle]) -> None:
    """Have the spoiled targets registered when the first rollout of each begins."""
    if world.roles is None:
        return
    asked: dict[str, int] = {}
    for rollout in world.scenario.rollouts:
        asked[rollout.bundle] = min(rollout.at_ns, asked.get(rollout.bundle, rollout.at_ns))
    for name, at in asked.items():
        if world.scenario.bundle(name).signed != "owner":
            world.kernel.at(at, _register, (world, bundles, name))


def _register(now: int, argument: tuple[World, Mapping[str, InstalledBundle], str]) -> None:
    world, bundles, name = argument
    if not world.gateway.up:
        world.kernel.at(now + SECOND, _register, argument)
        return
    assert world.roles is not None, "spoiled targets without roles"
    listing = [bundle.listed for bundle in (*sound(world, bundles), bundles[name])]
    expired = world.scenario.bundle(name).signed == "expired"
    world.gateway.stimulate(RegisterRole(world.roles.spoiled(listing, now, expired=expired)), now)
