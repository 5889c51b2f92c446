"""Run-time policies of a world: in force from the start, changed and taken back by steps of flags.

Decides the flag that carries a policy. Leaves out the document (`devicesdk.agent.policy`) and when it
changes (timeline.py).

Rule: a policy is the object flag `AgentConfig.policy_flag` of a group's segment, with ``off`` as the way
back: what devices hear is what they would hear of a real gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devicesdk.agent.config import AgentConfig
from devicesim.scenario.choosing import FIRST, OFF, PolicySource
from gateway.core.stimuli import SetFlag

if TYPE_CHECKING:
    from devicesim.world.world import World

FLAG: Final = AgentConfig().policy_flag


def put_in_force(world: World, tell: Callable[[SetFlag, int], None]) -> None:
    """Have the gateway set the policy that each group begins with, at the first instant."""
    for group in world.scenario.fleet:
        source = world.scenario.choosing_of(group).policy
        if source is not None:
            flag = SetFlag(group.group, FLAG, definition(world, source))
            world.kernel.at(world.now, lambda now, flag: tell(flag, now), flag)


def changed(world: World, segment: str, to: PolicySource | str) -> SetFlag:
    """What the gateway is told when the policy of a segment changes."""
    source: PolicySource | None = None
    if isinstance(to, PolicySource):
        source = to
    elif to == FIRST:
        source = world.scenario.choosing_of(world.scenario.group(segment)).policy
    else:
        assert to == OFF, f"expected a policy, {OFF} or {FIRST}, found {to!r}"
    return SetFlag(segment, FLAG, definition(world, source))


def definition(world: World, source: PolicySource | None) -> str:
    """The flagd definition of a policy; of none, the one that takes any back."""
    variants: dict[str, Any] = {"off": {}}
    if source is not None:
        text = world.policies[source.path] if source.path else source.document
        variants = {"on": msgspec.json.decode(text), "off": {}}
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": next(iter(variants))}
    return msgspec.json.encode(flag).decode()
