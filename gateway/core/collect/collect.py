"""Telemetry in, cohort histograms, drift alarms and judgements of candidates out.

Decides when windows open and close and what is made durable. Leaves out the arithmetic of each step,
which has a module of its own: intake (bytes), sources (once each), cohorts (who belongs together),
totals (sums), scoring and verdict (drift), judging (candidates).

Durability. Counting a message changes two things that must not come apart: the sums and the cursor
that recognises a repetition. Neither is made durable by `handle`. A host collects the
acknowledgements of a group of telemetry messages, commits the rows of `checkpoint()`, and only then
acknowledges the group: the rows hold the group's entries, from which `restore` repeats both changes.
A crash before the commit forgets the group whole, and the broker delivers it again; a crash after
it, before the acknowledgements, delivers it again too, and the cursors drop it. When a window closes,
the batch holds its results, *all* cursors that moved (also for messages of a group that is still
open) and the removal of everything they replace, so no message is counted in two windows.
KLL and HLL sketches are beside the record: they begin anew after a restart.

Rules: a malformed message is counted and dropped; nothing raises because of what a device sent; the
order of messages within a window changes no number; everything is bounded (limits.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from devicesdk.sketches import quantile
from devicesdk.sketches.cardinality import Distinct
from devicesdk.sketches.frequency import Frequencies
from devicesdk.sketches.membership import Members
from devicesdk.sketches.quantile import Quantiles
from devicesdk.wire import topics
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import MS, NEVER
from gateway.core.collect import notes, probes, rows, scoring
from gateway.core.collect.baselines import Baselines, Reference
from gateway.core.collect.closing import Watcher, close_window
from gateway.core.collect.cohorts import AlarmState, Cohort, Cohorts, label
from gateway.core.collect.debugged import Debugged
from gateway.core.collect.dose import Dose
from gateway.core.collect.intake import decode_telemetry, histograms_of
from gateway.core.collect.journal import Journal
from gateway.core.collect.judging import Judge
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.loners import Loners
from gateway.core.collect.overview import Counters, Overview, cohort_view
from gateway.core.collect.seen import seen
from gateway.core.collect.singles import Singles
from gateway.core.collect.sources import Source, Sources
from gateway.core.collect.window import Window
from gateway.core.effects import Effect, Note, Persist
from gateway.core.internal import (
    BundleKnown,
    DebugGranted,
    DeviceLabelled,
    Internal,
    Judged,
    Tracking,
    Watching,
)
from gateway.core.stimuli import Arrived, DeadlineReached, Started, Stimulus

_PERMILLE_MAX: Final = 1000


class Collect:
    """The collect machine of one tenant.

    Args:
        limits: bounds and thresholds.
    """

    def __init__(self, limits: CollectLimits) -> None:
        self.limits = limits
        self._sources = Sources(limits.sources_max, limits.cursors_per_page)
        self._cohorts = Cohorts(limits.cohorts_max)
        self._window = Window(limits, self._cohorts)
        self._journal = Journal(limits.journal_messages_max)
        self._baselines = Baselines(limits.baseline_frames_default)
        self._judge = Judge(limits)
        self._loners = Loners(limits)
        self._watcher = Watcher(
            Singles(limits), self._sources, self._loners, limits.sensor_share_max
        )
        self._closed: deque[rows.WindowRow] = deque()
        self.debugged = Debugged(limits)
        """What devices in debug mode have told."""
        self._judges_ns = NEVER
        self._tracked: frozenset[bytes] = frozenset()
        """Bundles of experiments: whoever counts them hears of each window."""
        self._utc_ns = 0
        """UTC less `now`."""
        self._received = self._duplicates = self._malformed = self._refused = 0
        self._restored = self._bad_sketches = self._windows_dropped = 0

    def handle(self, stimulus: Stimulus | Internal, now: int) -> list[Effect | Internal]:
        """Take telemetry, a deadline, or one of control's messages; anything else is not for us."""
        effects = self._close(now) if now >= self._window.closes_ns else []
        if type(stimulus) is Arrived:
            if stimulus.kind == topics.TEL:
                effects += self._telemetry(stimulus.device, stimulus.payload, now)
        elif type(stimulus) is DeadlineReached:
            if now >= self._judges_ns:
                self._window.fold()
                effects += self._judged()
                self._judge_next(now)
        else:
            self._told(stimulus, now)
        return effects

    def deadline(self) -> tuple[int, str] | None:
        """When a candidate is judged next, or the open window closes."""
        if self._judges_ns < self._window.closes_ns:
            return self._judges_ns, "collect: a candidate is judged"
        if self._window.closes_ns < NEVER:
            return self._window.closes_ns, "collect: a telemetry window closes"
        return None

    def _told(self, said: Stimulus | Internal, now: int) -> None:
        match said:
            case DeviceLabelled():
                self._label(said)
            case BundleKnown():
                self._baselines.learn(said.bundle, said.baseline)
            case Watching():
                self._judge.watch(said)
                self._judge_next(now)
            case DebugGranted(device=device, number=number):
                self.debugged.granted(device, number)
            case Tracking(bundles=bundles):
                self._tracked = frozenset(bundles)
            case Started():
                self._utc_ns = said.wall_ms * MS - now
            case _:
                pass

    def _label(self, said: DeviceLabelled) -> None:
        source = self._sources.get(said.device)
        if source is not None:
            source.hardware = label(said.labels, self.limits.hardware_labels)
            source.region = label(said.labels, self.limits.region_labels)
            source.cohort = None

    # -- one message ---------------------------------------------------------------------------

    def _telemetry(self, device: str, payload: bytes, now: int) -> list[Effect | Internal]:
        self._received += 1
        try:
            message = decode_telemetry(payload, self.limits)
            histograms = histograms_of(message)
        except BadMessage:
            self._malformed += 1
            return [Note(notes.MALFORMED, device, self._malformed)]
        source = self._sources.get(device)
        if source is None:
            return self._refuse(device, self.limits.sources_max)
        cohort = source.cohort
        if cohort is None or cohort.bundle != message.bundle:
            cohort = self._cohorts.find(message.bundle, source.hardware, source.region)
            source.cohort = cohort
            if cohort is None:
                return self._refuse(device, self.limits.cohorts_max)
        boot_id, seq = message.boot_id, message.seq
        if not (source.accept(boot_id, seq) or source.counts_anew(boot_id, seq, now)):
            self._duplicates += 1
            return []
        self._count(source, cohort, message, histograms, now)
        told: list[Effect | Internal] = []
        if message.bundle in self._tracked and self._witnesses(source, message, now):
            told.append(seen(message))
        if message.debug_grant:
            told += self.debugged.take(device, message, now + self._utc_ns)
        return told

    def _witnesses(self, source: Source, message: Telemetry, now: int) -> bool:
        """Whether experiments hear of a window: of one that has frames, and of no device too often."""
        limits = self.limits
        return message.frames > 0 and source.witnesses(
            now, limits.witness_ns, limits.witness_burst_max
        )

    def _refuse(self, device: str, bound: int) -> list[Effect | Internal]:
        self._refused += 1
        return [Note(notes.FULL, device, bound)]

    def _count(
        self, source: Source, cohort: Cohort, message: Telemetry, histograms: bytes, now: int
    ) -> None:
        """Count an accepted message, and remember to make it durable."""
        residual = message.probe_residual
        entry = rows.Entry(
            source.device,
            message.boot_id,
            message.seq,
            cohort.name,
            histograms,
            message.frames,
            message.throttled,
            -1 if residual is None else _probe_permille(message, residual, self.limits),
            message.errors or None,
            message.privacy_permille,
        )
        if residual is not None:
            self._probe(cohort, message, entry)
        self._journal.entries.append(entry)
        if not source.dirty:
            self._sources.changed(source)
        self._window.count(cohort, entry, source.number, now)
        if self._judges_ns == NEVER:
            self._judge_next(now)
        if self._judge.drains is not None:
            self._judge.drains.take(source.number, cohort, message.battery_percent, now)
        if message.kll or message.hll or message.count_min or message.bloom:
            self._add_sketches(cohort, message)

    def _probe(self, cohort: Cohort, message: Telemetry, entry: rows.Entry) -> None:
        """Remember a golden probe: of its device, and how hot and how slow the chip was."""
        self._loners.probed(entry.device, cohort, entry.probe_permille)
        if message.probe_chip_c is not None:
            if cohort.dose is None:
                cohort.dose = Dose(self.limits)
            latency = message.probe_latency or 0
            cohort.dose.add(message.probe_chip_c, latency, entry.probe_permille)

    def _add_sketches(self, cohort: Cohort, message: Telemetry) -> None:
        try:
            if message.kll:
                values = quantile.kll_values(message.kll)
                if cohort.quantiles is None:
                    cohort.quantiles = Quantiles()
                cohort.quantiles.add(values)
            if message.count_min:
                if cohort.frequencies is None:
                    cohort.frequencies = Frequencies()
                cohort.frequencies.add(message.count_min)
            if message.bloom:
                if cohort.members is None:
                    cohort.members = Members()
                cohort.members.add(message.bloom)
            if message.hll:
                if cohort.distinct is None:
                    cohort.distinct = Distinct()
                cohort.distinct.add(message.hll)
        except BadMessage:
            self._bad_sketches += 1

    # -- windows and judgements ----------------------------------------------------------------

    def _close(self, now: int) -> list[Effect | Internal]:
        window = self._window
        row, said = close_window(
            window,
            self._cohorts,
            self._baselines,
            self.limits,
            window.opened_ns + self._utc_ns,
            window.closes_ns + self._utc_ns,
            self._watcher,
        )
        effects: list[Effect | Internal] = [Persist(rows.WINDOW, window_key(row.number), row)]
        self._closed.append(row)
        if len(self._closed) > self.limits.windows_kept_max:
            oldest = self._closed.popleft().number
            self._windows_dropped += 1
            effects.append(Persist(rows.WINDOW, window_key(oldest), None))
            said.append(Note(notes.WINDOW_DROPPED, "", oldest, len(self._closed)))
        effects += self._journal.settle(self._sources)
        effects += said
        effects += self._judged()
        self._judge.window_closes(self._cohorts.spoke(), window.sums)
        window.next()
        self._judge_next(now)
        return effects

    def _judged(self) -> list[Effect | Internal]:
        judged = self._judge.judge(self._cohorts.spoke(), self._window.sums, self._cohorts.all())
        return [*judged, *(_judged_note(one) for one in judged)]

    def _judge_next(self, now: int) -> None:
        """While a window is open and somebody watches, judge at each full interval."""
        if len(self._judge) and self._window.closes_ns < NEVER:
            interval = self.limits.judge_interval_ns
            self._judges_ns = (now // interval + 1) * interval
        else:
            self._judges_ns = NEVER

    # -- durability ----------------------------------------------------------------------------

    @property
    def unsaved(self) -> int:
        """Messages counted since the last checkpoint."""
        return len(self._journal.entries)

    def checkpoint(self) -> list[Persist]:
        """Rows to commit before the telemetry handled so far is acknowledged."""
        return self._journal.checkpoint(self._window, self._cohorts, self._sources)

    def restore(self, stored: Iterable[tuple[str, str, Any]], now: int) -> list[Effect | Internal]:
        """Take over durable rows ``(table, key, row)`` into a new machine; other tables are skipped.

        The window that was open goes on until the next boundary of `now`.
        """
        mine: dict[str, dict[str, Any]] = {table: {} for table in rows.TABLES}
        for table, key, row in stored:
            if table in mine:
                mine[table][key] = row
        self.debugged.load(mine[rows.DEBUG])
        self._sources.load([(int(key), page) for key, page in mine[rows.CURSORS].items()])
        self._restore_closed(sorted(mine[rows.WINDOW].values(), key=lambda row: int(row.number)))
        for name, row in sorted(mine[rows.OPEN].items()):
            self._journal.known_open(name)
            cohort = self._cohorts.named(name)
            if cohort is not None:
                self._window.load(cohort, row, now)
        for key, row in sorted(mine[rows.JOURNAL].items()):
            self._journal.known(int(key), len(row.entries))
            for entry in row.entries:
                self._recount(entry, now)
        self._window.fold()
        self._restored = self._window.accepted
        return []

    def _restore_closed(self, closed: list[rows.WindowRow]) -> None:
        self._closed.extend(closed)
        if not closed:
            return
        newest = closed[-1]
        self._window.number = newest.number + 1
        for alarm in newest.alarms:
            cohort = self._cohorts.named(alarm.cohort)
            if cohort is not None:
                state = AlarmState(alarm.streak, alarm.quiet, alarm.raised_ns, alarm.evidence)
                cohort.alarms[alarm.feature] = state
        for window in closed:
            self._recall_probes(window)
        for past in newest.cohorts:
            cohort = self._cohorts.get(past.cohort)
            if cohort is not None:
                cohort.drift = past.drift
                cohort.effect = max((score.psi for score in past.scores), default=0.0)
                cohort.singles = past.singles
                scoring.see_alarms(cohort, self.limits)

    def _recall_probes(self, window: rows.WindowRow) -> None:
        for past in window.cohorts:
            cohort = self._cohorts.named(past.cohort)
            if cohort is not None:
                probes.recall(cohort, past, window.number, self.limits)

    def _recount(self, entry: rows.Entry, now: int) -> None:
        source = self._sources.get(entry.device)
        cohort = self._cohorts.named(entry.cohort)
        if source is not None and cohort is not None:
            source.accept(entry.boot_id, entry.seq)
            if not source.dirty:
                self._sources.changed(source)
            self._window.count(cohort, entry, source.number, now)

    # -- for people and for checks -------------------------------------------------------------

    def references(self, bundle: bytes, hardware: str) -> tuple[Reference, ...]:
        """Baselines of a cohort's bundle on its hardware; none when the bundle pins nothing or is not known."""
        return self._baselines.of(bundle, hardware)

    def overview(self) -> Overview:
        """What is known now; folds what waits, changes nothing else."""
        self._window.fold()
        sums = self._window.sums
        counters = Counters(
            received=self._received,
            accepted=self._window.accepted - self._restored,
            duplicates=self._duplicates,
            malformed=self._malformed,
            refused=self._refused,
            inconsistent=sums.inconsistent,
            frames_accepted=self._window.frames_accepted,
            frames_inconsistent=sums.inconsistent_frames,
            bad_sketches=self._bad_sketches,
            gaps=sum(source.gaps for source in self._sources.all()),
            windows_dropped=self._windows_dropped,
        )
        cohorts = tuple(cohort_view(cohort, sums) for cohort in self._cohorts.all())
        return Overview(counters, cohorts, tuple(self._closed))

    def verdicts(self) -> list[tuple[str, str]]:
        """Name and verdict of each cohort that drifts, by name."""
        return sorted((one.name, one.drift) for one in self._cohorts.all() if one.drift != "none")

    def validate(self) -> None:
        """Check what must always hold; for tests and for the world's checks.

        Raises:
            AssertionError: it does not.
        """
        limits = self.limits
        self._window.validate()
        accepted = self._window.accepted - self._restored
        answered = accepted + self._duplicates + self._malformed + self._refused
        assert answered == self._received, f"{self._received} received, {answered} accounted for"
        assert len(self._cohorts) <= limits.cohorts_max, f"{len(self._cohorts)} cohorts"
        assert len(self._closed) <= limits.windows_kept_max, f"{len(self._closed)} windows"
        assert self._judges_ns == NEVER or self._window.closes_ns < NEVER, "judging nothing"


def window_key(number: int) -> str:
    """Key of a closed window's row: sorts by number."""
    return f"{number:09d}"


def _probe_permille(message: Telemetry, residual: int, limits: CollectLimits) -> int:
    """How far a golden probe is off. The device knows the rule of the kit that it ran: where that rule
    says failed, the worst probability counts, and always enough to have failed here too."""
    if not message.probe_failed:
        return min(abs(residual), _PERMILLE_MAX)
    worst = max(abs(residual), message.probe_worst, limits.probe_permille_max + 1)
    return min(worst, _PERMILLE_MAX)


def _judged_note(judged: Judged) -> Note:
    new_us = round(1000 * judged.latency_p95_ms)
    old_us = round(1000 * judged.baseline_latency_p95_ms)
    return Note(notes.JUDGED, f"{judged.subject.hex()}/{judged.cohort}", new_us, old_us)
