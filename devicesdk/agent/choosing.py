"""How the next burst is run: the policy's rule, and one variant down when answers are poor.

Decides the choice of each burst, whether a reading is believed, when a lighter variant takes over and
when the better one gets another chance, and where the confidence bound lies. Leaves out the document
(policy.py), bursts (work.py) and frames that are not run at once (elsewhere.py).

The chain is: what the rule asks for, the lighter variants that the image carries, and after the last of
them nobody is believed: the device acts on the last good reading, and says how old that is.

Rules: each burst is one decision, counted by the name of the rule that made it (with ``>local`` behind it
where the rule's way out was not open); the same document, context and history give the same choice; a
step down needs several poor bursts in a row, a step up several good ones, and twice as many each time
that a step up was a mistake. Recalibration moves the bound of what is believed and nothing else: rows
and histograms stay the model's own, so no drift alarm ever falls silent because of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.agent.notes import NoteKind
from devicesdk.agent.policy import Context, LinkClass, Path, Policy, Recalibration
from devicesdk.agent.shared import Shared
from devicesdk.agent.snapshot import Slot
from devicesdk.bundle.manifest import RULE
from devicesdk.wire.timebase import MS, SECOND

CONFIDENCE_BINS: Final = 20
PATIENCE_MAX: Final = 16
_CONFIDENCE: Final = 1
_READING: Final = 0
_ERROR: Final = 11


class Choice(msgspec.Struct, frozen=True, gc=False):
    """How one burst is run."""

    path: Path
    variant: str
    """Empty: the image's own."""
    side: int
    frames_permille: int
    windows: int
    keep_bursts_max: int


