"""Triggers: the moment at which something is true of the run.

Decides the language of ``when:``: comparisons of a named metric with a number, joined by ``and``,
``or``, ``not`` and brackets, such as ``rollout.r1.progress >= 10% and fleet.online_ratio < .9``.
Leaves out who measures (the caller hands in `read`), and whether the names inside a metric exist
(references.py).

Rules: a trigger has no state; whoever watches it acts on the step from false to true. Shares are
from 0 to 1, durations integer nanoseconds, truths 0 or 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.scenario.errors import Refusal, choices, nearest_word
from devicesim.scenario.lexing import Cursor
from devicesim.scenario.values import SIGNS, Kind, read_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

METRICS: Final[dict[str, tuple[Kind, str]]] = {
    "clock.elapsed": (Kind.DURATION, "time since the start"),
    "fleet.online": (Kind.COUNT, "devices with a live session"),
    "fleet.online_ratio": (Kind.SHARE, "share of all devices with a live session"),
    "fleet.downloading": (Kind.COUNT, "devices with a transfer in flight"),
    "fleet.throttled_ratio": (Kind.SHARE, "share of all devices below full speed for heat"),
    "group.{group}.online_ratio": (Kind.SHARE, "the same for one group"),
    "region.{region}.online_ratio": (Kind.SHARE, "the same for one region"),
    "rollout.{rollout}.progress": (Kind.SHARE, "share of the rollout's devices committed"),
    "rollout.{rollout}.exposed": (Kind.SHARE, "share of the rollout's devices that ever ran it"),
    "rollout.{rollout}.wave": (Kind.COUNT, "running wave, from 1; 0 before the first"),
    "rollout.{rollout}.failed": (Kind.COUNT, "devices that failed or rolled back"),
    "rollout.{rollout}.halted": (Kind.COUNT, "1 once halted, else 0"),
    "broker.connections": (Kind.COUNT, "sessions with a live connection"),
    "broker.queued": (Kind.COUNT, "messages waiting in all sessions"),
    "action.{action}.active": (Kind.COUNT, "1 while that action lasts, else 0"),
    "action.{action}.count": (Kind.COUNT, "times that action began"),
}

_TOKENS: Final = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:%|[a-z]+(?:\d+[a-z]+)*)?(?![\w.]))"
    r"|(?P<sign><=|>=|==|!=|<|>)"
    r"|(?P<mark>[()])"
    r"|(?P<word>[A-Za-z_][\w.-]*)"
)
_WHAT: Final = "a trigger such as 'rollout.r1.progress >= 0.1'"


class Metric(msgspec.Struct, frozen=True):
    """A metric by the pattern it follows and the name inside it, ``("rollout", "r1")``, if any."""

    text: str
    pattern: str
    subject: tuple[str, str] | None
    offset: int


class Compare(msgspec.Struct, frozen=True):
    """A metric compared with a number in the unit of its kind."""

    metric: Metric
    sign: str
    value: float | int


class Both(msgspec.Struct, frozen=True):
    """All parts are true."""

    parts: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one part is true."""

    parts: tuple[Condition, ...]


class Never(msgspec.Struct, frozen=True):
    """The part is false."""

    part: Condition


Condition = Compare | Both | Either | Never


class Trigger(msgspec.Struct, frozen=True):
    """A parsed trigger and the text it came from."""

    text: str
    condition: Condition

    def holds(self, read: Callable[[Metric], float]) -> bool:
        """Tell whether it is true now.

        Args:
            read: the present value of a metric, in the unit of its kind (`METRICS`).
        """
        return _holds(self.condition, read)

    def metrics(self) -> list[Metric]:
        """All metrics it looks at, in the order written."""
        return list(_metrics(self.condition))

    def __str__(self) -> str:
        return self.text


def parse_trigger(text: object) -> Trigger:
    """Parse a trigger.

    Raises:
        Refusal: it is not one; carries the offset of the word that is wrong.
    """
    cursor = Cursor(text, _TOKENS, _WHAT)
    condition = _either(cursor)
    cursor.finish()
    return Trigger(cursor.text, condition)


def find_metric(
    name: str, offset: int = 0, known: Mapping[str, tuple[Kind, str]] = METRICS
) -> Metric:
    """Look a metric up by its full name.

    Args:
        name: as it was written.
        offset: where in its text it stands.
        known: every metric by its pattern.

    Raises:
        Refusal: there is none of that name.
    """
    parts = name.split(".")
    for pattern in known:
        shape = pattern.split(".")
        if len(shape) != len(parts) or shape[0] != parts[0] or shape[-1] != parts[-1]:
            continue
        subject = (shape[1][1:-1], parts[1]) if len(parts) == 3 else None
        return Metric(name, pattern, subject, offset)
    spelled = name
    if len(parts) == 3 and (near := nearest_word(parts[0], [p.split(".")[0] for p in known])):
        spelled = f"{near}.{{{near}}}.{parts[2]}"
    nearest = nearest_word(spelled, known)
    if len(parts) == 3 and nearest.count(".") == 2:
        head, _, tail = nearest.split(".")
        nearest = f"{head}.{parts[1]}.{tail}"
    raise Refusal(
        f"one of the metrics {choices(known)}", found=name, nearest=nearest, offset=offset
    )


def _either(cursor: Cursor) -> Condition:
    parts = [_both(cursor)]
    while cursor.accept("or"):
        parts.append(_both(cursor))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _both(cursor: Cursor) -> Condition:
    parts = [_single(cursor)]
    while cursor.accept("and"):
        parts.append(_single(cursor))
    return parts[0] if len(parts) == 1 else Both(tuple(parts))


def _single(cursor: Cursor) -> Condition:
    cursor.descend()
    condition: Condition
    if cursor.accept("not"):
        condition = Never(_single(cursor))
    elif cursor.accept("("):
        condition = _either(cursor)
        cursor.expect(")")
    else:
        condition = _compare(cursor)
    cursor.ascend()
    return condition


def _compare(cursor: Cursor) -> Compare:
    word = cursor.take()
    if word.kind != "word":
        raise cursor.refuse(word, "a metric, not or (")
    metric = find_metric(word.text, word.offset)
    sign = cursor.take()
    if sign.kind != "sign":
        raise cursor.refuse(sign, f"one of {' '.join(SIGNS)} after {word.text}")
    number = cursor.take()
    if number.kind != "number":
        raise cursor.refuse(number, f"a number after '{word.text} {sign.text}'")
    kind = METRICS[metric.pattern][0]
    try:
        value = read_amount(number.text, kind)
    except Refusal as refusal:
        refusal.offset = number.offset
        raise
    return Compare(metric, sign.text, value)


def _holds(condition: Condition, read: Callable[[Metric], float]) -> bool:
    match condition:
        case Compare(metric, sign, value):
            return SIGNS[sign](read(metric), value)
        case Both(parts):
            return all(_holds(part, read) for part in parts)
        case Either(parts):
            return any(_holds(part, read) for part in parts)
        case Never(part):
            return not _holds(part, read)


def _metrics(condition: Condition) -> Iterator[Metric]:
    match condition:
        case Compare(metric):
            yield metric
        case Both(parts) | Either(parts):
            for part in parts:
                yield from _metrics(part)
        case Never(part):
            yield from _metrics(part)
