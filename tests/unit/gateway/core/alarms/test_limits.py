"""Thresholds agree with each other, and what is bounded is bounded."""

from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rules import rules_of


def test_the_defaults_make_rules_of_which_each_clears_where_it_does_not_raise():
    rules = rules_of(AlarmLimits())
    for rule in rules.values():
        assert rule.level(rule.raise_at) is not rule.level(rule.clear_at), rule.kind


def test_every_queue_has_a_bound():
    limits = AlarmLimits()
    assert min(limits.each_max, limits.kept_max, limits.deliveries_max) > 0
    assert limits.calm_ns < limits.calm_ns_max
