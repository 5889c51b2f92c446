"""Curves, bands and stories of a run, kept small while it runs.

Decides what is sampled each virtual minute, what of a device's life is worth a line, and who is among
the worst. Leaves out verdicts (checks), measures (measures.py), and the report (run_record.py makes its
values from what is kept here).

Rules: memory is bounded by fleet and duration: one number a minute and curve, and for each device a
ring of its last `RING_LINES` notable moments as integers. Temperatures and charges are those of at
most `SAMPLED_DEVICES_MAX` devices, evenly spaced by index, read every five minutes as of the last
instant at which each body moved: looking never advances a body.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE, SECOND, to_seconds
from devicesim.report.record import Band, Series
from devicesim.world.bands import Lasting
from devicesim.world.checks.check import clock_text
from devicesim.world.checks.physics import sample
from devicesim.world.drifts import Drifts
from devicesim.world.hearing import Listener, Window
from gateway.core.collect import rows as collect_rows

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.world import World
    from gateway.core import effects as gw

SAMPLED_DEVICES_MAX: Final = 500
SAMPLE_NS: Final = 5 * MINUTE
COHORTS_MAX: Final = 6
RING_LINES: Final = 16
RULE_SAMPLES: Final = 6
"""Decisions by rule are shown as shares over so many samples: half an hour."""
_LINE_INTS: Final = 4
NOTHING: Final = "nothing"

_WORDS: Final = ("powered off", "booted", "connected", "lost its connection")
_OFF, _BOOT, _UP, _DOWN = range(len(_WORDS))
_QUIET: Final = frozenset(
    {
        NoteKind.ONLINE,
        NoteKind.BACK_OFF,
        NoteKind.CONNECT_TIMEOUT,
        NoteKind.FETCH_BEGUN,
        NoteKind.FETCH_DONE,
        NoteKind.TOLD_TO_WAIT,
        NoteKind.ALARM_ON,
        NoteKind.ALARM_OFF,
        NoteKind.IGNORED,
        NoteKind.WANT_OLD,
        NoteKind.KILL_OLD,
        NoteKind.FLAGS_OLD,
        NoteKind.ROUND_LOST,
    }
)
"""Notes that are everyday: not worth one of a device's few lines."""
_TROUBLE: Final = {
    NoteKind.STATE_LOST: 100,
    NoteKind.IMAGE_BAD: 30,
    NoteKind.QUARANTINED: 20,
    NoteKind.STORAGE_FAILED: 20,
    NoteKind.PUBLISH_DEAD: 5,
    NoteKind.WINDOW_DROPPED: 1,
    NoteKind.CHUNK_BAD: 2,
}
"""What a note adds to a device's trouble."""


class Stories:
    """The last notable moments of each device, as integers in rings.

    Args:
        devices: how many there are.
    """

    __slots__ = ("_codes", "_names", "_next", "_ring", "kept")

    def __init__(self, devices: int) -> None:
        self._ring = array("q", bytes(8 * devices * RING_LINES * _LINE_INTS))
        self._next = array("q", bytes(8 * devices))
        self._names: list[str] = list(_WORDS)
        self._codes: dict[str, int] = {}
        self.kept = 0

    def add(self, index: int, now: int, code: int, a: int = 0, b: int = 0) -> None:
        """Keep a moment; the oldest of the device's goes."""
        turn = self._next[index]
        self._next[index] = turn + 1
        at = (index * RING_LINES + turn % RING_LINES) * _LINE_INTS
        ring = self._ring
        ring[at], ring[at + 1], ring[at + 2], ring[at + 3] = now, code, a, b
        self.kept += 1

    def note(self, index: int, now: int, kind: str, a: int, b: int) -> None:
        """Keep a note of the device's agent."""
        code = self._codes.get(kind)
        if code is None:
            code = self._codes[kind] = len(self._names)
            self._names.append(kind)
        self.add(index, now, code, a, b)

    def lines(self, index: int, until: int | None = None) -> list[str]:
        """The moments of one device, oldest first, as text."""
        turns = self._next[index]
        found = []
        for turn in range(max(0, turns - RING_LINES), turns):
            at = (index * RING_LINES + turn % RING_LINES) * _LINE_INTS
            instant, code, a, b = self._ring[at : at + _LINE_INTS]
            if until is None or instant <= until:
                found.append(f"{clock_text(instant)} {self._sentence(code, a, b)}")
        return found

    def _sentence(self, code: int, a: int, b: int) -> str:
        name = self._names[code]
        if code < len(_WORDS):
            return name
        if name == NoteKind.UPDATE_STATE:
            return f"update of generation {b} is {UpdateState(a).name}"
        numbers = f" ({a}, {b})" if b else f" ({a})" if a else ""
        return name.replace("_", " ") + numbers


