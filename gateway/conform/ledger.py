"""Which rules were kept: the books of one run.

Decides when a rule counts as kept or broken. Leaves out who finds out (watch.py, desk.py,
chapters.py) and how it is shown (report.py).

Rules: a rule is broken once and for all, with the first story and the bytes that show it; it is kept
when it was exercised and never broken; what was not exercised says so and fails nobody.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from gateway.conform.rules import BY_ID, PLAIN_ONLY, ROLE_RULES, RULES, Level, Rule

EVIDENCE_BYTES_MAX: Final = 256
"""Of a payload, so much is shown."""


class Verdict(StrEnum):
    """What became of a rule."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_EXERCISED = "not exercised"


class Finding(msgspec.Struct, frozen=True):
    """A rule and its verdict."""

    rule: Rule
    verdict: Verdict
    story: str = ""
    """What happened, where it is broken; why not, where it was not exercised."""
    evidence: str = ""
    """Hex of the bytes that show it."""


class Ledger:
    """The verdicts so far.

    Args:
        roles: whether the device goes by roles.
    """

    __slots__ = ("_broken", "_kept", "_reasons", "_rules")

    def __init__(self, *, roles: bool = False) -> None:
        own = tuple(rule for rule in RULES if rule.id not in PLAIN_ONLY)
        self._rules = (*own, *ROLE_RULES) if roles else RULES
        self._kept: dict[str, int] = {}
        self._broken: dict[str, tuple[str, bytes]] = {}
        self._reasons: dict[str, str] = {}

    def kept(self, *rules: str) -> None:
        """These were exercised, and kept this time."""
        for rule in rules:
            assert rule in BY_ID, f"no rule {rule}"
            self._kept[rule] = self._kept.get(rule, 0) + 1

    def broken(self, rule: str, story: str, evidence: bytes = b"") -> None:
        """This was broken; the first story stays."""
        assert rule in BY_ID, f"no rule {rule}"
        self._broken.setdefault(rule, (story, evidence[:EVIDENCE_BYTES_MAX]))

    def settle(self, rule: str, story: str, evidence: bytes = b"", *, ok: bool) -> None:
        """Kept when `ok`, else broken with this story."""
        if ok:
            self.kept(rule)
        else:
            self.broken(rule, story, evidence)

    def skipped(self, why: str, *rules: str) -> None:
        """These cannot be exercised, and why; counts only where nothing else is known."""
        for rule in rules:
            assert rule in BY_ID, f"no rule {rule}"
            self._reasons.setdefault(rule, why)

    def finding(self, rule: Rule) -> Finding:
        """The verdict on one rule."""
        if rule.id in self._broken:
            story, evidence = self._broken[rule.id]
            return Finding(rule, Verdict.BROKEN, story, evidence.hex())
        if rule.id in self._kept:
            return Finding(rule, Verdict.KEPT)
        return Finding(rule, Verdict.NOT_EXERCISED, self._reasons.get(rule.id, "did not come up"))

    def findings(self) -> list[Finding]:
        """The verdicts on all rules, in their order."""
        return [self.finding(rule) for rule in self._rules]

    @property
    def passed(self) -> bool:
        """Whether no `must` is broken, and something was exercised at all."""
        failed = any(BY_ID[name].level is Level.MUST for name in self._broken)
        return bool(self._kept) and not failed
