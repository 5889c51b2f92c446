"""A row comes back as it was, and an older one is still read."""

from __future__ import annotations

import msgspec

from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments.bandit import Tally
from gateway.core.experiments.rows import EXPERIMENT, ExperimentRow, Phase
from gateway.core.gateway import TABLES
from gateway.core.rows import decode, encode

PLAN = ExperimentPlan("e1", "a@2", "a@1", "bandit")


def test_a_row_survives_storage():
    row = ExperimentRow(
        PLAN,
        b"c" * 32,
        b"p" * 32,
        Phase.STOPPED,
        "why",
        Tally(9, 2),
        Tally(90, 1),
        (2, 1),
        0.5,
        0.25,
    )
    assert decode(TABLES[EXPERIMENT], encode(row)) == row


def test_a_row_of_fewer_fields_is_read():
    short = msgspec.msgpack.encode([PLAN, b"c" * 32, b"p" * 32])
    row = decode(ExperimentRow, short)
    assert (row.phase, row.tally, row.looks) == (Phase.RUNNING, Tally(), 0)
