"""When a device of an open wave may be offered an update: windows, budgets, and those who come late.

Decides, of a rollout whose plan has a pace, who of a page is offered and who waits, and when to look again. Leaves
out waves and gates (rollouts.py), the counting of a budget (disruption.py) and wall clocks (gateway/core/windows.py).
A rollout without a pace never comes here.

Theory of operation. The queue of the open wave is gone through in its order; who may not be offered now keeps the
place. Then it rests: until the next window opens, or for `pace_interval_ns` where a budget was used up. A wave waits
for its devices like that until nothing could be offered for its timeout; then those who are left join a later wave,
except that the last one waits on. Members that failed for no fault of the release, or whose window closed before they
began, are offered again under the same conditions, and so is who came when everybody had been offered.

Rules: no offer outside a window of the device's own wall clock or past a budget, whatever the timing; an offer is void
from the moment its window closes (the want says so), so that one that waited at the broker begins nothing; a device
that names a zone which nobody knows waits, and is counted for people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from devicesdk.wire.timebase import HOUR, SECOND
from gateway.core import notes
from gateway.core.control.disruption import Disruption
from gateway.core.control.members import Rest, Rollout
from gateway.core.control.offers import Offers
from gateway.core.control.outbox import Batch
from gateway.core.control.planning import Population
from gateway.core.control.twins import Twin, Twins
from gateway.core.effects import Note
from gateway.core.limits import ControlLimits
from gateway.core.pace import Pace
from gateway.core.rows import Phase
from gateway.core.windows import closes_ns, is_open, opens_ns
from gateway.core.zones import Zones

NEVER_NS = 2**62


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether a device may be offered an update now. Instants are UTC."""

    kind: str = ""
    """What is in the way: window, zone or budget; empty: nothing."""
    why: str = ""
    next_ns: int = 0
    """When to look again, at the latest."""
    until_ns: int = 0
    """Of one that may: when its window closes; 0: never."""


