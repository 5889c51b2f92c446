"""What alarms there are, and which values are bad.

Decides kinds, units, directions, severities and the words for people. Leaves out where values come from
(gateway/core/conditions.py, gateway/runtime/probes.py) and how long they must last (alarms.py).

Rules: between the level that raises and the one that clears a value changes nothing, so that a value which wavers
at one level raises once; kinds are a closed set, because they name topics and label metrics.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from gateway.core.alarms.limits import AlarmLimits

ROLLOUT_HALTED: Final = "rollout_halted"
DRIFT: Final = "drift"
OFFLINE: Final = "offline"
BROKER_DOWN: Final = "broker_down"
EXPIRY: Final = "expiry"
AUDIT_BROKEN: Final = "audit_broken"
DISK: Final = "disk"
OUTBOX: Final = "outbox"
FULL: Final = "alarms_full"

SUBJECT_CHARS_MAX: Final = 200
WORDS_CHARS_MAX: Final = 300


class Severity(enum.IntEnum):
    """How soon somebody should look."""

    WARNING = 0
    """Within the day."""
    CRITICAL = 1
    """Now."""


class Level(enum.Enum):
    """Where a value is."""

    BAD = enum.auto()
    BETWEEN = enum.auto()
    CALM = enum.auto()


class Rule(msgspec.Struct, frozen=True):
    """When one kind of alarm is raised and cleared. Levels are inclusive."""

    kind: str
    sentence: str
    """For people; ``{subject}``, ``{value}`` and ``{words}`` are the alarm's."""
    unit: str
    """Of values; empty: they are a mark, 1 bad, 2 worse."""
    raise_at: int
    clear_at: int
    critical_at: int
    for_ns: int
    """A value must have been bad so long."""
    below: bool = False
    """The smaller, the worse."""

    def level(self, value: int) -> Level:
        """Where a value is."""
        if self._reaches(value, self.raise_at):
            return Level.BAD
        calm = value >= self.clear_at if self.below else value <= self.clear_at
        return Level.CALM if calm else Level.BETWEEN

    def severity(self, value: int) -> Severity:
        """How bad a value is."""
        return Severity.CRITICAL if self._reaches(value, self.critical_at) else Severity.WARNING

    def _reaches(self, value: int, level: int) -> bool:
        return value <= level if self.below else value >= level


def _mark(kind: str, sentence: str, critical_at: int, for_ns: int = 0) -> Rule:
    """A rule of something that is so or not."""
    return Rule(kind, sentence, "", 1, 0, critical_at, for_ns)


def rules_of(limits: AlarmLimits) -> dict[str, Rule]:
    """All rules but those that are off, by kind.

    Raises:
        ValueError: a level that clears lies on the wrong side of the one that raises, or a kind is none.
    """
    one = limits
    rules = (
        _mark(ROLLOUT_HALTED, "Rollout {subject} was halted: {words}.", 1),
        _mark(DRIFT, "Cohort {subject} drifts: {words}.", 2),
        Rule(OFFLINE, "{value} % of the {subject} are offline ({words}).", "%", one.offline_percent_raise,
             one.offline_percent_clear, one.offline_percent_critical, one.offline_ns),
        _mark(BROKER_DOWN, "The gateway has no connection to the {subject}: {words}.", 1, one.broker_ns),
        Rule(EXPIRY, "{subject} expires in {value} days ({words}).", "days", one.expiry_days_raise,
             one.expiry_days_clear, one.expiry_days_critical, 0, below=True),
        _mark(AUDIT_BROKEN, "The audit log is not what it was: {words}.", 1),
        Rule(DISK, "The disk under {subject} has {value} % free ({words}).", "% free", one.disk_percent_raise,
             one.disk_percent_clear, one.disk_percent_critical, 0, below=True),
        Rule(OUTBOX, "{value} retained messages wait for the broker to take them.", "messages", one.outbox_rows_raise,
             one.outbox_rows_clear, one.outbox_rows_raise * 10, one.outbox_ns),
        _mark(FULL, "{value} further alarms of the kind {subject} have no room.", 1_000),
    )  # fmt: skip
    for rule in rules:
        if (rule.clear_at <= rule.raise_at) if rule.below else (rule.clear_at >= rule.raise_at):
            side = "above" if rule.below else "below"
            raise ValueError(
                f"expected the level that clears {rule.kind} {side} {rule.raise_at}, which raises it, found "
                f"{rule.clear_at}"
            )
    kinds = [rule.kind for rule in rules]
    for kind in limits.off:
        if kind not in kinds:
            raise ValueError(
                f"expected kinds of alarms in off, found {kind!r}: there are {', '.join(kinds)}"
            )
    return {rule.kind: rule for rule in rules if rule.kind not in limits.off}


KINDS: Final = tuple(rules_of(AlarmLimits()))
"""All kinds."""
