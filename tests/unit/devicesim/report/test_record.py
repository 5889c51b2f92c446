"""The record is a plain value: it survives storage and orders its checks for reading."""

from __future__ import annotations

import msgspec

from devicesim.report.record import CheckRow, RunRecord, failed_first, first_failure
from tests_kit.records import bare, outage


def test_a_record_survives_json_and_msgpack() -> None:
    record = outage(broken=True)
    assert msgspec.json.decode(msgspec.json.encode(record), type=RunRecord) == record
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=RunRecord) == record


def test_failed_checks_come_first_by_the_instant_they_failed() -> None:
    checks = [
        CheckRow("held", "always", True),
        CheckRow("late", "slo", False, at_s=90.0),
        CheckRow("unseen", "sometimes", None),
        CheckRow("at the end", "finally", False),
        CheckRow("early", "eventually", False, at_s=30.0),
    ]
    names = [check.name for check in failed_first(checks)]
    assert names == ["early", "late", "at the end", "unseen", "held"]
    first = first_failure(checks)
    assert first is not None
    assert first.name == "early"


def test_what_the_scenario_asked_for_comes_before_what_always_holds() -> None:
    checks = [
        CheckRow("halt_holds", "always", False, at_s=10.0),
        CheckRow("fleet.online > 3", "always", False, at_s=50.0),
        CheckRow("stuck == 0", "finally", False),
        CheckRow("energy", "always", False, at_s=5.0),
    ]
    names = [check.name for check in failed_first(checks)]
    assert names == ["fleet.online > 3", "stuck == 0", "energy", "halt_holds"]


def test_nothing_failed_when_all_held_or_nothing_was_checked() -> None:
    assert first_failure(outage().checks) is None
    assert first_failure(bare().checks) is None


def test_the_instant_a_check_was_seen_does_not_order_the_held() -> None:
    checks = [CheckRow("b", "always", True, at_s=9.0), CheckRow("a", "always", True, at_s=1.0)]
    assert [check.name for check in failed_first(checks)] == ["b", "a"]
