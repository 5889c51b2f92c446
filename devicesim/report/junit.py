"""A run as JUnit XML, so that a build server shows each check as a test.
Decides the mapping: one suite a run, one case a check; a check that failed carries its story and
the line that reproduces it; one that could not be judged, or was never exercised, is skipped. The
numbers of the run are properties of the suite, spelled as JSON spells them.
"""

from __future__ import annotations

from typing import Any, Final

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from devicesim.report.figures import Clock, printable
from devicesim.report.record import CheckRow, RunRecord
from devicesim.report.wording import check_story, verdict_line

_PROPERTIES: Final = (
    "seed", "verdict", "trace_digest", "scenario_digest", "devices", "virtual_s", "wall_s", "cpu_s",
    "speedup", "events", "inferences", "messages", "windows", "memory_mib", "reproduce",
)  # fmt: skip


def to_xml(record: RunRecord) -> str:
    """Spell a run as JUnit XML text."""
    suites: Any = JUnitXml(printable(record.scenario))
    suites.add_testsuite(suite(record))
    suites.update_statistics()
    for made in (suites, *suites):  # the statistics summed the cases' time, which is none
        made.time = record.wall_s
    text: str | bytes = suites.tostring()
    return text.decode() if isinstance(text, bytes) else text


def suite(record: RunRecord) -> Any:
    """Make the ``junitparser.TestSuite`` of a run: a case for each check, in the record's order."""
    made: Any = TestSuite(printable(f"{record.scenario} seed {record.seed}"))
    made.timestamp = record.clock_start
    clock = Clock(record.clock_start, record.virtual_s)
    for check in record.checks:
        made.add_testcase(_case(record, check, clock))
    for name in _PROPERTIES:
        made.add_property(name, printable(str(getattr(record, name))))
    for cause, count in record.drops.items():
        made.add_property(f"drops.{printable(cause)}", str(count))
    made.add_property("summary", verdict_line(record))
    return made


def _case(record: RunRecord, check: CheckRow, clock: Clock) -> TestCase:
    case = TestCase(printable(check.name), printable(f"{record.scenario}.{check.kind}"), 0)
    story = printable(check_story(check, clock))
    if check.held is None:
        case.result = [Skipped(story)]
    elif not check.held:
        failure = Failure(story, "CheckFailed")
        told = "\n".join(["", *check.explanation, ""]) if check.explanation else ""
        failure.text = printable(f"{story}\n{told}\nreproduce: {record.reproduce}\n")
        case.result = [failure]
    else:
        case.system_out = story
    return case
