"""Verdicts, and what is printed of them."""

import json

from gateway.conform.ledger import EVIDENCE_BYTES_MAX, Ledger, Verdict
from gateway.conform.report import json_of, lines_of, summary_of
from gateway.conform.rules import BY_ID, ROLE_RULES, RULES, Level


def finding(ledger, rule):
    return ledger.finding(BY_ID[rule])


def test_rules_have_names_of_their_own():
    assert len(BY_ID) == len(RULES) + len(ROLE_RULES)


def test_broken_once_is_broken_with_the_first_story():
    ledger = Ledger()
    ledger.kept("G1")
    ledger.broken("G1", "first", b"\x01")
    ledger.broken("G1", "second", b"\x02")
    ledger.kept("G1")
    found = finding(ledger, "G1")
    assert (found.verdict, found.story, found.evidence) == (Verdict.BROKEN, "first", "01")
    assert not ledger.passed


def test_a_broken_should_fails_nobody_and_nothing_exercised_passes_nobody():
    assert not Ledger().passed
    ledger = Ledger()
    ledger.kept("G1")
    ledger.broken("G10", "impatient")
    assert BY_ID["G10"].level is Level.SHOULD
    assert ledger.passed


def test_what_is_skipped_says_why_unless_it_was_exercised_after_all():
    ledger = Ledger()
    ledger.skipped("no relay", "S1", "S2")
    ledger.kept("S2")
    assert finding(ledger, "S1").story == "no relay"
    assert finding(ledger, "S2").verdict is Verdict.KEPT


def test_evidence_is_bounded():
    ledger = Ledger()
    ledger.broken("R1", "long", bytes(10_000))
    assert len(finding(ledger, "R1").evidence) == 2 * EVIDENCE_BYTES_MAX


def test_the_report_tells_the_story_and_counts():
    ledger = Ledger()
    ledger.kept("G1")
    ledger.broken("G4", "asked twice", b"\xab")
    lines = lines_of(ledger.findings())
    at = next(i for i, line in enumerate(lines) if line.startswith("BROKEN"))
    assert "G4" in lines[at]
    assert lines[at + 1].strip() == "asked twice"
    assert lines[at + 2].strip() == "bytes: ab"
    total = (
        f"1 rules kept, 1 of `must` broken, 0 of `should` broken, {len(RULES) - 2} not exercised"
    )
    assert summary_of(ledger.findings()) == lines[-1] == total
    said = json.loads(json.dumps(json_of("d-1", ledger.findings(), passed=ledger.passed)))
    assert said["passed"] is False
    assert [rule["id"] for rule in said["rules"]] == [rule.id for rule in RULES]


def test_a_device_that_goes_by_roles_is_held_to_theirs():
    plain, roles = (
        {found.rule.id for found in Ledger(roles=one).findings()} for one in (False, True)
    )
    assert (plain - roles, roles - plain) == ({"I1"}, {"A1", "A2", "A3", "A4"})