class Chooser:
    """The run-time choices of one boot.

    Args:
        shared: the agent's common ground.
    """

    __slots__ = (
        "_counts", "_good", "_held", "_patience", "_poor", "_seen", "_shared", "_since", "_tried", "at_end",
        "holdoff_until", "last_good", "level", "policy", "shift", "variant",
    )  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.policy: Policy | None = None
        self.level = 0
        """Steps down the chain."""
        self.at_end = False
        """Past the last variant: nobody is believed."""
        self.variant = ""
        """What the last choice runs."""
        self.shift = 0
        """By how many bins the confidence bound was moved."""
        self.last_good: tuple[int, int] | None = None
        """Reading in permille, and when."""
        self.holdoff_until = 0
        """Before this nobody asks the gateway."""
        self._held, self._since = -1, 0
        self._poor = self._good = 0
        self._patience, self._tried = 1, False
        self._counts: dict[str, int] = {}
        self._seen: list[int] = []

    def adopt(self, policy: Policy | None, rev: int) -> None:
        """Another policy is in force, or none."""
        if policy is self.policy:
            return
        self.policy = policy
        self.level, self.at_end, self.shift = 0, False, 0
        self._held, self._seen = -1, []
        self._poor = self._good = 0
        self._patience, self._tried = 1, False
        if policy is None:
            self._shared.note(NoteKind.POLICY_OFF)
        else:
            self._shared.note(NoteKind.POLICY_TAKEN, len(policy.rules), rev)

    def another_image(self) -> None:
        """Another slot runs: what was learnt about the old one says nothing about it."""
        self.level, self.at_end, self.shift, self._seen = 0, False, 0, []
        self._poor = self._good = 0
        self._patience, self._tried = 1, False

    # -- before a burst ---------------------------------------------------------------------------

    def context(self, *, alarm: bool) -> Context:
        """How the device is doing."""
        shared = self._shared
        found, config = shared.conditions, shared.config
        link: LinkClass = "metered" if found.metered else "unmetered"
        return Context(
            plugged=found.plugged,
            battery_percent=found.battery_percent,
            chip_c=found.chip_c,
            throttled=found.throttled,
            memory_percent=found.memory_percent,
            link=link if shared.online else "offline",
            urgency="foreground" if alarm else config.urgency,
            budget_ms=config.latency_budget_ms,
            mode=config.regulatory_mode,
        )

    def choose(self, slot: Slot, now: int, *, alarm: bool, may_send: bool) -> Choice | None:
        """Decide the next burst; None: there is no policy.

        Args:
            slot: what is active.
            now: when the burst begins.
            alarm: whether the alarm sounds.
            may_send: whether there is consent to send frames out.
        """
        policy = self.policy
        if policy is None:
            return None
        index = policy.choose(self.context(alarm=alarm), self._held)
        held = self._held
        if index > held >= 0 and now < self._since + policy.margin.hold_s * SECOND:
            index = held  # nothing that stands before it asks for the change: not so fast
        if index != held:
            self._held, self._since = index, now
            self._shared.note(NoteKind.RULE_CHOSEN, index, held)
        rule = policy.rules[index]
        use, said = rule.use, rule.name
        path = use.path
        if path == "offload" and not (
            may_send and self._shared.online and now >= self.holdoff_until
        ):
            path, said = "local", f"{said}>local"
        self._counts[said] = self._counts.get(said, 0) + 1
        self.variant = self._variant(use.variants, slot)
        return Choice(
            path, self.variant, use.side, use.frames_permille, use.windows, policy.defer.bursts_max
        )

    def _variant(self, wanted: tuple[str, ...], slot: Slot) -> str:
        """The variant that the chain stands at; empty: the image's own."""
        chain = (slot.variant, *slot.also)
        start = next((chain.index(name) for name in wanted if name in chain), 0)
        steps = len(chain) - 1 - start
        self.at_end = self.level > steps
        self.level = min(self.level, steps + 1)
        place = start + min(self.level, steps)
        return chain[place] if place else ""

    def counts(self) -> dict[str, int]:
        """Decisions since this was last asked, by rule."""
        counts, self._counts = self._counts, {}
        return counts

    # -- after a burst ----------------------------------------------------------------------------

    def believed(self, rows: list[list[int]], slot: Slot, now: int) -> list[list[int]]:
        """Those frames whose reading is to be trusted; learn from all of them.

        Args:
            rows: as `devicesdk.agent.stimuli.Readings` has them.
            slot: what is active.
            now: when the burst ended.
        """
        policy = self.policy
        if policy is None or policy.fallback is None:
            return rows
        bound = 0
        if self.variant != RULE:  # its confidence is not the model's, and not on the model's scale
            bound = min(max(policy.fallback.confidence_bin_min + self.shift, 0), CONFIDENCE_BINS)
            if not policy.fallback.confidence_bin_min:
                bound = 0
        good = [row for row in rows if not row[_ERROR] and row[_CONFIDENCE] >= bound]
        self._weigh(len(rows) - len(good), len(rows), slot)
        if policy.recalibration is not None and not self.variant:
            self._recalibrate(policy.recalibration, policy.fallback.confidence_bin_min, rows, slot)
        if self.at_end:
            return []
        if good:
            self.last_good = good[-1][_READING], now
        return good

    def age_ms(self, now: int) -> int:
        """Age of the last good reading."""
        return 0 if self.last_good is None else (now - self.last_good[1]) // MS

    def _weigh(self, poor: int, frames: int, slot: Slot) -> None:
        """Count a burst as poor or good, and take a step when there were enough in a row."""
        assert self.policy is not None
        fallback = self.policy.fallback
        assert fallback is not None
        if poor * 100 > frames * fallback.poor_percent_max:
            self._poor, self._good = self._poor + 1, 0
            if self._poor >= fallback.bursts_down and not self.at_end:
                self._step_down(slot)
            return
        self._poor, self._good = 0, self._good + 1
        if self._good >= fallback.bursts_up * self._patience:
            self._good = 0
            if self.level:
                self.level -= 1
                self._tried = True
                self._shared.note(NoteKind.STEPPED_UP, self.level)
            else:
                self._patience, self._tried = 1, False

    def _step_down(self, slot: Slot) -> None:
        self.level += 1
        self._poor = 0
        if self._tried:  # the step up was a mistake
            self._patience, self._tried = min(2 * self._patience, PATIENCE_MAX), False
        self._shared.note(NoteKind.FELL_BACK, self.level, len(slot.also) + 1)

    # -- recalibration ----------------------------------------------------------------------------

    def _recalibrate(
        self, how: Recalibration, bound: int, rows: list[list[int]], slot: Slot
    ) -> None:
        """Put the bound where as many frames fall below it as did at the training reference."""
        if not bound or len(slot.confidence) != CONFIDENCE_BINS:
            return
        self._seen += [row[_CONFIDENCE] for row in rows if not row[_ERROR]]
        if len(self._seen) < how.frames_min:
            return
        found = matching_bin(slot.confidence, self._seen, bound)
        shift = max(-how.shift_bins_max, min(how.shift_bins_max, found - bound))
        self._seen = []
        if shift != self.shift:
            self._shared.note(NoteKind.RECALIBRATED, shift, self.shift)
            self.shift = shift

    def validate(self) -> None:
        """Check that what was learnt is within its bounds.

        Raises:
            AssertionError: it is not.
        """
        policy = self.policy
        assert policy is not None or not (self.level or self.shift), "learnt without a policy"
        assert 1 <= self._patience <= PATIENCE_MAX, f"patience {self._patience}"
        if policy is not None:
            most = 0 if policy.recalibration is None else policy.recalibration.shift_bins_max
            assert abs(self.shift) <= most, f"recalibrated by {self.shift}, at most {most}"
            assert policy.fallback is not None or not self.level, "fell back without a fallback"


def matching_bin(reference: bytes, seen: list[int], bound: int) -> int:
    """The bin below which the share of `seen` is nearest to the reference's share below `bound`.

    Quantile matching in whole numbers; of equally near bins the one nearest to `bound`, then the lower.

    Args:
        reference: weight of each bin.
        seen: bins of recent frames; at least one.
        bound: a bin of the reference, 0 .. its length.
    """
    total, below = max(1, sum(reference)), sum(reference[:bound])
    counts = [0] * len(reference)
    for place in seen:
        counts[place] += 1
    best, passed = (abs(below * len(seen)), abs(bound), 0), 0
    for place, count in enumerate(counts, start=1):
        passed += count
        best = min(best, (abs(passed * total - below * len(seen)), abs(place - bound), place))
    return best[2]
