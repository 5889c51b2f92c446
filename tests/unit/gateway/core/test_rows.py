"""Rows survive their bytes, and old bytes are read by newer rows."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire.messages import DeltaRef, UpdateState
from gateway.core import rows
from gateway.core.gateway import TABLES
from gateway.core.rows import (
    Brake,
    BundleRow,
    DebugRow,
    DeltaRow,
    DesiredRow,
    DeviceRow,
    KillRow,
    OutboxRow,
    Outcome,
    Phase,
    PresenceRow,
    Purpose,
    ReportedRow,
    RoleRow,
    RolloutRow,
    SegmentRow,
    WaveRow,
)
from tests_kit.gateway_charts import bundle, plan

SAMPLES = [
    DeviceRow({"region": "eu"}, enrolled=True, quarantine=(b"q" * 32,)),
    DesiredRow(3, b"m" * 32, "r1", Purpose.REVERT, 2, True, b"p" * 32, 1, Outcome.STOPPED, True),
    ReportedRow(2**53, 7, 3, b"m" * 32, True, UpdateState.TRIAL, "why", 4, 5, "pi", "int8", "b", 9),
    PresenceRow(1, 2, online=True),
    BundleRow(bundle().manifest, 900),
    DeltaRow(DeltaRef(encoder=3, base=b"b" * 32, target=b"t" * 32, blob=b"d" * 32, size_bytes=9)),
    RolloutRow(
        plan(selector=(("region", "eu"),)), 4, Phase.HALTED, "failures", b"m" * 32,
        (WaveRow(0.01, 3, 10**18, 3, 2, 2, 1, e_value=21.5, verdict="halted"),), 0, 1, Brake.REVERT,
    ),
    SegmentRow(3, (("dial", "{}"),)),
    KillRow(2, ("polish",)),
    OutboxRow("want", b"payload"),
    RoleRow(b"{}"),
    DebugRow("d1", 41, "ana", "why", 1, 2, 3, 4, 5, 6, "revoked", 42, "bea", "enough"),
]  # fmt: skip


@pytest.mark.parametrize("row", SAMPLES, ids=lambda row: type(row).__name__)
def test_a_row_survives_its_bytes(row):
    assert rows.decode(type(row), rows.encode(row)) == row


def test_every_table_has_a_sample_and_a_machine():
    assert set(rows.TABLES.values()) == {type(row) for row in SAMPLES}
    assert {table.partition(".")[0] for table in TABLES} <= {
        "control",
        "transfers",
        "collect",
        "experiments",
        "alarms",
    }


def test_bytes_of_an_older_row_get_the_defaults_of_newer_fields():
    old = msgspec.msgpack.encode([4, b"m" * 32, "r1", 1])
    assert rows.decode(DesiredRow, old) == DesiredRow(4, b"m" * 32, "r1", Purpose.UPDATE)


def test_bytes_of_something_else_are_refused():
    with pytest.raises(msgspec.ValidationError):
        rows.decode(KillRow, rows.encode(OutboxRow("want", b"")))


def test_only_rollouts_that_can_still_go_on_have_not_ended():
    assert [phase.name for phase in Phase if phase.ended] == ["COMPLETED", "HALTED", "ABORTED"]
