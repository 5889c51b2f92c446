"""The verdict in plain words."""

from __future__ import annotations

import msgspec

from devicesim.report.figures import Clock, duration
from devicesim.report.record import CheckRow, Venue
from devicesim.report.wording import (
    cause_sentence,
    check_count,
    check_story,
    overrides_line,
    tally,
    tally_by_kind,
    venue_line,
    venue_sentence,
    verdict_detail,
    verdict_line,
)
from devicesim.world.ledger import DropCause
from tests_kit.records import bare, checks_of_an_outage, outage


def test_a_run_that_held_says_how_much_was_checked() -> None:
    record = outage()
    made = checks_of_an_outage()
    assert verdict_line(record) == f"Held: {made - 2} of {made} checks; 2 not exercised."
    assert verdict_detail(record).startswith("10,000 devices lived through 24")


def test_all_held_needs_no_second_half() -> None:
    record = msgspec.structs.replace(bare(), checks=[CheckRow("energy", "always", True)])
    assert verdict_line(record) == "Held: 1 of 1 check."


def test_a_run_that_failed_says_what_broke_first_and_when() -> None:
    record = outage(broken=True)
    assert verdict_line(record) == f"Failed: 2 of {checks_of_an_outage()} checks did not hold."
    assert verdict_detail(record).startswith("First of its own checks to break: stuck == 0, at ")


def test_of_its_own_checks_the_first_is_told_even_where_others_broke_before() -> None:
    checks = [
        CheckRow("halt_holds", "always", False, at_s=10.0),
        CheckRow("stuck == 0", "finally", False),
    ]
    record = msgspec.structs.replace(bare("failed"), checks=checks)
    told = verdict_detail(record)
    assert told == "First of its own checks to break: stuck == 0, at the end of the run."
    built_in = msgspec.structs.replace(record, checks=checks[:1])
    assert verdict_detail(built_in).startswith("First to break: halt holds, at ")


def test_what_was_changed_for_the_run_is_said() -> None:
    assert overrides_line(bare()) == ""
    record = msgspec.structs.replace(bare(), overrides=["scale=0.02", "clock.duration=8h"])
    assert overrides_line(record) == (
        "Run with scale=0.02, clock.duration=8h: the words above are those of the whole scenario."
    )


def test_a_failure_without_an_instant_was_at_the_end() -> None:
    checks = [CheckRow("stuck == 0", "finally", False)]
    record = msgspec.structs.replace(bare("failed"), checks=checks)
    assert verdict_detail(record) == "First to break: stuck == 0, at the end of the run."


def test_a_run_that_checked_nothing_does_not_boast() -> None:
    assert verdict_line(bare()) == "Passed, but nothing was checked."
    assert verdict_line(bare("failed")) == "Failed, though no single check did."


def test_tallies_add_up() -> None:
    checks = outage(broken=True).checks
    whole = tally(checks)
    assert whole.total == whole.held + whole.failed + whole.open == len(checks)
    kinds = tally_by_kind(checks)
    assert list(kinds) == ["always", "eventually", "sometimes", "finally", "slo"]
    assert sum(part.held for part in kinds.values()) == whole.held


def test_counts_say_what_they_count() -> None:
    assert check_count(CheckRow("a", "always", True, count=1440)) == "judged 1,440 x"
    assert check_count(CheckRow("b", "sometimes", True, count=3)) == "seen 3 x"
    assert check_count(CheckRow("c", "sometimes", None)) == "not seen"
    assert check_count(CheckRow("d", "slo", True)) == ""


def test_a_story_stands_on_its_own() -> None:
    clock = Clock("2024-02-22T08:00:00Z")
    failed = CheckRow("halt_holds", "always", False, "one went on", 3600.0)
    assert check_story(failed, clock) == (
        "halt holds (always) did not hold, first at 09:00:00 (+1:00:00): one went on"
    )
    unseen = CheckRow("rollback_ran", "sometimes", None)
    assert check_story(unseen, clock) == "rollback ran (sometimes) was not exercised"


def test_each_cause_of_the_ledger_is_explained() -> None:
    for cause in DropCause:
        assert cause_sentence(cause.value) == cause.sentence
    assert cause_sentence("gremlins") == ""


def test_a_live_run_says_where_and_how_fast_and_what_it_was_given():
    assert venue_line(Venue()) == "" == venue_sentence(Venue())
    live = Venue("real", 60.0, "mosquitto 2.0.11", ["nothing"], 30.0, 12.0)
    line = venue_line(live)
    for part in (
        "60 times the wall clock", f"{duration(12.0)} behind", f"{duration(30.0)} more",
        "mosquitto 2.0.11", "it lacks nothing",
    ):  # fmt: skip
        assert part in line
    assert venue_sentence(live) == "R" + line[1:] + "."
    assert "held" not in line
    held = msgspec.structs.replace(live, held_s=90.0)
    assert f"held for {duration(90.0)} in all" in venue_line(held)
    slow = (
        "on a clock that was held for 35 % of the run's real time: a slower speed would be honest"
    )
    much = msgspec.structs.replace(held, held_share=0.35)
    assert slow in venue_line(much)
    little = msgspec.structs.replace(held, held_share=0.2)
    assert "slower speed" not in venue_line(little)
