"""Limits say their unit, and their defaults fit each other."""

from __future__ import annotations

import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.core.limits import ControlLimits, CoreLimits


def test_a_window_of_wants_holds_a_page():
    limits = ControlLimits()
    assert limits.page_devices <= limits.outbox_in_flight_max


def test_ten_thousand_queries_are_paced_below_a_broker_queue():
    limits = ControlLimits()
    per_second = limits.report_page_devices * SECOND / limits.report_interval_ns
    assert per_second <= 1_000, f"{per_second} answers/s would overrun a queue of 1000"


def test_every_bound_names_its_unit():
    plural = (
        "_max",
        "_min",
        "_ns",
        "_devices",
        "_labels",
        "_strikes",
        "_update",
        "_revert",
        "root",
    )
    names = [field.name for field in msgspec.structs.fields(ControlLimits)]
    assert [name for name in names if not name.endswith(plural) and name != "latency_strikes"] == []
    assert msgspec.structs.fields(CoreLimits)[0].name == "root"
