"""JUnit XML: a test for each check, whose failure tells the story."""

from __future__ import annotations

import msgspec
from junitparser import JUnitXml

from devicesim.report.junit import to_xml
from devicesim.report.record import CheckRow, RunRecord
from tests_kit.records import bare, checks_of_an_outage, outage


def parsed(record: RunRecord) -> JUnitXml:
    return JUnitXml.fromstring(to_xml(record).encode())


def test_each_check_is_a_case_with_its_outcome() -> None:
    record = outage(broken=True)
    (suite,) = parsed(record)
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (
        checks_of_an_outage(),
        2,
        1,
        0,
    )
    cases = {case.name: case for case in suite}
    assert set(cases) == {check.name for check in record.checks}
    assert cases["halt_holds"].classname == "carrier-outage.always"


def test_a_failure_tells_the_story_and_how_to_see_it_again() -> None:
    record = outage(broken=True)
    (suite,) = parsed(record)
    (failure,) = next(case for case in suite if case.name == "halt_holds").result
    assert "camera-00412 activated 00:00:38 after the halt" in failure.message
    assert "12:55:48" in failure.message
    assert record.reproduce in failure.text


def test_numbers_are_properties_of_the_suite() -> None:
    record = outage()
    (suite,) = parsed(record)
    told = {item.name: item.value for item in suite.properties()}
    assert told["events"] == str(record.events)
    assert told["seed"] == "42"
    assert told["drops.black_hole"] == "48120"
    assert suite.time == record.wall_s


def test_a_run_without_checks_is_still_xml() -> None:
    (suite,) = parsed(bare())
    assert suite.tests == 0


def test_text_of_a_scenario_cannot_break_the_file() -> None:
    nasty = "</failure><script>&\x00\x1b]]>"
    record = msgspec.structs.replace(
        bare("failed"), scenario=nasty, checks=[CheckRow(nasty, "always", False, nasty)]
    )
    (suite,) = parsed(record)
    (case,) = suite
    assert "<script>" in case.name
    assert "\x00" not in case.name
