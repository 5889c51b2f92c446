"""Which hardships a sweep has exercised."""

from __future__ import annotations

import msgspec
import pytest

from devicesim.report.coverage import Glimpse, coverage, lines, read_glimpse
from devicesim.report.record import CheckRow
from devicesim.scenario.checks import SOMETIMES
from tests_kit.records import outage


def run(seed, *seen, asked=("rollback_ran", "died_mid_flash", "resumed_mid_chunk")):
    rows = [CheckRow("conservation", "always", True)]
    rows += [
        CheckRow(name, "sometimes", name in seen, at_s=60.0 * seed if name in seen else None,
                 count=2 if name in seen else 0)
        for name in asked
    ]  # fmt: skip
    return Glimpse("lab", seed, rows)


def test_each_hardship_is_counted_over_the_runs_that_looked_for_it():
    made = coverage(
        [run(1, "rollback_ran"), run(2, "rollback_ran", "resumed_mid_chunk"), run(3, asked=())]
    )
    assert made.runs == 3
    assert [(row.name, row.seen, row.runs) for row in made.rows] == [
        ("died_mid_flash", 0, 2),
        ("resumed_mid_chunk", 1, 2),
        ("rollback_ran", 2, 2),
    ], "rarest first"
    rollback = made.rows[-1]
    assert (rollback.times, rollback.seeds, rollback.without) == (4, [1, 2], [])
    assert (rollback.first_s, rollback.share) == (60.0, 1.0)
    assert made.never == ["died_mid_flash"]
    assert not made.complete
    assert "duplicate_delivered" in made.unasked
    assert "rollback_ran" not in made.unasked


def test_one_run_is_enough_for_a_sweep():
    assert coverage(
        [run(1), run(2, "rollback_ran", "died_mid_flash", "resumed_mid_chunk")]
    ).complete


def test_of_no_runs_nothing_is_known():
    made = coverage([])
    assert (made.runs, made.rows, made.never) == (0, [], [])
    assert made.unasked == list(SOMETIMES)
    assert lines(made)[0].startswith("nobody looked for")


def test_a_record_on_disk_is_read_as_far_as_needed():
    record = outage()
    glimpse = read_glimpse(msgspec.json.encode(record))
    assert (glimpse.seed, len(glimpse.checks)) == (record.seed, len(record.checks))
    assert coverage([glimpse]) == coverage([record])
    with pytest.raises(msgspec.DecodeError):
        read_glimpse(b"{")


def test_the_lines_name_what_is_missing_and_who_saw_what_is_rare():
    told = lines(coverage([run(n, *(["resumed_mid_chunk"] if n == 17 else ["rollback_ran"]))
                           for n in range(10, 20)]))  # fmt: skip
    assert told[0].split("  ")[-1] == "never exercised"
    assert "1 of 10 runs" in told[1]
    assert told[1].endswith("seed 17")
    assert told[2].endswith("seed 10, 11, 12 and more")
