"""Checks that a user writes: an expression, when it must be true, and for how long.

Decides the keys of an item with ``expect`` under `always`, `eventually`, `sometimes`, `finally` and `slo`, of
``no_residue``, and of the liveness mode. Leaves out expressions themselves (expression_text.py) and
who watches (devicesim/world/checks/promises.py, convergence.py).

Rules: a key that the part does not know is refused with the nearest one; a wait counts from one thing,
``after`` an action *or* ``quiet_after`` the last fault; what is left out is the plainest form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import Field, model_validator

from devicesdk.wire.timebase import HOUR, MINUTE, format_duration
from devicesim.scenario.errors import Refusal, show
from devicesim.scenario.expression import Expression, Known
from devicesim.scenario.expression_text import parse_expression
from devicesim.scenario.fields import At, Model, PositiveDuration, Target, must_be_one_of
from devicesim.scenario.quantities import read_duration, read_positive_duration, read_share

NAME_CHARS_MAX: Final = 80
LIVENESS_NS_MIN: Final = 15 * MINUTE
"""A queue is known not to grow when two stretches of five minutes were compared."""
_FLEET_TIME: Final = re.compile(r"(?:N|devices) */ *accept_rate(?: *\+ *(\S+))?")
_WITHIN: Final = "how long it may take: a duration, or N/accept_rate + a duration"
_NO_RESIDUE: Final = (
    "fleet.online_ratio >= {low} * before(fleet.online_ratio)"
    " and fleet.connects_per_minute <= {high} * before(fleet.connects_per_minute) + {hourly} * fleet.devices"
    " and broker.queued <= {high} * before(broker.queued) + {share} * fleet.devices"
    " and gateway.inbox <= {high} * before(gateway.inbox) + {share} * fleet.devices"
)
WAITING: Final = ("within", "after", "quiet", "quiet_after")
_KEYS: Final = {
    "always": ("expect", "name", "from", "until"),
    "sometimes": ("expect", "name", "from", "until"),
    "eventually": ("expect", "name", *WAITING),
    "finally": ("expect", "name"),
    "slo": ("expect", "name"),
}


class Wait(msgspec.Struct, frozen=True):
    """For how long something is waited for, and what for beyond that.

    It must begin to be true no later than `within_ns` after each end of the action `after`, or after
    each instant at which no fault has lasted for `quiet_after_ns`, else after the start; and then be true
    for `quiet_ns` without interruption. With `accepts` the time that the broker needs to accept the
    whole fleet is added.
    """

    within_ns: int
    accepts: bool = False
    after: str | None = None
    quiet_ns: int = 0
    quiet_after_ns: int | None = None

    def __str__(self) -> str:
        longest = format_duration(self.within_ns)
        if self.accepts:
            longest = "N/accept_rate" + (f" + {longest}" if self.within_ns else "")
        since = f"after {self.after}" if self.after else "of the start"
        if self.quiet_after_ns is not None:
            since = f"after {format_duration(self.quiet_after_ns)} without faults"
        for_ns = f", for {format_duration(self.quiet_ns)}" if self.quiet_ns else ""
        return f"within {longest} {since}{for_ns}"


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """An expression and when it must be true; `from_ns` None: from when the fleet has booted."""

    expect: Expression
    name: str = ""
    from_ns: int | None = None
    until_ns: int | None = None
    wait: Wait | None = None

    @property
    def after(self) -> str | None:
        """The action that it waits for, if any."""
        return self.wait.after if self.wait is not None else None

    def __str__(self) -> str:
        waits = f" {self.wait}" if self.wait is not None else ""
        return (self.name or self.expect.text) + waits


def is_promise(value: object) -> bool:
    """Whether an item is one of these, and not a word or a measure with its comparison."""
    return isinstance(value, dict) and ("expect" in value or "no_residue" in value)


def read_promise(value: object, part: str, known: Known) -> Promise:
    """Read ``{expect: ..., name: ..., ...}``.

    Args:
        value: what stood in the file.
        part: which list of the checks it stands in.
        known: every metric by its pattern.

    Raises:
        Refusal: with the path to what is wrong.
    """
    assert isinstance(value, dict)
    keys = _KEYS[part]
    if "no_residue" in value:
        if part != "eventually":
            raise _misplaced(part)
        keys = ("no_residue", *keys[1:])
    for key in value:
        must_be_one_of(key, keys, "one of the keys", (key,), key=True)
    name = _name(value)
    if "no_residue" in value:
        share = _at(value, "no_residue", read_share)
        expect, name = _no_residue(share, known), name or f"no residue above {100 * share:g} %"
    else:
        expect = _at(value, "expect", lambda text: parse_expression(text, known))
    return Promise(
        expect=expect,
        name=name,
        from_ns=_at(value, "from", read_duration) if "from" in value else None,
        until_ns=_at(value, "until", read_positive_duration) if "until" in value else None,
        wait=read_wait(value) if part == "eventually" else None,
    )


def _misplaced(part: str) -> Refusal:
    return Refusal(
        "no_residue under eventually", found=f"it under {part}", at=("no_residue",), key=True,
        advice="move it: what a fault leaves behind takes its time to go",
    )  # fmt: skip


def _name(value: Mapping[str, object]) -> str:
    name = value.get("name", "")
    if not isinstance(name, str) or len(name) > NAME_CHARS_MAX:
        raise Refusal(
            f"text of at most {NAME_CHARS_MAX} characters", found=show(name), at=("name",)
        )
    return name


def _at(value: Mapping[str, object], key: str, read: Any) -> Any:
    """Read one key; a complaint says where it stands."""
    try:
        return read(value[key])
    except Refusal as refusal:
        refusal.at = (key, *refusal.at)
        raise


def _no_residue(share: float, known: Known) -> Expression:
    numbers = {"low": 1 - share, "high": 1 + share, "hourly": share / 60, "share": share}
    text = _NO_RESIDUE.format(**{name: f"{number:.6f}" for name, number in numbers.items()})
    return parse_expression(text, known)


def read_wait(value: Mapping[str, object]) -> Wait:
    """Read ``within``, ``after``, ``quiet`` and ``quiet_after`` of an item under eventually."""
    if "within" not in value:
        raise Refusal(f"within: {_WITHIN}", found="no such key", advice="`within: 30m`")
    within_ns, accepts = _at(value, "within", read_within)
    after = value.get("after")
    if after is not None and not isinstance(after, str):
        raise Refusal("the verb or id of an action", found=show(after), at=("after",))
    if after is not None and "quiet_after" in value:
        raise Refusal(
            "either after or quiet_after", found="both", at=("quiet_after",), key=True,
            advice="after counts from the end of one action, quiet_after from the end of all faults",
        )  # fmt: skip
    quiet_after = _at(value, "quiet_after", read_duration) if "quiet_after" in value else None
    quiet_ns = _at(value, "quiet", read_duration) if "quiet" in value else 0
    return Wait(within_ns, accepts, after, quiet_ns, quiet_after)


def read_within(value: object) -> tuple[int, bool]:
    """Read a longest wait: nanoseconds, and whether N/accept_rate is to be added."""
    match = _FLEET_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return read_duration(value), False
    return (read_duration(match[1]) if match[1] else 0), True


class Liveness(Model):
    """Heal a core of the fleet at once, freeze the rest, and insist that the core converges."""

    at_ns: At = Field(
        alias="at", description="When; later than all that matters.", examples=["20h"]
    )
    core: Target = Field(
        description="Devices of the core: all their faults end and none begins; broker and gateway"
        " belong to it.",
        examples=["share(all, 60%)"],
    )
    freeze: bool = Field(
        default=True,
        description="true: everybody else is silent from then on; false: goes on as it is.",
    )
    within_ns: PositiveDuration = Field(
        default=2 * HOUR,
        alias="within",
        description="The core is online, its rollouts are over and no queue grows after this.",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> Liveness:
        if self.within_ns < LIVENESS_NS_MIN:
            raise Refusal(
                f"at least {format_duration(LIVENESS_NS_MIN)}",
                found=format_duration(self.within_ns), at=("within",),
                advice="whether a queue grows is seen over ten minutes",
            )  # fmt: skip
        return self


def properties(part: str) -> dict[str, Any]:
    """The JSON Schema of the keys of an item of one part."""
    text: dict[str, Any] = {"type": "string"}
    said = {
        "expect": "An expression over metrics and measures, such as fleet.online_ratio >= 99%.",
        "name": "What reports call it; the expression by default.",
        "from": "Looked at from this time on; by default when the fleet has booted.",
        "until": "Looked at until this time.",
        "within": "How long it may take: 30m, or N/accept_rate + 5m.",
        "after": "Verb or id of an action: counted from each end of it.",
        "quiet": "Must then be true for so long without interruption.",
        "quiet_after": "Counted from when no fault has lasted for so long.",
        "no_residue": "Nothing worse than before the first fault by more than this share.",
    }
    keys = (*_KEYS[part], "no_residue") if part == "eventually" else _KEYS[part]
    made = {key: {**text, "description": said[key]} for key in keys}
    if "no_residue" in made:
        made["no_residue"]["type"] = ["string", "number"]
    return made