class Look:
    """One look at the clocks and at the budgets, for a page of offers.

    Args:
        pace: what the plan says.
        at: instant (UTC, ns).
        again_ns: when to look again where a budget was used up.
    """

    __slots__ = ("_again_ns", "_at", "_books", "_clocks", "_pace", "_twins", "_zones")

    def __init__(self, pace: Pace, twins: Twins, zones: Zones, at: int, again_ns: int) -> None:
        self._pace, self._twins, self._zones = pace, twins, zones
        self._at, self._again_ns = at, again_ns
        self._clocks: dict[str, Verdict] = {}
        self._books: Disruption | None = None
        if pace.budgets:
            self._books = Disruption(pace.budgets, twins.by_name.values())

    def verdict(self, twin: Twin) -> Verdict:
        """Whether a device may be offered an update now."""
        clock = self.clock(twin)
        if clock.kind or self._books is None:
            return clock
        full = self._books.full(twin)
        return Verdict("budget", full, self._again_ns) if full else clock

    def clock(self, twin: Twin) -> Verdict:
        """Whether the clock on its wall allows it."""
        zone = self._twins.zone(twin) or self._pace.zone
        clock = self._clocks.get(zone)
        if clock is None:
            clock = self._clocks[zone] = self._clock(zone)
        return clock

    def take(self, twin: Twin) -> None:
        """Count a device that is about to be offered one."""
        if self._books is not None:
            self._books.take(twin)

    def _clock(self, zone: str) -> Verdict:
        windows, at = self._pace.windows, self._at
        if not windows:
            return Verdict()
        if self._zones.offset_s(zone, at // SECOND) is None:
            return Verdict("zone", f"the zone {zone} is not known", NEVER_NS)
        offset_s = self._zones.offset_s

        def offset(at_s: int) -> int:
            return offset_s(zone, at_s) or 0

        if is_open(windows, offset(at // SECOND), at):
            return Verdict(until_ns=closes_ns(windows, offset, at) or 0)
        opens = opens_ns(windows, offset, at)
        return Verdict("window", f"closed in {zone}", NEVER_NS if opens is None else opens)


class Pacing:
    """Offers what may be offered.

    Args:
        limits: page and interval.
        zones: know wall clocks.
    """

    __slots__ = ("_limits", "_offers", "_population", "_twins", "_zones")

    def __init__(
        self,
        limits: ControlLimits,
        twins: Twins,
        population: Population,
        offers: Offers,
        zones: Zones,
    ) -> None:
        self._limits, self._twins = limits, twins
        self._population, self._offers, self._zones = population, offers, zones

    def look(self, pace: Pace, at: int) -> Look:
        """Look at clocks and budgets."""
        return Look(pace, self._twins, self._zones, at, at + self._limits.pace_interval_ns)

    def due(self, rollout: Rollout) -> int | None:
        """When a rollout that has devices waiting looks again (UTC, ns; may have passed)."""
        row = rollout.row
        if row.phase not in (Phase.RUNNING, Phase.COMPLETED):
            return None
        if not (rollout.offering or rollout.again or self._late_may(rollout)):
            return None
        next_ns = rollout.rest.next_ns
        wave = rollout.wave
        if rollout.offering and wave is not None and wave.offered and not rollout.at_last_share:
            next_ns = min(next_ns, wave.timeout_ns)
        return next_ns if next_ns < NEVER_NS else None

    def run(self, rollout: Rollout, at: int, out: Batch) -> None:
        """Offer a page: to those who are offered again, to the open wave, to late joiners."""
        pace = rollout.plan.pace
        assert pace is not None
        page = _Page(self.look(pace, at), self._limits.page_devices)
        self._again(rollout, page, out)
        if rollout.offering:
            self._wave(rollout, page, at, out)
        if self._late_may(rollout):
            self._late(rollout, pace, page, at, out)
        rollout.rest = page.rest(at)

    def _again(self, rollout: Rollout, page: _Page, out: Batch) -> None:
        for name in list(rollout.again):
            twin = self._twins.by_name[name]
            desired = twin.desired
            if desired is None or desired.rollout != rollout.name or not twin.wants_open():
                del rollout.again[name]
                continue
            # It holds its place in the budgets since it was first offered: only clocks count.
            verdict = page.clock(twin)
            if not verdict.kind:
                del rollout.again[name]
                self._offers.again(twin, out, verdict.until_ns)

    def _wave(self, rollout: Rollout, page: _Page, at: int, out: Batch) -> None:
        index, wave = len(rollout.row.waves) - 1, rollout.row.waves[-1]
        if rollout.queue is None:
            _, order = self._population.order(rollout)
            order = [name for name in order if name not in rollout.late]
            places = wave.size - wave.offered
            rollout.queue = deque(order[:places])
            if rollout.at_last_share and rollout.plan.waves[-1] == 1.0:
                # After a restart nobody knows any more who came late: as many as there are too many.
                rollout.late.update(dict.fromkeys(order[places:]))
        kept = self._page(rollout, rollout.queue, page, out)
        rollout.queue, before = kept, wave.offered
        wave = rollout.row.waves[index]
        stands = wave.offered == before
        if not stands:
            rollout.change_wave(index, timeout_ns=at + rollout.plan.wave_timeout_ns)
        if not kept:
            # Some were taken by others since the wave opened.
            rollout.change_wave(index, size=wave.offered)
        elif stands and wave.offered and at >= wave.timeout_ns and not rollout.at_last_share:
            out.append(Note(notes.WAVE_CUT, rollout.name, index, wave.size - wave.offered))
            rollout.change_wave(index, size=wave.offered)
            rollout.queue = None

    def _page(self, rollout: Rollout, names: Iterable[str], page: _Page, out: Batch) -> deque[str]:
        """Offer to those who may; returns the others in their order."""
        by_name, candidate = self._twins.by_name, self._population.candidate
        kept: deque[str] = deque()
        for name in names:
            twin = by_name[name]
            if not candidate(rollout, twin):
                continue
            verdict = page.verdict(twin)
            if verdict is None or verdict.kind:
                kept.append(name)
            else:
                page.take(twin)
                self._offers.offer(twin, rollout, out, verdict.until_ns)
        return kept

    # -- those who come late -------------------------------------------------------------------

    def join_late(self, rollout: Rollout, twin: Twin, out: Batch) -> None:
        """Let a device wait that came when everybody had been offered."""
        if twin.name not in rollout.late:
            rollout.late[twin.name] = None
            out.append(Note(notes.LATE, twin.name, len(rollout.late)))
        rollout.look_again()

    def _late_may(self, rollout: Rollout) -> bool:
        pace, row = rollout.plan.pace, rollout.row
        if not rollout.late or pace is None or not row.waves:
            return False
        if row.phase is Phase.COMPLETED:
            return True
        return row.phase is Phase.RUNNING and not pace.late_after_gate

    def _late(self, rollout: Rollout, pace: Pace, page: _Page, at: int, out: Batch) -> None:
        index = len(rollout.row.waves) - 1
        for name in list(rollout.late):
            twin = self._twins.by_name[name]
            if not self._population.candidate(rollout, twin):
                del rollout.late[name]
                continue
            if at < rollout.row.late_next_ns:
                page.wait(rollout.row.late_next_ns)
                return
            verdict = page.verdict(twin)
            if verdict is None or verdict.kind:
                continue
            del rollout.late[name]
            page.take(twin)
            rollout.change_wave(index, size=rollout.row.waves[index].size + 1)
            self._offers.offer(twin, rollout, out, verdict.until_ns)
            if pace.late_per_hour:
                rollout.change(late_next_ns=at - (-HOUR // pace.late_per_hour))


class _Page:
    """A page of offers that fills up, and what to rest for."""

    __slots__ = (
        "_budgets", "_example", "_look", "_next_ns", "_opens_ns", "_room", "_windows", "_zones",
    )  # fmt: skip

    def __init__(self, look: Look, room: int) -> None:
        self._look, self._room = look, room
        self._next_ns = self._opens_ns = NEVER_NS
        self._windows = self._budgets = self._zones = 0
        self._example = ""

    def clock(self, twin: Twin) -> Verdict:
        """Whether the device's clock allows an offer."""
        return self._counted(self._look.clock(twin))

    def verdict(self, twin: Twin) -> Verdict | None:
        """Whether a device may be offered an update; None: the page is full."""
        if self._room <= 0:
            self._next_ns = 0
            return None
        return self._counted(self._look.verdict(twin))

    def take(self, twin: Twin) -> None:
        """Count an offer."""
        self._room -= 1
        self._look.take(twin)

    def wait(self, until_ns: int) -> None:
        """Somebody waits for this instant."""
        self._next_ns = min(self._next_ns, until_ns)

    def rest(self, at: int) -> Rest:
        """What the rollout rests for."""
        opens_ns = self._opens_ns if self._opens_ns < NEVER_NS else 0
        counts = self._windows, self._budgets, self._zones
        return Rest(max(self._next_ns, at), opens_ns, *counts, self._example)

    def _counted(self, verdict: Verdict) -> Verdict:
        if verdict.kind:
            self.wait(verdict.next_ns)
            self._zones += verdict.kind == "zone"
            if verdict.kind == "window":
                self._windows += 1
                self._opens_ns = min(self._opens_ns, verdict.next_ns)
            if verdict.kind == "budget":
                self._budgets += 1
                self._example = self._example or verdict.why
        return verdict
