"""An inquiry: a run is run again with its causes known, to find what made a check fail.

Decides where a chain of causes begins to be read (at the step in which the check failed; where that was a
look at the whole fleet, at the step after which the promise did not hold any more, or at the culprits' last
moments), which culprit stands for the others, and what else was in force. Leaves out words
(`devicesim.report.causes`) and when it is worth it (`devicesim.explain`).

Rules: the run is the same run (same seed, same digest). It goes only as far as the last failure in question.
Looking between steps is bounded by `LOOKS_MAX`; a promise that was found broken in a window too busy for
that is explained from the culprits' last moments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesim.scenario.faults import KeysTidy
from devicesim.world.bands import Lasting
from devicesim.world.causes.book import NOTHING, CauseBook, Moment
from devicesim.world.causes.eyes import CLEAR, DARK, RUNS, CausalStage, Eyes
from devicesim.world.causes.kernel import CausalKernel
from devicesim.world.checks.check import Check
from devicesim.world.drill import Drill
from devicesim.world.latencies import Latencies
from devicesim.world.trace import BROKER, GATEWAY, WORLD
from devicesim.world.watch import Watcher
from gateway.core import notes

LOOKS_MAX: Final = 3_000_000
"""Devices looked at between steps, over all checks."""
SLOWEST_MAX: Final = 5
SHOWN_MAX: Final = 200
"""Moments of each device concerned that are kept for a picture."""
SHOWN_EARLY: Final = 20
"""So many of them are the first; the others the last."""
BEFORE_NS: Final = 3600 * 10**9
_GATEWAYS: Final = {"gateway": GATEWAY, "broker": BROKER}
_ABOUT_ROLLOUTS: Final = (
    notes.ROLLOUT_HALTED, notes.ROLLOUT_ABORTED, notes.WAVE_OPENED, notes.WAVE_SILENT, notes.WAVE_QUORUM,
    notes.ROLLOUT_WAITING, notes.ROLLOUT_CREATED,
)  # fmt: skip

Build = Callable[[CausalKernel, CausalStage], Drill]
"""Makes the drill of the run in question, again."""


class Question(msgspec.Struct, frozen=True):
    """A check that failed: its place among the checks, when it was judged, and whom it blamed."""

    place: int
    at_ns: int
    culprits: list[str]


class InForce(msgspec.Struct, frozen=True):
    """A fault that lasted when a check failed."""

    key: str
    since_ns: int
    devices: int


class Finding(msgspec.Struct):
    """What an inquiry found out about one question."""

    first_ns: int
    """From when on the promise did not hold, as exactly as could be found."""
    exact: bool
    """Whether that is the very step."""
    chain: list[Moment]
    subject: str = ""
    """The culprit that the chain is about; empty: it is about the step itself."""
    alike: int = 0
    """So many of the culprits looked at have the same story."""
    looked: int = 0
    culprits: list[str] = msgspec.field(default_factory=list)
    in_force: list[InForce] = msgspec.field(default_factory=list)
    lanes: dict[str, list[Moment]] = msgspec.field(default_factory=dict)
    """The last moments of those concerned, for a picture."""


class Slowest(Watcher):
    """Who was slowest, for percentiles, which name nobody.

    Args:
        drill: whose latencies.
    """

    def __init__(self, drill: Drill) -> None:
        sessions, updates = drill.meter.sessions, drill.meter.updates
        self._books: list[tuple[str, Latencies]] = [
            ("reconnect", sessions.reconnects), ("kill", sessions.kills),
            ("update", updates.updates), ("offer", updates.offers),
        ]  # fmt: skip
        self._known = [0] * len(self._books)
        self.found: dict[str, list[tuple[int, int, int]]] = {name: [] for name, _ in self._books}
        """Measure to its slowest as (took, index, when), the slowest first."""

    def _look(self, host: Any, now: int) -> None:
        for place, (name, book) in enumerate(self._books):
            if len(book) != self._known[place]:
                self._known[place] = len(book)
                worst = self.found[name]
                worst.append((book.newest, host.index, now))
                worst.sort(key=lambda one: (-one[0], one[1]))
                del worst[SLOWEST_MAX:]

    def connected(self, host: Any, now: int) -> None:
        """A reconnect may be over."""
        self._look(host, now)

    def noted(self, host: Any, effect: Any, now: int) -> None:
        """A kill may have been obeyed."""
        del effect
        self._look(host, now)

    def received(self, host: Any, message: Any, now: int) -> None:
        """An offer may have come."""
        del message
        self._look(host, now)

    def published(self, host: Any, effect: Any, now: int) -> None:
        """An update may be over."""
        del effect
        self._look(host, now)


class _Witness:
    """Sees the first failure of one check, and what was known then."""

    def __init__(self, inquiry: Inquiry, check: Check, question: Question) -> None:
        self._inquiry, self.check, self.question = inquiry, check, question
        self._fail = check.fail
        self.at_ns, self.here, self.seen, self.exact = question.at_ns, NOTHING, False, False
        self.looked = False
        """Whether the check is being looked at after a single step."""
        self.device = ""
        self.latest: dict[int, int] = {}
        self.latest_of: dict[tuple[int, str], int] = {}
        self.in_force: list[InForce] = []
        self.every_ns = check.looked_every_ns
        check.fail = self._failed  # type: ignore[method-assign] # only in this second run

    def _failed(self, now: int, story: str, host: Any = None) -> None:
        if not self.seen:
            book = self._inquiry.book
            self.seen, self.at_ns, self.here = True, now, book.here
            self.exact = self.looked
            self.device = host.device if host is not None else ""
            self.latest, self.latest_of = dict(book.latest), dict(book.latest_of)
            self.in_force = self._inquiry.in_force()
        self._fail(now, story, host)


class Inquiry(Watcher):
    """The second run.

    Args:
        build: makes the drill again.
        questions: what is to be found out.
    """

    def __init__(self, build: Build, questions: list[Question]) -> None:
        self.book = CauseBook()
        self._kernel = CausalKernel(self.book)
        self.drill = build(self._kernel, CausalStage(self.book))
        self.world = self.drill.world
        self._eyes = Eyes(self.world, self.book)
        self._slowest = Slowest(self.drill)
        self.world.watch.add(self._slowest)
        self._lasting = Lasting(self.world.scenario)
        self.world.watch.add(self)
        self._witnesses = [_Witness(self, self.drill.checks[q.place], q) for q in questions]
        self._looked_at, self._looks = 0, 0
        self._look_ns = self._spacing()
        if any(witness.every_ns for witness in self._witnesses):
            self._kernel.after = self._look

    def run(self, until: int | None, pulse: Callable[[int], None] | None = None) -> str:
        """Run again to `until`; returns the digest of the trace."""
        return self.world.run(until, pulse)

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Follow what lasts."""
        if phase == "begin":
            self._lasting.begins(verb, devices, now)
        else:
            self._lasting.ends(verb)

    def in_force(self) -> list[InForce]:
        """The faults that last now."""
        return [InForce(*one) for one in self._lasting.now(self.world.heals.clear_since_ns)]

    # -- looking between steps ------------------------------------------------------------------

    def _spacing(self) -> int:
        """How far apart looks must be so that they stay within their bound."""
        window = max((witness.every_ns for witness in self._witnesses), default=0)
        hosts = len(self.world.hosts)
        return 0 if hosts <= 300 else window * hosts // (LOOKS_MAX // 10)

    def _look(self, now: int) -> None:
        if now - self._looked_at < self._look_ns or self._looks > LOOKS_MAX:
            return
        self._looked_at = now
        for one in self._witnesses:
            due = one.question.at_ns
            if one.every_ns and not one.seen and due - one.every_ns < now <= due:
                hosts = [
                    self.world.host(name)
                    for name in one.question.culprits
                    if name in self.world.numbers
                ]
                self._looks += len(self.world.hosts)
                one.looked = not self._look_ns
                one.check.look(now, hosts)
                one.looked = False

    # -- what was found -------------------------------------------------------------------------

    def findings(self) -> list[Finding | None]:
        """One finding a question; None: the check did not fail again, which must not be."""
        return [self._finding(one) if one.seen else None for one in self._witnesses]

    def _finding(self, one: _Witness) -> Finding:
        culprits = one.question.culprits or self._suspects(one)
        first_ns, exact = one.at_ns, one.exact or one.here != NOTHING
        swept = bool(one.every_ns) and not one.exact
        start = NOTHING if swept else one.here
        if start != NOTHING:
            chain = self.book.chain(start)
            finding = Finding(first_ns, exact, chain, one.device, culprits=culprits)
        else:
            finding = self._from_culprits(one, culprits, first_ns)
        finding.chain = self._whole(one, finding)
        finding.in_force = [fault for fault in one.in_force if self._concerns(fault, finding)]
        finding.lanes = self._lanes(finding)
        return finding

    def _whole(self, one: _Witness, finding: Finding) -> list[Moment]:
        """The chain with what else it takes to understand it: a moment can have two causes."""
        nodes = {moment.node: moment for moment in finding.chain}
        subject = self.world.numbers.get(finding.subject)
        if subject is not None:
            dark = why_dark(self.book, subject, one.at_ns)
            nodes |= {moment.node: moment for moment in dark}
        if finding.chain and finding.chain[-1].kind == NoteKind.ROOT_MISSING:
            nodes |= {moment.node: moment for moment in self._tidied(one)}
        for kind in one.check.follows:
            ends = self.book.chain(one.latest_of.get((GATEWAY, kind), NOTHING))
            nodes |= {moment.node: moment for moment in ends[-2:]}
        return [nodes[node] for node in sorted(nodes)]

    def _tidied(self, one: _Witness) -> list[Moment]:
        """Who took the old roots away: nobody tells a device, so it is in no chain either."""
        tidy = [a.key for a in self.world.scenario.timeline if isinstance(a, KeysTidy)]
        ends = [one.latest_of.get((WORLD, f"fault begin {key}"), NOTHING) for key in tidy]
        return [moment for node in ends if (moment := self.book.moment(node)) is not None]

    def _suspects(self, one: _Witness) -> list[str]:
        """The slowest, for a percentile; the gateway or the broker for what is theirs."""
        slow = self._slow(one)
        if slow:
            return list(dict.fromkeys(self.world.hosts[index].device for _, index, _ in slow))
        if one.device:
            return [one.device]
        last = self.book.moment(one.here)
        if last is not None and last.actor >= 0:
            return [self._name(last.actor)]
        return [one.check.suspect] if one.check.suspect else []

    def _slow(self, one: _Witness) -> list[tuple[int, int, int]]:
        """Of a percentile, the slowest as (took, index, when)."""
        measure, _, rank = one.check.title.partition(" ")[0].rpartition("_p")
        return self._slowest.found.get(measure, []) if rank.isdigit() else []

    def _from_culprits(self, one: _Witness, culprits: list[str], first_ns: int) -> Finding:
        starts = [(name, start) for name in culprits if (start := self._start(one, name)) >= 0]
        chains = [(name, self.book.chain(start)) for name, start in starts]
        if not chains:
            return Finding(first_ns, exact=False, chain=[], culprits=culprits)
        likeness = Counter(_signature(chain) for _, chain in chains)
        usual = max(likeness, key=lambda key: likeness[key])
        subject, chain = next(pair for pair in chains if _signature(pair[1]) == usual)
        if not one.question.culprits and self._slow(one):  # known when the slowest was over
            first_ns = min(first_ns, chain[-1].at_ns)
        return Finding(
            first_ns, False, chain, subject, likeness[usual], len(chains), culprits=culprits,
        )  # fmt: skip

    def _start(self, one: _Witness, culprit: str) -> int:
        """Where to begin to read a culprit's chain."""
        if culprit in _GATEWAYS:
            last = [one.latest_of.get((GATEWAY, kind), NOTHING) for kind in _ABOUT_ROLLOUTS]
            halted = last[0]
            return halted if halted != NOTHING else max(last)
        index = self.world.numbers[culprit]
        measure = one.check.title.partition(" ")[0]
        telling = _TELLING.get(measure)
        if measure == "stuck" and any(self.book.knows(kind) for kind in _CUT_OFF):
            cut_off = _cut_off(self.book.of(index, 0, one.at_ns))
            if cut_off != NOTHING:
                return cut_off
        slow = self._slow(one)
        until = next((at for _, who, at in slow if who == index), one.at_ns)
        if telling is None and until == one.at_ns:
            return one.latest.get(index, NOTHING)
        mine = self.book.of(index, 0, until)
        if measure == "exposed_ratio":
            mine = self._until_exposed(mine)
        for moment in reversed(mine):
            if telling is None or telling(moment):
                return moment.node
        return mine[-1].node if mine else NOTHING

    def _until_exposed(self, mine: list[Moment]) -> list[Moment]:
        """A device's moments up to the first in which it ran what a rollout brought."""
        brought = [plan.bundle for plan in self.world.scenario.rollouts]
        for place, moment in enumerate(mine):
            if _runs(moment) and moment.words.partition(" ")[0] in brought:
                return mine[: place + 1]
        return mine

    def _concerns(self, fault: InForce, finding: Finding) -> bool:
        """Whether a fault that lasts is news, and about the subject of the finding."""
        known = any(
            moment.kind == f"fault begin {fault.key}" and moment.at_ns == fault.since_ns
            for moment in finding.chain
        )
        scenario, world = self.world.scenario, self.world
        for place, action in enumerate(scenario.timeline):
            if action.key != fault.key or action.target is None or not finding.subject:
                continue
            labels = [host.parts.labels for host in world.hosts]
            hit = action.target.select(labels, world.entropy, scenario.occasion(place))
            if world.numbers.get(finding.subject, hit[0] if hit else -1) not in hit:
                return False
        return not known

    def _lanes(self, finding: Finding) -> dict[str, list[Moment]]:
        """The last moments of the subject, a few other culprits and whoever is in the chain."""
        names = [finding.subject] if finding.subject else []
        names += [self._name(moment.actor) for moment in finding.chain if moment.actor >= -1]
        names += finding.culprits
        lanes = {}
        for name in list(dict.fromkeys(names))[:4]:
            actor = _GATEWAYS.get(name, self.world.numbers.get(name))
            if actor is not None:
                begin = min([m.at_ns for m in finding.chain[:1]] + [finding.first_ns - BEFORE_NS])
                mine = self.book.of(actor, begin, finding.first_ns)
                early = max(0, min(SHOWN_EARLY, len(mine) - SHOWN_MAX + SHOWN_EARLY))
                lanes[name] = mine[:early] + mine[early:][early - SHOWN_MAX :]
        return lanes

    def _name(self, actor: int) -> str:
        return self.world.hosts[actor].device if actor >= 0 else "gateway"


