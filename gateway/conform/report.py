"""The verdicts, for people and for programs.

Decides lines, JSON and exit codes. Leaves out how verdicts came about.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.conform.ledger import Finding, Verdict
from gateway.conform.rules import Level

PASSED: Final = 0
FAILED: Final = 1
COULD_NOT_PLAY: Final = 2
_MARKS: Final = {Verdict.KEPT: "kept", Verdict.BROKEN: "BROKEN", Verdict.NOT_EXERCISED: "-"}


def lines_of(findings: list[Finding]) -> list[str]:
    """One line a rule; below a broken one its story and its bytes, at the end the sum."""
    out = []
    for found in findings:
        rule = found.rule
        out.append(f"{_MARKS[found.verdict]:<7} {rule.id:<4} {rule.level:<7} {rule.sentence}")
        if found.story:
            out.append(f"{'':<21}{found.story}")
        if found.evidence:
            out.append(f"{'':<21}bytes: {found.evidence}")
    return [*out, "", summary_of(findings)]


def summary_of(findings: list[Finding]) -> str:
    """The sum in one sentence."""
    kept = sum(found.verdict is Verdict.KEPT for found in findings)
    skipped = sum(found.verdict is Verdict.NOT_EXERCISED for found in findings)
    broken = [found for found in findings if found.verdict is Verdict.BROKEN]
    musts = sum(found.rule.level is Level.MUST for found in broken)
    return (
        f"{kept} rules kept, {musts} of `must` broken, {len(broken) - musts} of `should` broken, "
        f"{skipped} not exercised"
    )


def json_of(device: str, findings: list[Finding], *, passed: bool) -> dict[str, Any]:
    """All of it as values."""
    return {
        "device": device,
        "passed": passed,
        "rules": [
            {
                "id": found.rule.id,
                "level": found.rule.level.value,
                "sentence": found.rule.sentence,
                "how": found.rule.how,
                "verdict": found.verdict.value,
                "story": found.story,
                "bytes_hex": found.evidence,
            }
            for found in findings
        ],
    }