class Recorder(Listener):
    """Records one run.

    Args:
        world: what is recorded. The caller adds the recorder to its `watch`.
        meter: counts what the recorder samples.
    """

    def __init__(self, world: World, meter: Meter) -> None:
        self.world, self.meter = world, meter
        meter.hearing.add(self)
        count = len(world.hosts)
        self.stories = Stories(count)
        self.trouble = array("q", bytes(8 * count))
        self.attempts = array("q", bytes(8 * count))
        self.offline_ns = array("q", bytes(8 * count))
        self._away_since = array("q", bytes(8 * count))
        self._running: list[str] = [""] * count
        self._alarming = bytearray(count)
        self._sample = sample(world, SAMPLED_DEVICES_MAX)
        self.bands: list[Band] = []
        self._lasting = Lasting(world.scenario)
        self._kinds = {action.key: action.verb for action in world.scenario.timeline}
        self.decisions: dict[str, int] = {}
        self._by_rule: dict[str, int] = {}
        self._rules_lately: deque[dict[str, int]] = deque(maxlen=RULE_SAMPLES)
        self.windows = 0
        """Telemetry windows sent, repetitions included."""
        self.attempts_peak_per_s = 0
        """Most tries to connect of the whole fleet in one second."""
        self._second = self._in_second = 0
        self._bytes = self._tries = self._sent = 0
        self._versions: dict[str, int] = {}
        self._minutes: list[float] = []
        self._samples_at: list[float] = []
        self._drift_at: list[float] = []
        self._curves: dict[str, dict[str, list[float]]] = {}
        self._drift: dict[str, dict[float, float]] = {}
        self.drifts = Drifts()
        self._take(0)

    # -- moments --------------------------------------------------------------------------------

    def booted(self, host: DeviceHost, now: int) -> None:
        """Power."""
        self.stories.add(host.index, now, _BOOT)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """No power."""
        index = host.index
        self.stories.add(index, now, _OFF)
        self.trouble[index] += 5
        self._alarming[index] = 0
        self._runs(index, "")
        if self._away_since[index] < 0:
            self._away_since[index] = now

    def connected(self, host: DeviceHost, now: int) -> None:
        """Back."""
        index = host.index
        self.stories.add(index, now, _UP)
        if self._away_since[index] >= 0:
            self.offline_ns[index] += now - self._away_since[index]
            self._away_since[index] = -1

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Away."""
        del reason
        self.stories.add(host.index, now, _DOWN)
        self._away_since[host.index] = now

    def attempted(self, host: DeviceHost, now: int) -> None:
        """One more try."""
        self._tries += 1
        self.attempts[host.index] += 1
        second = now // SECOND
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        self.attempts_peak_per_s = max(self.attempts_peak_per_s, self._in_second)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Something runs."""
        del now
        bundle = self.world.bundles.get(effect.manifest)
        self._runs(host.index, bundle.name if bundle is not None and effect.slot else NOTHING)

    def _runs(self, index: int, name: str) -> None:
        versions, old = self._versions, self._running[index]
        if old:
            versions[old] -= 1
        if name:
            versions[name] = versions.get(name, 0) + 1
        self._running[index] = name

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A line of the device's story, if it is notable."""
        kind, index = effect.kind, host.index
        if kind == NoteKind.ALARM_ON:
            self._alarming[index] = 1
        elif kind == NoteKind.ALARM_OFF:
            self._alarming[index] = 0
        elif kind == NoteKind.UPDATE_STATE and UpdateState(effect.a).failed:
            self.trouble[index] += 50
        if kind not in _QUIET:
            self.stories.note(index, now, kind, effect.a, effect.b)
            self.trouble[index] += _TROUBLE.get(kind, 0)  # type: ignore[call-overload]

    def said_window(self, host: DeviceHost, window: Window, now: int) -> None:
        """One window more."""
        del now
        self._sent += 1
        if window.rules:
            for rule, count in self.meter.decisions.take(host, window).items():
                named = f"policy.{rule}"
                self.decisions[named] = self.decisions.get(named, 0) + count
                self._by_rule[rule] = self._by_rule.get(rule, 0) + count

    def heard_chunk(self, host: DeviceHost, frame: Frame, nbytes: int, now: int) -> None:
        """Bytes of blobs that reached their device."""
        del host, frame, now
        self._bytes += nbytes

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """Decisions, by kind."""
        del now
        self.decisions[effect.kind] = self.decisions.get(effect.kind, 0) + 1

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """A telemetry window of the gateway has closed: how far has each cohort drifted?"""
        if effect.table != collect_rows.WINDOW or effect.row is None:
            return
        self.drifts.closed(effect.row, now)
        at = to_seconds(now)
        if not self._drift_at or self._drift_at[-1] != at:
            self._drift_at.append(at)
        for cohort in effect.row.cohorts:
            scores = [score.psi for score in cohort.scores]
            if scores:
                self._drift.setdefault(self.spell(cohort.cohort), {})[at] = max(scores)

    def spell(self, cohort: str) -> str:
        """A cohort as people call it: ``gauge@1.1.0 arm64-neon us-east``."""
        digest8, *rest = cohort.split("/")
        names = [b.name for b in self.world.bundles.values() if b.digest[:8].hex() == digest8]
        return " ".join((names[0] if names else digest8, *rest))

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """A band of the timeline begins or ends."""
        if phase == "begin":
            self._lasting.begins(verb, devices, now)
        else:
            for key, began, hit in self._lasting.ends(verb):
                self._band(key, began, hit, now)

    def _band(self, key: str, began: int, devices: int, ended: int) -> None:
        label = f"{key} ({devices})" if devices else key
        kind = self._kinds.get(key, key)
        self.bands.append(Band(to_seconds(began), to_seconds(ended), label, kind))

    def checkpoint(self, now: int) -> None:
        """A point of each curve."""
        self._take(now)

    def ended(self, now: int) -> None:
        """Whatever lasts still, ends here; link faults that were healed part by part, when nobody lay under one any more."""
        clear = self.world.heals.clear_since_ns
        for key, began, devices in self._lasting.rest():
            healed = clear is not None and began <= clear and self._lasting.heals(key)
            self._band(key, began, devices, clear if healed and clear is not None else now)
        for index, since in enumerate(self._away_since):
            if since >= 0:
                self.offline_ns[index] += now - since
                self._away_since[index] = -1

    # -- curves ---------------------------------------------------------------------------------

    def _take(self, now: int) -> None:
        meter = self.meter
        self._minutes.append(to_seconds(now))
        self.windows += self._sent
        self._point("online", "online", meter.sessions.online_count)
        if meter.replay is not None:
            self._point("online", "recorded", meter.replay.recorded_at(now))
        self._point("retries", "connects per minute", self._tries)
        self._point("transfers", "in flight", meter.updates.downloading)
        self._point("throughput", "chunks", self._bytes / 60)
        self._point("telemetry", "windows per minute", self._sent)
        self._point("alarms", "sounding", sum(self._alarming))
        self._bytes = self._tries = self._sent = 0
        self._stack("versions", self._versions, len(self._minutes))
        if now % SAMPLE_NS == 0:
            self._look_at_bodies(now)

    def _point(self, key: str, curve: str, value: float) -> None:
        self._curves.setdefault(key, {}).setdefault(curve, []).append(float(value))

    def _stack(self, key: str, counts: Mapping[str, float], points: int) -> None:
        """A curve that begins late was zero before."""
        curves = self._curves.setdefault(key, {})
        for name, count in counts.items():
            curves.setdefault(name, [0.0] * (points - 1)).append(float(count))

    def _look_at_bodies(self, now: int) -> None:
        self._samples_at.append(to_seconds(now))
        chips: list[float] = []
        charges: list[float] = []
        slow = 0
        for host in self._sample:
            if not host.on:
                continue
            body = host.parts.body
            chips.append(body.thermal.chip_c)
            slow += body.processor.p_state > 0
            if body.battery is not None:
                charges.append(body.battery.usable_soc(body.thermal.body_c))
        if self._by_rule:
            self._look_at_rules()
        chips.sort()
        charges.sort()
        for curve, share in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            self._point("temperature", curve, _quantile(chips, share))
        for curve, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            self._point("battery", curve, _quantile(charges, share))
        self._point("throttled", "throttled", slow / max(1, len(self._sample)))

    def _look_at_rules(self) -> None:
        """Each rule's share of the decisions lately: telemetry windows come in step, not evenly."""
        self._rules_lately.append(self._by_rule)
        self._by_rule = dict.fromkeys(self._by_rule, 0)
        lately = {
            rule: sum(counts.get(rule, 0) for counts in self._rules_lately)
            for rule in self._by_rule
        }
        total = max(1, sum(lately.values()))
        shares = {rule: count / total for rule, count in lately.items()}
        self._stack("rules", shares, len(self._samples_at))

    def series(self) -> dict[str, Series]:
        """All curves with a value, by the names that the report's catalogue knows."""
        units = {"online": "devices", "versions": "devices", "throughput": "B/s"}
        units |= {"temperature": "C", "battery": "share", "throttled": "share"}
        units |= {"rules": "share"}
        sampled = ("temperature", "battery", "throttled", "rules")
        made = {
            key: Series(
                units.get(key, ""), self._samples_at if key in sampled else self._minutes, curves
            )
            for key, curves in self._curves.items()
            if any(not math.isnan(value) for curve in curves.values() for value in curve)
        }
        if self._drift:
            made["drift"] = self._drift_series()
        return made

    def _drift_series(self) -> Series:
        """The cohorts that drifted most."""
        worst = sorted(self._drift, key=lambda name: (-max(self._drift[name].values()), name))
        nan = float("nan")
        curves = {
            name: [self._drift[name].get(at, nan) for at in self._drift_at]
            for name in worst[:COHORTS_MAX]
        }
        return Series("", self._drift_at, curves)


def _quantile(ascending: list[float], share: float) -> float:
    if not ascending:
        return float("nan")
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