def why_dark(book: CauseBook, index: int, at_ns: int) -> list[Moment]:
    """The chain that leads to a device's path being dark at an instant; empty when it is clear.

    Nobody tells a device that its path is gone, so it is in no chain of what the device does.
    """
    ways = [moment for moment in book.of(index, 0, at_ns) if moment.kind in (DARK, CLEAR)]
    return book.chain(ways[-1].node) if ways and ways[-1].kind == DARK else []


def _signature(chain: list[Moment]) -> tuple[int, str, str]:
    """Two culprits with the same one have the same story: the same beginning, the same end."""
    first, last = chain[0], chain[-1]
    return (first.node if first.actor < 0 else -1, last.kind, last.words)


def _rolled_back(moment: Moment) -> bool:
    return moment.kind == NoteKind.UPDATE_STATE and moment.a == UpdateState.ROLLED_BACK


def _runs(moment: Moment) -> bool:
    return moment.kind == RUNS


def _cut_off(mine: list[Moment]) -> int:
    """When a device became deaf in its last boot; `NOTHING`: it did not."""
    found = NOTHING
    for moment in reversed(mine):
        if moment.kind in _CUT_OFF:
            found = moment.node
        elif moment.kind == "boot":
            break
    return found


_CUT_OFF: Final = (NoteKind.UNSUBSCRIBED, NoteKind.ROOT_MISSING)
"""What makes a device that is online deaf to all that it is told from then on."""
_TELLING: Final[dict[str, Callable[[Moment], bool]]] = {
    "rolled_back": _rolled_back,
    "exposed_ratio": _runs,
    "versions": _runs,
}
"""Measures whose story ends at another moment of the culprit than its last."""
