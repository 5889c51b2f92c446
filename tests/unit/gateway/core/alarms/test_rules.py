"""What is bad, what is calm, and what is neither."""

import pytest
from msgspec.structs import replace

from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rules import (
    DISK,
    DRIFT,
    KINDS,
    OFFLINE,
    Level,
    Severity,
    rules_of,
)

RULES = rules_of(AlarmLimits())


@pytest.mark.parametrize(
    ("kind", "value", "level", "severity"),
    [
        (OFFLINE, 5, Level.CALM, Severity.WARNING),
        (OFFLINE, 10, Level.CALM, Severity.WARNING),
        (OFFLINE, 11, Level.BETWEEN, Severity.WARNING),
        (OFFLINE, 20, Level.BAD, Severity.WARNING),
        (OFFLINE, 50, Level.BAD, Severity.CRITICAL),
        (DISK, 40, Level.CALM, Severity.WARNING),
        (DISK, 12, Level.BETWEEN, Severity.WARNING),
        (DISK, 10, Level.BAD, Severity.WARNING),
        (DISK, 5, Level.BAD, Severity.CRITICAL),
        (DRIFT, 0, Level.CALM, Severity.WARNING),
        (DRIFT, 1, Level.BAD, Severity.WARNING),
        (DRIFT, 2, Level.BAD, Severity.CRITICAL),
    ],
)
def test_levels(kind, value, level, severity):
    rule = RULES[kind]
    assert (rule.level(value), rule.severity(value)) == (level, severity)


def test_sentences_can_be_filled():
    for rule in RULES.values():
        said = rule.sentence.format(subject="SUBJECT", value=17, words="WORDS")
        assert said.endswith(".")
        assert "SUBJECT" in said or "WORDS" in said or "17" in said


def test_levels_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"clears offline below 20.*found 20"):
        rules_of(AlarmLimits(offline_percent_clear=20))
    with pytest.raises(ValueError, match=r"clears disk above 10.*found 10"):
        rules_of(AlarmLimits(disk_percent_clear=10))


def test_what_is_off_has_no_rule_and_what_is_no_kind_is_refused():
    without = rules_of(AlarmLimits(off=(DRIFT,)))
    assert set(KINDS) - set(without) == {DRIFT}
    with pytest.raises(ValueError, match="found 'drfit': there are rollout_halted"):
        rules_of(replace(AlarmLimits(), off=("drfit",)))
