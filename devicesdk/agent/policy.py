"""The run-time policy: from how the device is doing to what it runs, where and how often.

Decides the document's fields and bounds, and which rule applies. Leaves out what is done with a choice
(choosing.py, work.py) and how the document comes: it is an object flag (`AgentConfig.policy_flag`) of the
signed flag snapshot, so it is versioned by the snapshot's revision, kept over power cuts and taken back
by setting the flag back (docs/adr/0011).

    {"rules": [{"name": "hot", "when": {"chip_c_min": 70}, "use": {"variants": ["int8-rr", "rule"]}},
               {"name": "normal"}]}

Rules: the first rule that matches wins; the last one has no condition, so there always is a choice; a
choice is a function of the document, the context and the rule in force, and of nothing else. The rule in
force keeps its hold until its bounds are missed by the margin: that is the only memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

POLICY_BYTES_MAX: Final = 16 * 1024
RULES_MAX: Final = 32
_REMEMBERED: Final = 64

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]
Percent = Annotated[int, Meta(ge=0, le=100)]
Celsius = Annotated[int, Meta(ge=-50, le=150)]
Permille = Annotated[int, Meta(ge=1, le=4_000)]
Path: TypeAlias = Literal["local", "defer", "offload"]
LinkClass: TypeAlias = Literal["offline", "metered", "unmetered"]
Urgency: TypeAlias = Literal["foreground", "batch"]


class PolicyError(ValueError):
    """The document is not a policy; the message says what was expected and what was found."""


class Context(msgspec.Struct, frozen=True, gc=False):
    """How the device is doing when a burst begins."""

    plugged: bool = True
    battery_percent: int = 100
    chip_c: int = 25
    throttled: bool = False
    memory_percent: int = 0
    """Memory in use."""
    link: LinkClass = "unmetered"
    urgency: Urgency = "foreground"
    """Whether somebody waits for the reading: always while the alarm sounds."""
    budget_ms: int = 0
    """What one inference may take, by the device's own setting; 0: no bound."""
    mode: str = ""
    """Regulatory mode, such as ``privacy``; empty: none."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An unknown key is a typing error of the policy's author."""


class When(_Strict, frozen=True):
    """Conditions, all of which must hold; one that is absent always does."""

    plugged: bool | None = None
    battery_percent_max: Percent | None = None
    battery_percent_min: Percent | None = None
    chip_c_min: Celsius | None = None
    chip_c_max: Celsius | None = None
    throttled: bool | None = None
    memory_percent_min: Percent | None = None
    link: Annotated[tuple[LinkClass, ...], Meta(max_length=3)] = ()
    urgency: Urgency | None = None
    budget_ms_max: Annotated[int, Meta(ge=1)] | None = None
    """Holds where the device has a latency budget, and not a larger one."""
    mode: Annotated[tuple[str, ...], Meta(max_length=8)] = ()


class Use(_Strict, frozen=True):
    """What to do."""

    variants: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    """The first of these that is on the device; none of them, or empty: the image's own."""
    path: Path = "local"
    frames_permille: Permille = 1_000
    """Frames a window, of the usual number; at least one is taken."""
    windows: Annotated[int, Meta(ge=1, le=16)] = 1
    """This many windows become one: fewer messages, fewer times that the radio wakes up."""
    side: Annotated[int, Meta(ge=0, le=4_096)] = 0
    """Resolution: frames are reduced to this many pixels a side; 0: as they are."""


class Rule(_Strict, frozen=True):
    """One line of the policy."""

    name: Name
    when: When = When()
    use: Use = Use()


class Margin(_Strict, frozen=True):
    """Hysteresis of the rule in force."""

    chip_c: Annotated[int, Meta(ge=0, le=50)] = 5
    battery_percent: Percent = 5
    memory_percent: Percent = 5
    hold_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    """A rule stays in force this long, unless one that stands before it matches."""


