"""The record of a soak: sums, and the same value after JSON."""

from __future__ import annotations

import msgspec

from devicesim.report.soak_record import SoakRecord
from tests_kit.soaks import calm, troubled


def test_sums_are_over_both_ways() -> None:
    record = troubled()
    assert record.said == sum(row.said for row in record.messages)
    assert record.unexplained == 2, "one that vanished, one from nowhere"
    assert record.lost == 3


def test_json_and_back() -> None:
    for record in (calm(), troubled()):
        assert msgspec.json.decode(msgspec.json.encode(record), type=SoakRecord) == record
