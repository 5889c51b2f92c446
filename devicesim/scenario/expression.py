"""Expressions: a user's own promise about the numbers of a run, such as ``fleet.online_ratio >= .5``.

Decides what ``expect:`` means: comparisons between sums of metrics and numbers with their units,
joined by ``and``, ``or``, ``not`` and brackets. Leaves out the reading of the text
(expression_text.py), who measures (the caller hands in `read`) and when it is looked at
(devicesim/world/checks/promises.py)::

    fleet.online_ratio >= 99%  and  not stuck > 0
    .4 <= region.us-west.online_ratio <= .6
    fleet.downloading <= 10% * fleet.devices
    broker.queued <= 120% * before(broker.queued) + 50

Rules: both sides of a comparison are of one unit, and so are the parts of a sum; a duration is never
compared with a bare number; what cannot be known (a percentile of nothing, a quotient of zero) is neither
true nor false, and neither is what depends on it (Kleene's logic). A name may contain ``-``, so a
subtraction has blanks around its sign. There is no state here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from devicesdk.wire.timebase import format_duration
from devicesim.scenario.trigger import Metric
from devicesim.scenario.values import SIGNS, Kind

BEFORE: Final = "before"
MORE: Final[dict[str, tuple[Kind, str]]] = {
    "fleet.devices": (Kind.COUNT, "devices in all"),
    "fleet.offline": (Kind.COUNT, "devices without a live session, those that are off too"),
    "fleet.connects_per_minute": (Kind.COUNT, "attempts to connect in the last whole minute"),
    "group.{group}.devices": (Kind.COUNT, "devices of one group"),
    "group.{group}.online": (Kind.COUNT, "devices of one group with a live session"),
    "region.{region}.devices": (Kind.COUNT, "devices of one region"),
    "region.{region}.online": (Kind.COUNT, "devices of one region with a live session"),
    "broker.accept_time": (Kind.DURATION, "how long the broker takes to accept the whole fleet"),
    "gateway.inbox": (Kind.COUNT, "messages that the gateway has not handled yet"),
    "faults.active": (Kind.COUNT, "faults of the timeline that last now"),
}
"""Metrics of expressions beside those of triggers and the measures."""

Known = Mapping[str, tuple[Kind, str]]


class Number(msgspec.Struct, frozen=True):
    """A literal; its kind is None when it was written without a unit."""

    value: float | int
    kind: Kind | None


class Reading(msgspec.Struct, frozen=True):
    """A metric now, or, `before`, as it was on average before the first fault."""

    metric: Metric
    kind: Kind
    before: bool = False

    def __str__(self) -> str:
        return f"{BEFORE}({self.metric.text})" if self.before else self.metric.text


class Sum(msgspec.Struct, frozen=True):
    """Two numbers and ``+ - * /`` between them."""

    sign: str
    left: Quantity
    right: Quantity
    kind: Kind | None


class Comparing(msgspec.Struct, frozen=True):
    """Two numbers and one of `SIGNS` between them."""

    sign: str
    left: Quantity
    right: Quantity


class Every(msgspec.Struct, frozen=True):
    """Every parts are true."""

    parts: tuple[Truth, ...]


class Some(msgspec.Struct, frozen=True):
    """At least one part is true."""

    parts: tuple[Truth, ...]


class Not(msgspec.Struct, frozen=True):
    """The part is false."""

    part: Truth


Quantity = Number | Reading | Sum
Truth = Comparing | Every | Some | Not
Node = Number | Reading | Sum | Comparing | Every | Some | Not
Read = Callable[[Reading], "float | int | None"]
"""The value of a reading in the unit of its kind; None: nobody knows."""


class Expression(msgspec.Struct, frozen=True):
    """A parsed expression and the text it came from."""

    text: str
    truth: Truth

    def holds(self, read: Read) -> bool | None:
        """Tell whether it is true now; None: it cannot be known."""
        return _holds(self.truth, read)

    def readings(self) -> list[Reading]:
        """Every readings in the order written, each once."""
        return _once(_readings(self.truth))

    def metrics(self) -> list[Metric]:
        """Every metrics that it looks at, in the order written."""
        return [reading.metric for reading in _readings(self.truth)]

    def failing(self, read: Read) -> list[Reading]:
        """The readings of the parts of an ``and`` that are not true; all readings of anything else."""
        if isinstance(self.truth, Every):
            parts = [part for part in self.truth.parts if _holds(part, read) is not True]
            return _once(one for part in parts for one in _readings(part))
        return self.readings()

    def __str__(self) -> str:
        return self.text


def spell(kind: Kind, value: float | None) -> str:
    """A value for people, in the unit of its kind; ``unknown`` of None."""
    if value is None:
        return "unknown"
    if kind is Kind.DURATION:
        return format_duration(round(value))
    if kind is Kind.SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:g}"


def _holds(truth: Truth, read: Read) -> bool | None:
    match truth:
        case Comparing(sign, left, right):
            one, other = _value(left, read), _value(right, read)
            return None if one is None or other is None else SIGNS[sign](one, other)
        case Every(parts):
            found = [_holds(part, read) for part in parts]
            return False if False in found else None if None in found else True
        case Some(parts):
            found = [_holds(part, read) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = _holds(part, read)
            return None if inner is None else not inner


def _value(quantity: Quantity, read: Read) -> float | int | None:
    match quantity:
        case Number(value):
            return value
        case Reading():
            return read(quantity)
        case Sum(sign, left, right):
            one, other = _value(left, read), _value(right, read)
            return None if one is None or other is None else _reckon(sign, one, other)


def _reckon(sign: str, one: float, other: float) -> float | None:
    if sign == "/":
        return one / other if other else None
    return one + other if sign == "+" else one - other if sign == "-" else one * other


def _once(readings: Iterable[Reading]) -> list[Reading]:
    return list({str(reading): reading for reading in readings}.values())


def _readings(node: Node) -> Iterator[Reading]:
    match node:
        case Reading():
            yield node
        case Sum(_, left, right) | Comparing(_, left, right):
            yield from _readings(left)
            yield from _readings(right)
        case Every(parts) | Some(parts):
            for part in parts:
                yield from _readings(part)
        case Not(part):
            yield from _readings(part)
        case Number():
            return