class Fallback(_Strict, frozen=True):
    """When the answers of a variant are not good enough: one step down the chain, and up again."""

    confidence_bin_min: Annotated[int, Meta(ge=0, le=19)] = 0
    """A frame whose confidence bin is below is poor; so is one in error."""
    poor_percent_max: Percent = 50
    """A burst with a larger share of poor frames is a poor one."""
    bursts_down: Annotated[int, Meta(ge=1, le=100)] = 2
    """So many poor bursts in a row: one step down."""
    bursts_up: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """So many good ones in a row: one step up."""


class Offload(_Strict, frozen=True):
    """How long to wait for the gateway's answer, and how long to leave it alone after a failure."""

    timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 3_000
    pause_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    frames_max: Annotated[int, Meta(ge=1, le=32)] = 16


class Defer(_Strict, frozen=True):
    """Frames that wait for better days, on the device and in memory."""

    bursts_max: Annotated[int, Meta(ge=1, le=64)] = 8
    """Full: the oldest goes, and is counted."""


class Recalibration(_Strict, frozen=True):
    """Move the fallback's confidence bound with the confidences of this device, within limits."""

    shift_bins_max: Annotated[int, Meta(ge=1, le=19)] = 3
    frames_min: Annotated[int, Meta(ge=20, le=100_000)] = 200
    """Judged on so many recent frames, and not before."""


class Policy(_Strict, frozen=True):
    """The whole document."""

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=RULES_MAX)]
    margin: Margin = Margin()
    fallback: Fallback | None = None
    offload: Offload = Offload()
    defer: Defer = Defer()
    recalibration: Recalibration | None = None
    """Off unless it is there."""

    def choose(self, context: Context, held: int = -1) -> int:
        """The index of the rule that applies.

        Args:
            context: how the device is doing.
            held: index of the rule in force; -1: none is.
        """
        for index, rule in enumerate(self.rules):
            if _holds(rule.when, context, self.margin if index == held else _NO_MARGIN):
                return index
        raise AssertionError("the last rule has no condition")


_NO_MARGIN: Final = Margin(chip_c=0, battery_percent=0, memory_percent=0)


def _holds(when: When, context: Context, margin: Margin) -> bool:
    return (
        (when.plugged is None or when.plugged is context.plugged)
        and (when.throttled is None or when.throttled is context.throttled)
        and (when.urgency is None or when.urgency == context.urgency)
        and (not when.link or context.link in when.link)
        and (not when.mode or context.mode in when.mode)
        and (when.budget_ms_max is None or 0 < context.budget_ms <= when.budget_ms_max)
        and _least(when.chip_c_min, context.chip_c + margin.chip_c)
        and _most(when.chip_c_max, context.chip_c - margin.chip_c)
        and _least(when.battery_percent_min, context.battery_percent + margin.battery_percent)
        and _most(when.battery_percent_max, context.battery_percent - margin.battery_percent)
        and _least(when.memory_percent_min, context.memory_percent + margin.memory_percent)
    )


def _least(bound: int | None, value: int) -> bool:
    return bound is None or value >= bound


def _most(bound: int | None, value: int) -> bool:
    return bound is None or value <= bound


@lru_cache(maxsize=_REMEMBERED)
def read_policy(document: bytes) -> Policy:
    """Read a policy's JSON; the same bytes give the same object, for all agents of a process.

    Raises:
        PolicyError: too large, not a policy, two rules of one name, or the last rule has a condition.
    """
    if len(document) > POLICY_BYTES_MAX:
        raise PolicyError(
            f"expected a policy of at most {POLICY_BYTES_MAX} bytes, found {len(document)}"
        )
    try:
        policy = msgspec.json.decode(document, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyError(f"expected a policy, found {document[:40]!r}: {error}") from error
    names = [rule.name for rule in policy.rules]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise PolicyError(
            f"expected each rule to have a name of its own, found {twice[0]!r} twice: decisions are "
            "counted by name"
        )
    last = policy.rules[-1]
    if last.when != When():
        raise PolicyError(
            f"expected the last rule to have no condition, found {last.name!r} with some: add a rule "
            'such as {"name": "otherwise"}'
        )
    return policy
